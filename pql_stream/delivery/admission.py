"""Which deliveries of a batch are to be tried at all, by what the ledger knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pql_stream.delivery.coalescing import coalesced
from pql_stream.delivery.lanes import Work
from pql_stream.delivery.outlet import Outlet
from pql_stream.delivery.patience import Patience
from pql_stream.delivery.recording import Recorder


@dataclass(frozen=True, slots=True)
class Admitted:
    """*works* are to be tried. *heads*: the leads among theirs that have a parked delivery, and their first one."""

    works: list[Work]
    heads: dict[str, str]


async def admitted(
    outlet: Outlet, works: Sequence[Work], recorder: Recorder, patience: Patience, *, are_parked: bool
) -> Admitted:
    """
    What of *works*, of which there is at least one, is not finished.

    What another carries is superseded before that one is tried, and though it may be finished already: were it left
    for later, a crash could have the older values follow it. Nothing is lost by that, as both are in this batch.
    Parked deliveries are not coalesced: in between there may be others of their lead, in another batch. They may
    have changed places on their way, and are put in order.

    Raises:
        GivenWay: the ledger does not answer, and the batch must.
        ClaimLost: somebody else has the partition.
    """
    together = sorted(works, key=lambda work: work.place) if are_parked else coalesced(works)
    recorder.superseded(one for work in together for one in work.carries)
    await recorder.report(patience)
    ledger = outlet.ports.ledger
    known = await patience.insist(lambda: ledger.look_up([work.ref for work in together]))
    left: list[Work] = []
    heads: dict[str, str] = {}
    unlisted: list[Work] = []
    for work, one in zip(together, known, strict=True):
        if one.row.is_over_for(work.delivery.copy):
            continue
        left.append(work)
        if one.head is not None:
            heads[work.delivery.lead_id] = one.head
        else:
            unlisted.append(work)
    if are_parked and unlisted:
        # The ledger was emptied, or the worker that parked them did not get to tell it.
        refs = [work.ref for work in unlisted]
        await patience.insist(lambda: ledger.park(recorder.partition, outlet.owner, refs))
    return Admitted(left, heads)
