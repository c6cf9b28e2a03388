"""An actor's secrets: made once, never replaced, one after another."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.ledger.vectors import log_identity

from branchline.foundation.errors import Corrupt, NotFound
from branchline.ledger.classes import ActorSecret, Classes, open_beside, seal_by_class
from branchline.ledger.entry import Entry, open_entry
from branchline.ledger.epochs import Epochs

ACTOR = log_identity()
CLASSES = Classes({"act": "core", "who": "people"}, personal={"people"})


def test_the_first_secret_is_made_when_it_is_needed_and_stays(tmp_path: Path) -> None:
    """In a file of its own that only its owner reads."""
    epochs = Epochs(tmp_path)
    assert epochs.numbers == []
    first = epochs.current()
    assert (first.epoch, len(first.secret)) == (1, 32)
    assert Epochs(tmp_path).current() == first
    file = tmp_path / "epochs" / "1"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes() == first.secret


def test_the_next_epoch_is_seen_by_programs_that_run(tmp_path: Path) -> None:
    """Its secret follows from none before; the earlier ones stay, and open what they sealed."""
    running, command = Epochs(tmp_path), Epochs(tmp_path)
    first = running.current()
    entry, beside = seal_by_class({"act": "x", "who": "y"}, ACTOR, secret=first, classes=CLASSES)
    second = command.begin_next()
    assert running.current() == second
    assert (second.epoch, running.numbers) == (2, [1, 2])
    assert second.secret != first.secret
    assert running.secret(1) == first
    opened = open_beside(Entry(entry.jws), beside, running)
    assert open_entry(opened, ACTOR.public) == {"act": "x", "who": "y"}
    later = seal_by_class({"act": "x"}, ACTOR, secret=second, classes=CLASSES)
    assert open_beside(Entry(later.entry.jws), later.beside, first).disclosures == ()


def test_what_is_missing_or_damaged_is_said_and_never_replaced(tmp_path: Path) -> None:
    """An epoch that never was, one whose file was cut, and one sealed elsewhere."""
    Epochs(tmp_path).current()
    with pytest.raises(NotFound, match="epoch 7"):
        Epochs(tmp_path).secret(7)
    strange = seal_by_class({"act": "x"}, ACTOR, secret=ActorSecret(9, bytes(32)), classes=CLASSES)
    assert Epochs(tmp_path).key_for(strange.entry, strange.beside, "core") is None
    file = tmp_path / "epochs" / "1"
    file.write_bytes(b"short")
    with pytest.raises(Corrupt, match="damaged"):
        Epochs(tmp_path).current()
    assert file.read_bytes() == b"short"
