"""What central keeps of people: encrypted, apart, durable with its act, and gone once erased."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from branchline.central import tables
from branchline.central.founding import initialise
from branchline.central.service import CentralSettings, running
from branchline.central.store import Store
from branchline.foundation.database import compact, writing
from branchline.foundation.errors import BranchlineError, Conflict, NotAllowed, NotFound, Refused
from branchline.foundation.http.api import Caller
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.ledger.beside import Beside, SealedClass
from branchline.ledger.classes import ActorSecret, Sealed, open_beside
from branchline.ledger.entry import Entry
from branchline.ledger.files import FolderFiles
from branchline.ledger.log import Log

ME, SECRET = Identity.create(), ActorSecret(1, bytes(range(32)))
REASON = "Doctor Quack was on holiday"


def failed(reason: str = REASON) -> acts.JourneyFailed:
    """Return an act that says something of somebody."""
    return acts.JourneyFailed(id=new_id("act"), at="", journey=new_id("journey"), reason=reason)


def erasing(of: Entry, act: acts.JourneyAct, **changes: Any) -> acts.EntryErased:
    """Return the act that erases it."""
    plain: dict[str, Any] = {
        "entry": of.id,
        "part": acts.PEOPLE,
        "journey": act.journey,
        "study": None,
    }
    return acts.EntryErased(id=new_id("act"), at="", **(plain | changes))


class Central:
    """Central's store and log in a folder, without the program around it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        identity = initialise(folder, "people.test")
        self.store = Store(folder)
        self.log = Log(self.store.engine, FolderFiles(folder / "ledger"), "people.test", identity)

    def take(self, act: acts.Act, party: str = "me", *, beside: bool = True) -> Sealed:
        """Take an act in, as the desk does."""
        sealed = acts.seal_act(act, ME, SECRET)
        said = sealed.beside if beside else None
        acts.check_sealed(sealed.entry, act, said)
        with writing(self.store.engine) as connection:
            at = self.store.append(connection, self.log, sealed.entry, act, party, said)
            if isinstance(act, acts.EntryErased):
                self.store.people.erase(connection, at, act, party)
        compact(self.store.engine)
        return sealed

    def bytes(self) -> bytes:
        """Return every byte in the folder."""
        return every_byte(self.folder)


def every_byte(folder: Path) -> bytes:
    """Return all bytes of all files in a folder."""
    files = (each for each in sorted(folder.rglob("*")) if each.is_file())
    return b"".join(each.read_bytes() for each in files)


def people_in(entry: Entry) -> list[bytes]:
    """Return the disclosures of an entry that are about people."""
    return [text.encode() for text in acts.CLASSES.parted(entry)[1]]


@pytest.mark.parametrize("beside", [True, False])
def test_people_are_read_and_lie_nowhere_readably(tmp_path: Path, beside: bool) -> None:
    """Central gives the act back whole; no byte of its folder says what it says of people."""
    central, act = Central(tmp_path), failed()
    sealed = central.take(act, beside=beside)
    (stored,) = central.store.acts()
    assert acts.read_act(stored.entry, ME.public) == act
    (text,) = people_in(sealed.entry)
    assert text not in central.bytes()
    assert central.store.beside([sealed.entry.id]) == (
        {sealed.entry.id: sealed.beside} if beside else {}
    )


@pytest.mark.parametrize("beside", [True, False])
def test_what_is_erased_leaves_no_byte(tmp_path: Path, beside: bool) -> None:
    """Ciphertexts and the wrapped key go; the rest of the act, and its core beside it, stay."""
    central, act = Central(tmp_path), failed()
    sealed = central.take(act, beside=beside)
    with sqlite3.connect(tmp_path / "central.sqlite") as database:
        (kept,) = database.execute("SELECT data FROM people").fetchone()
    database.close()
    assert kept in central.bytes()
    central.take(erasing(sealed.entry, act))
    left = central.bytes()
    assert kept not in left
    if beside:
        part = sealed.beside.classes[acts.PEOPLE]
        spelled = msgspec.to_builtins(part)
        assert not any(spelled[name].encode() in left for name in ("data", "key"))
        found = central.store.beside([sealed.entry.id])[sealed.entry.id]
        assert found == sealed.beside.erased(acts.PEOPLE)
        opened = open_beside(Entry(sealed.entry.jws), found, SECRET)
        assert {"act", "id", "journey"} <= set(_names(opened))
        assert "reason" not in _names(opened)
    (stored,) = central.store.acts(kind="journey.failed")
    read = acts.expect_act(stored.entry, ME.public, acts.JourneyFailed)
    assert (read.reason, read.journey) == (acts.CLOSED, act.journey)
    assert central.store.erased() == {sealed.entry.id}


def _names(entry: Entry) -> list[str]:
    from branchline.ledger.entry import disclosed_name

    return [disclosed_name(text) for text in entry.disclosures]


