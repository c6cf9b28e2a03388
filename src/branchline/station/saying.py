"""An act that a command makes, beside the agent: stored, sent, and noted what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from branchline.foundation.errors import BranchlineError
from branchline.foundation.http.client import ApiClient
from branchline.foundation.ids import new_id
from branchline.journey import acts, messages
from branchline.ledger.entry import Entry
from branchline.station.outbox import RECORDED
from branchline.station.store import Sign, StationStore


async def say(
    store: StationStore, client: ApiClient, sign: Sign, act: acts.Act, about: Sequence[str] = ()
) -> Entry:
    """Have an act recorded now, or not at all; returns its entry.

    Args:
        store: The station's database.
        client: Central's API.
        sign: Makes its entry.
        act: The act, about no journey under way.
        about: The topics it belongs to, beside that of everything the station does.

    Raises:
        BranchlineError: Central refused it, or could not be reached; the ledger will be told that
            it was voided.
    """
    queued = store.queue("", 0, [], act, sign, about)
    message = messages.ActMessage(entry=queued.entry, beside=queued.beside)
    try:
        recorded = await client.call(
            "POST", "/v1/acts", body=message, answer=messages.Recorded, key=act.id
        )
    except BranchlineError as error:
        # Nobody waits for it any more. Should it have been recorded all the same, central
        # refuses the word that it was voided.
        voided = acts.ActVoided(
            id=new_id("act"),
            at=act.at,
            journey=None,
            kind=acts.kind_of(act),
            reason=error.refused[:500],
        )
        store.refused(queued, error.refused, voided, sign)
        raise
    store.settle(queued.row, RECORDED, recorded.position)
    store.write_settled()
    return queued.entry
