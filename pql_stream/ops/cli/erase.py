"""`pql-stream erase`: take the contact data of a lead away."""

from __future__ import annotations

import re

import click
import orjson

from pql_stream.core.values import read_id
from pql_stream.ops.erasure import Eraser, Known, known_of
from pql_stream.ops.settings import load_settings
from pql_stream.stream.names import LEAD_PROFILES, prefixed
from pql_stream.wire.forms.fields import ANONYMOUS_PREFIX

_SURROGATE = re.compile("[\ud800-\udfff]")
"""What Python makes of arguments that are no UTF-8."""


def _lead_id(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    bare = value.removeprefix(ANONYMOUS_PREFIX)
    if read_id(bare) != bare or _SURROGATE.search(bare):
        raise click.BadParameter("a lead id has 1 to 256 characters, of UTF-8, and no blanks around it")
    return value


@click.command()
@click.argument("lead_id", metavar="LEAD", callback=_lead_id)
@click.option("--yes", is_flag=True, help="Do it. Without this, only say what is known of the lead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(lead_id: str, *, yes: bool, as_json: bool) -> None:
    """
    Erase the contact data of LEAD on the cluster of KAFKA_BOOTSTRAP_SERVERS.

    It goes from lead-profiles, from the running workers and from what delivery follows; the brokers' disks lose it
    within about a day. Not erased: the score, which names nobody, and the events in product-activity, its re-keyed
    and its dead-letter topic, until their retention takes them. Events of the lead that come later build new contact
    data from what they say.
    """
    settings = load_settings()
    client_config, topic = settings.kafka_client_config(), prefixed(LEAD_PROFILES, settings.topic_prefix)
    known = known_of(client_config, topic, lead_id)
    confirmed = False
    erases = yes and not known.is_erased
    if erases:
        click.echo("erasing, and waiting for the worker that has the lead", err=True)
        confirmed = Eraser(client_config, topic).erase(lead_id, known.partition)
    if as_json:
        fields = {"lead_id": lead_id, "topic": topic, "partition": known.partition, "known": known.fields}
        click.echo(orjson.dumps(fields | {"erased": erases or known.is_erased, "confirmed": confirmed}))
    else:
        click.echo(f"{lead_id}: {_what(known)} in {topic}-{known.partition}{', erased' if erases else ''}")
    if erases:
        click.echo(_CONFIRMED if confirmed else _NOT_CONFIRMED, err=True)
    elif not known.is_erased:
        click.echo("nothing was erased; to do it, add --yes", err=True)


_CONFIRMED = "the worker that has the lead has forgotten it"
_NOT_CONFIRMED = (
    "it stays the last word; no worker has confirmed it. Exactly once they do not write that they have, and where none "
    "runs the next one reads it"
)


def _what(known: Known) -> str:
    if known.is_erased:
        return "erased already"
    if known.fields is None:
        return "a record that this version cannot read"
    return ", ".join(known.fields) or "a record that says nothing"