def test_an_erasure_that_is_refused_erases_nothing(tmp_path: Path) -> None:
    """By another, of nothing, of another class, about something else, or a second time."""
    central, act = Central(tmp_path), failed()
    entry = central.take(act).entry
    finished = acts.StopFinished(
        id=new_id("act"), at="", journey=act.journey, station="north", record=None
    )
    other = central.take(finished).entry
    wrong: list[tuple[acts.EntryErased, str, type[BranchlineError]]] = [
        (erasing(entry, act), "somebody", NotAllowed),
        (erasing(entry, act, entry="sha256:" + "0" * 64), "me", NotFound),
        (erasing(entry, act, part=acts.CORE), "me", Refused),
        (erasing(entry, act, journey=None), "me", Conflict),
        (erasing(other, act), "me", NotFound),
    ]
    for erasure, party, error in wrong:
        with pytest.raises(error):
            central.take(erasure, party)
    assert len(central.store.acts()) == 2
    assert acts.read_act(central.store.acts()[0].entry, ME.public) == act
    central.take(erasing(entry, act))
    with pytest.raises(Conflict, match="before"):
        central.take(erasing(entry, act))
    assert len(central.store.erasures()) == 1


def test_an_act_and_what_lies_beside_it_are_durable_together(tmp_path: Path) -> None:
    """A transaction that fails at its very end leaves neither act nor anything beside it."""
    central, act = Central(tmp_path), failed()
    sealed = acts.seal_act(act, ME, SECRET)

    class Killed(Exception):
        pass

    with pytest.raises(Killed), writing(central.store.engine) as connection:
        central.store.append(connection, central.log, sealed.entry, act, "me", sealed.beside)
        raise Killed
    assert central.store.acts() == []
    assert central.store.beside([sealed.entry.id]) == {}
    central.take(act)
    assert len(central.store.acts()) == 1


async def test_the_next_start_overwrites_what_a_crash_left_of_something_erased(
    tmp_path: Path,
) -> None:
    """Killed after the commit, central leaves old bytes in the write-ahead log; it starts by emptying it."""
    central, act = Central(tmp_path / "killed"), failed()
    with writing(central.store.engine) as connection:
        central.store.add_party(connection, Caller("me", "person", ME.public))
    sealed = central.take(act)
    erasure = erasing(sealed.entry, act)
    with writing(central.store.engine) as connection:
        made = acts.seal_act(erasure, ME, SECRET)
        at = central.store.append(connection, central.log, made.entry, erasure, "me", made.beside)
        central.store.people.erase(connection, at, erasure, "me")
    wrapped = msgspec.to_builtins(sealed.beside.classes[acts.PEOPLE])["key"].encode()
    # A copy as a crash leaves it: the log of the database was never emptied.
    shutil.copytree(central.folder, tmp_path / "restarted")
    restarted = tmp_path / "restarted"
    assert wrapped in every_byte(restarted)
    async with running(CentralSettings(restarted, port=0)):
        assert wrapped not in every_byte(restarted)
    assert Store(restarted).erased() == {sealed.entry.id}


def test_what_an_earlier_version_kept_in_the_clear_is_parted(tmp_path: Path) -> None:
    """Found at the first start of this version; afterwards no byte says it, and it can be erased."""
    central, act = Central(tmp_path), failed()
    entry = central.take(act).entry
    with writing(central.store.engine) as connection:
        connection.execute(update(tables.acts).values(entry=msgspec.json.encode(entry)))
        for table in (tables.people, tables.beside):
            connection.execute(table.delete())
    (text,) = people_in(entry)
    assert text in central.bytes()
    assert acts.read_act(central.store.acts()[0].entry, ME.public) == act
    assert central.store.people.part_older(central.store.engine) == 1
    compact(central.store.engine, rebuild=True)
    assert text not in central.bytes()
    assert acts.read_act(central.store.acts()[0].entry, ME.public) == act
    assert central.store.people.part_older(central.store.engine) == 0
    central.take(erasing(entry, act))
    read = acts.read_act(central.store.acts(kind="journey.failed")[0].entry, ME.public)
    assert isinstance(read, acts.JourneyFailed)
    assert read.reason == acts.CLOSED


def test_what_comes_beside_an_act_must_be_its_own(tmp_path: Path) -> None:
    """All classes of its fields, none erased, people under a wrapped key; and the act whole."""
    act = failed()
    entry, beside = acts.seal_act(act, ME, SECRET)
    acts.check_sealed(entry, act, beside)
    acts.check_sealed(entry, act, None)
    core, people = beside.classes[acts.CORE], beside.classes[acts.PEOPLE]

    def with_classes(**classes: SealedClass) -> Beside:
        return msgspec.structs.replace(beside, classes=classes)

    for wrong in (
        with_classes(core=core),
        with_classes(core=core, people=people, technical=core),
        with_classes(core=core, people=SealedClass(erased=True)),
        with_classes(core=core, people=SealedClass(people.data)),
        with_classes(core=SealedClass(core.data, b"k"), people=people),
        with_classes(core=SealedClass(), people=people),
    ):
        with pytest.raises(Refused, match="does not hold the classes"):
            acts.check_sealed(entry, act, wrong)
    rest, _ = acts.CLASSES.parted(entry)
    with pytest.raises(Refused, match="all of its fields"):
        acts.check_sealed(rest, acts.read_act(rest, ME.public), beside)
