"""`pql-stream rollback`: back to the pack that was live before."""

from __future__ import annotations

import click

from pql_stream.ops.cli.cutover import check_complete, is_needed, operator_of, show, waiting_options
from pql_stream.ops.cutover import open_control, pack_before
from pql_stream.ops.settings import load_settings


@click.command()
@waiting_options()
def command(patience_s: float, *, as_json: bool) -> None:
    """
    Make the pack live again that was live before the last cut-over, on every partition.

    Nothing is announced by it; what was announced meanwhile stays announced. Run again after anything, it finishes.
    """
    settings = load_settings()
    with open_control(settings.kafka_client_config(), settings.topic_prefix) as control:
        operator = operator_of(settings, control, patience_s)
        pack = pack_before(control.read())
        if is_needed(operator, pack):
            # It was live: whatever it lacks, it lacked then.
            check_complete(operator, pack, force=True)
            operator.switch(pack, "none", rolls_back=True)
        show(control.read(), operator.partitions, as_json=as_json)
