"""Of whom central hears before it goes on."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from branchline.central.founding import initialise
from branchline.central.starting import quorum_at_start
from branchline.central.store import Store
from branchline.foundation.database import writing
from branchline.foundation.keys import Identity
from branchline.ledger.files import FolderFiles
from branchline.ledger.log import Log
from branchline.ledger.proof.cosignature import cosign, cosigner_key
from branchline.ledger.proof.note import Note, key_of, parse_note

ORIGIN = "central.test/branchline"
KEYS = {name: Identity.create() for name in ("north", "south", "west", "absent")}


def test_who_cosigned_lately_is_waited_for(tmp_path: Path) -> None:
    """All of the last checkpoints count: the very last may have been seen by one witness only."""
    own, store = initialise(tmp_path, ORIGIN), Store(tmp_path)
    log, key = (
        Log(store.engine, FolderFiles(tmp_path / "ledger"), ORIGIN, own),
        key_of(ORIGIN, own.public),
    )
    with writing(store.engine) as connection:
        for name, identity in KEYS.items():
            vkey = cosigner_key(name, identity.public).text
            store.add_witness(connection, name, vkey, "coast" if name == "west" else None)
    assert quorum_at_start(store.engine, store, key).sees_all_quorums(()) is False
    assert quorum_at_start(store.engine, store, key).quorum == "none"

    def grow(names: Collection[str]) -> None:
        with writing(store.engine) as connection:
            log.append(connection, b"entry of %d" % len(names))
        log.integrate()
        note = parse_note(log.checkpoint())
        lines = [cosign(note.text, name, KEYS[name], 1_800_000_000) for name in names]
        log.keep(Note(note.text, (*note.signatures, *lines)).full_text.encode())

    grow(["north", "south", "west"])
    grow(["west"])
    policy = quorum_at_start(store.engine, store, key)
    assert {witness.name for witness in policy.witnesses} == {"north", "south", "west"}
    assert not policy.sees_all_quorums(["west"])
    assert policy.sees_all_quorums(["west", "north"])
