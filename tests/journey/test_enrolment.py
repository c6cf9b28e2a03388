"""A witness key is announced by whoever has it, and signs nothing but cosignatures."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from branchline.foundation.errors import BranchlineError, Corrupt, Refused
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.journey.enrolment import announced, check_possession, witness_vkey
from branchline.ledger.proof.note import key_of

ME, WITNESS, OTHER = (Identity.create() for _ in range(3))
ORIGIN = "central.test/branchline"
BARE = acts.PartyEnrolled(
    id=new_id("act"), at="2026-11-21T12:00:00.000Z", name="north", kind="station", keys=ME.public
)
ENROLLED = announced(BARE, ORIGIN, WITNESS, "clinic")


def test_a_witness_shows_that_the_key_is_its_own() -> None:
    """What it announces holds; a party that is no witness has nothing to show."""
    check_possession(ENROLLED)
    check_possession(BARE)
    assert ENROLLED.witness == witness_vkey(ORIGIN, "north", WITNESS)
    assert ENROLLED.entity == "clinic"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": "south"}, Corrupt),
        ({"keys": OTHER.public}, Corrupt),
        ({"entity": "another"}, Corrupt),
        ({"entity": None}, Corrupt),
        ({"possession": b""}, Corrupt),
        ({"possession": OTHER.sign(b"x")}, Corrupt),
        ({"witness": witness_vkey(ORIGIN, "north", OTHER)}, Corrupt),
        ({"witness": key_of(f"{ORIGIN}/witness/north", WITNESS.public).text}, Refused),
        ({"witness": "north"}, Refused),
        ({"witness": ""}, Refused),
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any], error: type[BranchlineError]) -> None:
    """Neither name, keys, entity nor witness key can be exchanged under the same proof."""
    with pytest.raises(error):
        check_possession(msgspec.structs.replace(ENROLLED, **changes))


def test_the_signing_key_is_no_witness_key() -> None:
    """A cosignature names no cosigner: its key must be good for nothing else."""
    with pytest.raises(Refused, match="nothing else"):
        check_possession(announced(BARE, ORIGIN, ME, None))
