"""Monitoring: whoever kept one checkpoint can convict a log that shows another history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.disk import SimulatedDisk
from tests.ledger.histories import History, fork
from tests.ledger.parties import LOG_KEY
from tests.ledger.vectors import LOG_VKEY, entries

from branchline.foundation.errors import Corrupt
from branchline.ledger.proof.evidence import check_evidence
from branchline.ledger.witness.mirror import Mirror, catch_up
from branchline.ledger.witness.monitor import compare

TRUE, FORGED = fork(shared=2, size=300)


def shown(history: History, size: int) -> SimulatedDisk:
    """Give the files of a log that shows this history."""
    disk = SimulatedDisk()
    note = history.note(size).encode()
    catch_up(Mirror(disk, LOG_KEY), note, lambda piece: history.leaves[piece.start : size])
    return disk


FILES = {size: shown(FORGED, size) for size in (1, 5, 8, 255, 256, 257, 300)}


@given(st.integers(1, 300), st.sampled_from(sorted(FILES)))
def test_another_history_is_convicted_from_any_size(kept: int, now: int) -> None:
    """Also from powers of two, for which the log's own proof shows nothing."""
    evidence = compare(FILES[now].read, TRUE.note(kept).encode(), LOG_KEY)
    if kept <= 2 or kept > now:
        assert evidence is None
        return
    assert evidence
    found = check_evidence(evidence.text.encode(), LOG_VKEY)
    assert (found.smaller.size, found.larger.size) == (kept, now)
    assert compare(FILES[now].read, FORGED.note(kept).encode(), LOG_KEY) is None


def test_nothing_contradicts_the_empty_log() -> None:
    """Who kept the checkpoint of no entries kept nothing."""
    assert compare(FILES[5].read, TRUE.note(0).encode(), LOG_KEY) is None


def test_tiles_that_do_not_fit_are_no_evidence() -> None:
    """A log that shows rubbish is told so; rubbish is not what it signed."""
    disk = shown(TRUE, 300)
    disk.edit("tile/0/000", bytes(8192))
    with pytest.raises(Corrupt, match="not a continuation"):
        compare(disk.read, FORGED.note(8).encode(), LOG_KEY)


def test_what_the_log_did_not_sign_is_not_compared() -> None:
    """Neither what was kept nor what is shown is believed without the log's signature."""
    unsigned = History(entries(5), "other.example").note(5).encode()
    with pytest.raises(Corrupt, match="not signed by"):
        compare(FILES[5].read, unsigned, LOG_KEY)
    disk = shown(TRUE, 5)
    disk.edit("checkpoint", unsigned)
    with pytest.raises(Corrupt, match="not authentic"):
        compare(disk.read, TRUE.note(3).encode(), LOG_KEY)
