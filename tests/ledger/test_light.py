"""Light readers: the ledger's keeper states its tag tree and proves by it, and cannot lie by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.ledger.disk import SimulatedDisk
from tests.ledger.ledgers import Ledger
from tests.ledger.vectors import LOG_VKEY, ORIGIN, identity_of, log_identity

from branchline.foundation.database import open_database, writing
from branchline.foundation.errors import Conflict, Corrupt, NotFound, Refused
from branchline.ledger.completeness import Kind, TopicReport
from branchline.ledger.entry import make_entry
from branchline.ledger.keeper import TagKeeper, check_reach
from branchline.ledger.light import (
    MOST_TAGS,
    LightProof,
    LightWanted,
    find_stated,
    open_light,
    read_lightly,
    shown_entry,
)
from branchline.ledger.log import Log
from branchline.ledger.proof.note import parse_key
from branchline.ledger.proof.policy import key_policy
from branchline.ledger.statements import REACH, make_statement
from branchline.ledger.tagproof import statement_topic
from branchline.ledger.tagtree import TagTree
from branchline.ledger.topics import LOOK_AHEAD, tag_of

Append = Callable[[Log, Iterable[bytes]], list[int]]
KEY = parse_key(LOG_VKEY)
POLICY = key_policy(KEY)
STATION, OTHER = identity_of(11), identity_of(12)
SECRET, ANOTHER = bytes([5]) * 32, bytes([6]) * 32
ACTORS = {STATION.id: STATION.public}
EVERY = 40


def leaves_to(size: int) -> list[bytes]:
    """Return leaves of which each fortieth is an act of the station."""
    filler = [make_entry({}, OTHER, tags=[tag_of(ANOTHER, n)]).leaf for n in range(3)]
    return [
        make_entry({"n": at}, STATION, tags=[tag_of(SECRET, at // EVERY)]).leaf
        if at % EVERY == 0
        else filler[at]
        if at < len(filler)
        else b"somebody's entry %d" % at
        for at in range(size)
    ]


LEAVES = leaves_to(600)


class Keeping:
    """A ledger, whoever keeps its tag tree, and a light reader."""

    def __init__(self, engine: Engine, disk: SimulatedDisk, append: Append) -> None:
        self.engine, self.disk, self._append = engine, disk, append
        self.now = 0.0
        self.restart()

    def restart(self) -> None:
        """Open everything anew from what is stored."""
        self.log = Log(self.engine, self.disk, ORIGIN, log_identity())
        self.keeper = TagKeeper(self.log, self.disk.read, log_identity(), lambda: self.now)

    def grow(self, *leaves: bytes) -> None:
        """Append and publish."""
        self._append(self.log, leaves)
        self.log.integrate()

    def state(self) -> int | None:
        """Enter the statement that is due; return where it stands."""
        statement = self.keeper.due()
        if statement is None:
            return None
        with writing(self.engine) as connection:
            position = self.log.append(connection, statement.leaf)
        self.keeper.entered(position)
        self.log.integrate()
        return position

    def ask(self, wanted: LightWanted) -> LightProof:
        """Answer a light reader, as central does."""
        wanted.check()
        stated = self.keeper.stated
        assert stated is not None
        tags, positions = stated.prove(wanted.tags)
        receipts = self.log.prove_many([stated.position, *positions])
        statement, *rest = (shown_entry(each, self.log.leaf(each.index)) for each in receipts)
        return LightProof(receipts[0].checkpoint, stated.head, statement, tags.data, tuple(rest))


@pytest.fixture
def keeping(engine: Engine, disk: SimulatedDisk, append: Append) -> Keeping:
    """A ledger of 600 entries whose tag tree is stated."""
    made = Keeping(engine, disk, append)
    made.grow(*LEAVES)
    assert made.state() == 600
    return made


def test_a_light_reader_finds_all_entries_that_concern_him(keeping: Keeping) -> None:
    """Nothing but the policy and the topic's secret; what came after the tree is not in it."""
    keeping.grow(make_entry({}, STATION, tags=[tag_of(SECRET, 15)]).leaf)
    found = read_lightly(keeping.ask, SECRET, ACTORS, POLICY)
    report = found.report
    assert (report.complete, report.covered, report.count) == (True, 512, 13)
    assert [each.position for each in report.entries] == list(range(0, 512, EVERY))
    assert found.bytes < 20_000
    nothing = read_lightly(keeping.ask, bytes(32), ACTORS, POLICY).report
    assert (nothing.complete, nothing.count) == (True, 0)


def test_a_reader_asks_no_more_often_than_it_takes(keeping: Keeping) -> None:
    """Once for what is not there; else once more, for as many numbers beyond the last found."""
    asked: list[int] = []

    def ask(wanted: LightWanted) -> LightProof:
        asked.append(len(wanted.tags))
        return keeping.ask(wanted)

    read_lightly(ask, bytes(32), ACTORS, POLICY)
    assert asked == [LOOK_AHEAD]
    asked.clear()
    found = len(read_lightly(ask, SECRET, ACTORS, POLICY).report.entries)
    assert asked == [LOOK_AHEAD, found + LOOK_AHEAD]


def test_what_a_reader_knows_has_to_be_there(keeping: Keeping) -> None:
    """A number whose entry the tree covers and does not show is a gap; later ones are not asked."""
    known = [*range(0, 600, EVERY), None]
    assert read_lightly(keeping.ask, SECRET, ACTORS, POLICY, known=known).report.complete
    more = [*range(0, 512, EVERY), 511]
    report = read_lightly(keeping.ask, SECRET, ACTORS, POLICY, known=more).report
    assert [each.kind for each in report.incidents] == [Kind.GAP]


def test_nothing_is_stated_below_256_entries_and_then_once_in_256(
    engine: Engine, disk: SimulatedDisk, append: Append
) -> None:
    """However many checkpoints there are; several hundred entries at once get one statement."""
    keeping = Keeping(engine, disk, append)
    assert (keeping.state(), keeping.keeper.stated) == (None, None)
    keeping.grow(*LEAVES[:255])
    assert keeping.state() is None
    keeping.grow(LEAVES[255])
    assert keeping.state() == 256
    for leaf in LEAVES[257:300]:
        keeping.grow(leaf)
        assert keeping.state() is None
    keeping.grow(*LEAVES[300:], *[b"more"] * 500)
    assert keeping.state() == len(LEAVES) + 500
    stated = keeping.keeper.stated
    assert stated is not None
    assert stated.head.covered == (len(LEAVES) + 500) // 256 * 256


def test_a_costly_tree_is_not_made_often(
    engine: Engine, disk: SimulatedDisk, append: Append
) -> None:
    """After one that took a second, the next one waits for half a minute."""
    keeping = Keeping(engine, disk, append)
    keeping.grow(*LEAVES[:256])
    moments = iter((5.0, 5.0, 6.0))
    keeping.keeper = TagKeeper(
        keeping.log, disk.read, log_identity(), lambda: next(moments, keeping.now)
    )
    keeping.now = 35.5
    assert keeping.state() == 256
    keeping.grow(*LEAVES[256:])
    assert (keeping.state(), keeping.keeper.rest) == (None, 0.5)
    keeping.now = 36.0
    assert keeping.state() == len(LEAVES) + 1


def test_a_restart_finds_the_statement_and_makes_its_tree_anew(keeping: Keeping) -> None:
    """The same proofs as before, and no second statement of the same entries."""
    before = keeping.ask(LightWanted((tag_of(SECRET, 0),)))
    keeping.restart()
    assert keeping.keeper.stated is None
    assert keeping.state() is None
    assert keeping.ask(LightWanted((tag_of(SECRET, 0),))) == before
    keeping.grow(*[b"more"] * 200)
    assert keeping.state() == 801


def test_a_statement_that_could_not_be_entered_is_due_again(keeping: Keeping) -> None:
    """The same one, though the ledger has grown meanwhile by less than a bundle."""
    keeping.grow(*[b"more"] * 200)
    first = keeping.keeper.due()
    keeping.grow(b"another")
    assert first is not None
    assert keeping.keeper.due() == first


def test_a_statement_is_found_however_long_ago_it_was(keeping: Keeping) -> None:
    """Ledgers grow while nothing can be stated."""
    found = keeping.keeper._last(5000)
    assert found == (512, 600)


def test_a_flipped_bit_comes_into_no_statement(
    engine: Engine, disk: SimulatedDisk, append: Append
) -> None:
    """The entries on disk are held against the signed root before a tree is made of them."""
    keeping = Keeping(engine, disk, append)
    keeping.grow(*LEAVES)
    name = "tile/entries/000"
    good = disk.read(name)
    for at in (2, len(good) // 2, len(good) - 1):
        disk.write(name, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(Corrupt):
            keeping.keeper.due()
    disk.write(name, good)
    assert keeping.state() == 600


def test_a_statement_of_another_tree_is_noticed_at_the_next_start(
    engine: Engine, disk: SimulatedDisk, append: Append
) -> None:
    """Nothing is proven by it, and nothing is stated beside it."""
    keeping = Keeping(engine, disk, append)
    keeping.grow(*LEAVES)
    true = keeping.keeper.due()
    assert true is not None
    keeping.keeper.entered(600)
    stated = keeping.keeper.stated
    assert stated is not None
    head = msgspec.structs.replace(stated.head, root=bytes(32))
    keeping.restart()
    keeping.grow(make_statement(head, ORIGIN, log_identity()).leaf)
    with pytest.raises(Corrupt, match="no statement of this head"):
        keeping.keeper.due()
    with pytest.raises(Corrupt, match="no statement of this head"):
        find_stated(enumerate([*LEAVES, make_statement(head, ORIGIN, log_identity()).leaf]), KEY)


def test_an_occupied_number_is_passed_over(
    engine: Engine, disk: SimulatedDisk, append: Append
) -> None:
    """Everybody knows the statements' tags; who takes one delays light readers, and no more."""
    keeping = Keeping(engine, disk, append)
    squatter = make_entry({}, OTHER, tags=[tag_of(statement_topic(ORIGIN), 2)]).leaf
    keeping.grow(*LEAVES[:-1], squatter)
    with pytest.raises(Conflict):
        keeping.state()
    keeping.keeper.passed_over()
    assert keeping.state() is None
    keeping.grow(*[b"more"] * 200)
    assert keeping.state() == 800
    keeping.restart()
    assert keeping.state() is None
    keeping.keeper.due()
    assert keeping.keeper.stated is not None
    assert keeping.keeper.stated.position == 800


def test_a_squatter_alone_is_no_statement(
    engine: Engine, disk: SimulatedDisk, append: Append
) -> None:
    """After a restart his entry is not taken for one."""
    keeping = Keeping(engine, disk, append)
    keeping.grow(
        *LEAVES[:256], make_entry({}, OTHER, tags=[tag_of(statement_topic(ORIGIN), 0)]).leaf
    )
    keeping.restart()
    assert keeping.state() == 257


def test_a_statement_that_comes_too_late_is_not_entered() -> None:
    """Nobody would take it for one."""
    check_reach((REACH + 2) * 256 - 1, 256)
    with pytest.raises(Refused, match="cannot stand at"):
        check_reach((REACH + 2) * 256, 256)


def test_a_copy_proves_what_the_keeper_proves(keeping: Keeping) -> None:
    """Who holds all entries makes the same proof, and asks nobody."""
    leaves = [*LEAVES, keeping.log.leaf(600)]
    stated = find_stated(enumerate(leaves), KEY)
    tags = [tag_of(SECRET, number) for number in range(13 + LOOK_AHEAD)]
    assert stated.tags_of(SECRET, 0) == tags
    assert stated.tags_of(SECRET, 15) == [*tags, tag_of(SECRET, 29), tag_of(SECRET, 30)]
    assert stated.prove(tags)[0].data == keeping.ask(LightWanted(tuple(tags))).tags
    with pytest.raises(NotFound, match="states no tag tree yet"):
        find_stated(enumerate(LEAVES), KEY)
    early = make_statement(TagTree().head, ORIGIN, log_identity()).leaf
    first = find_stated(enumerate([early]), KEY)
    assert (first.position, first.head) == (0, TagTree().head)


def test_a_topic_may_have_as_many_entries_as_can_be_asked_for(keeping: Keeping) -> None:
    """1,008 numbers are asked for at once; one more is refused, and the ledger is to be read."""
    known: list[int | None] = [None] * (MOST_TAGS - LOOK_AHEAD)
    report = read_lightly(keeping.ask, SECRET, ACTORS, POLICY, known=known).report
    assert (report.complete, report.count) == (True, 13)
    with pytest.raises(Refused, match=f"more than {MOST_TAGS - LOOK_AHEAD} entries"):
        read_lightly(keeping.ask, SECRET, ACTORS, POLICY, known=[*known, None])


def test_what_is_known_to_be_covered_is_asked_for(keeping: Keeping) -> None:
    """An entry at the last position covered counts, one after it does not yet."""
    numbers = [*range(0, 512, EVERY)]
    for at, complete in ((511, False), (512, True), (None, True)):
        found = read_lightly(keeping.ask, SECRET, ACTORS, POLICY, known=[*numbers, at])
        assert found.report.complete is complete
        assert found.report.count == 13 + (not complete)


def test_half_a_character_in_a_checkpoint_is_no_checkpoint(keeping: Keeping) -> None:
    """Whoever answers may put anything there."""
    proof = keeping.ask(LightWanted((tag_of(SECRET, 0),)))
    broken = msgspec.structs.replace(proof, checkpoint=proof.checkpoint + "\ud800")
    with pytest.raises(Corrupt):
        open_light(broken, POLICY)
    with pytest.raises(Corrupt):
        broken.accepted(POLICY)
    assert proof.accepted(POLICY)


# Who answers lies


LIES: dict[str, Callable[[Keeping, LightProof], LightProof]] = {
    "leaves an entry out": lambda _, p: msgspec.structs.replace(p, entries=p.entries[1:]),
    "shows another entry": lambda k, p: msgspec.structs.replace(
        p, entries=(*p.entries[:-1], msgspec.structs.replace(p.entries[-1], leaf=k.log.leaf(0)))
    ),
    "shows the entry of another place": lambda _, p: msgspec.structs.replace(
        p, entries=(*p.entries[:-1], msgspec.structs.replace(p.entries[0], position=480))
    ),
    "names another root": lambda _, p: msgspec.structs.replace(
        p, head=msgspec.structs.replace(p.head, root=bytes(32))
    ),
    "says that the tree covers more": lambda _, p: msgspec.structs.replace(
        p, head=msgspec.structs.replace(p.head, covered=p.head.covered + 256)
    ),
    "says that the tree covers less": lambda _, p: msgspec.structs.replace(
        p, head=msgspec.structs.replace(p.head, covered=256)
    ),
    "leaves the proof's last leaf out": lambda _, p: msgspec.structs.replace(p, tags=p.tags[:-32]),
    "shows an entry that states nothing": lambda _, p: msgspec.structs.replace(
        p, statement=p.entries[0]
    ),
    "signs another checkpoint": lambda _, p: msgspec.structs.replace(
        p, checkpoint=p.checkpoint.replace("\n601\n", "\n602\n")
    ),
    "answers another question": lambda k, p: k.ask(LightWanted((tag_of(ANOTHER, 0),))),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_noticed(keeping: Keeping, lie: str) -> None:
    """Whatever is left out or changed, the answer does not hold."""
    told = LIES[lie]
    with pytest.raises(Corrupt):
        read_lightly(lambda wanted: told(keeping, keeping.ask(wanted)), SECRET, ACTORS, POLICY)


def test_a_tree_without_an_entry_is_no_tree_that_is_stated(keeping: Keeping) -> None:
    """The keeper makes a tree without the station's third act, and has no statement for it."""
    keeper, stated = keeping.keeper, keeping.keeper.stated
    assert stated is not None
    without = [b"left out" if at == 2 * EVERY else leaf for at, leaf in enumerate(LEAVES)]
    tree = Ledger(without[:512]).tag_tree()
    keeper._stated = msgspec.structs.replace(stated, tree=tree, head=tree.head)
    with pytest.raises(Corrupt, match="no statement of this head"):
        read_lightly(keeping.ask, SECRET, ACTORS, POLICY)
    keeper._stated = msgspec.structs.replace(stated, tree=tree)
    with pytest.raises(Corrupt, match="does not lead to the root"):
        read_lightly(keeping.ask, SECRET, ACTORS, POLICY)


def test_a_statement_with_a_signature_of_somebody_else_is_none(
    engine: Engine, disk: SimulatedDisk, append: Append
) -> None:
    """It names the ledger's key, as anybody can write, and the right head."""
    keeping = Keeping(engine, disk, append)
    keeping.grow(*LEAVES)
    statement = keeping.keeper.due()
    assert statement is not None
    leaf = statement.leaf
    keeping.grow(leaf[:-5] + (b"A" if leaf[-5:-4] != b"A" else b"B") + leaf[-4:])
    keeping.keeper.entered(600)
    with pytest.raises(Corrupt, match="ignature"):
        open_light(keeping.ask(LightWanted((tag_of(SECRET, 0),))), POLICY)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_change_of_an_answer_goes_unnoticed(data: st.DataObject) -> None:
    """Any byte of the answer: it does not hold, or says the same of the topic."""
    proof, report = _whole()
    raw = bytearray(msgspec.msgpack.encode(proof))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        changed = msgspec.msgpack.decode(bytes(raw), type=LightProof)
        found = read_lightly(lambda _: changed, SECRET, ACTORS, POLICY)
    except (Corrupt, Refused, msgspec.DecodeError, UnicodeDecodeError):
        return
    assert found.report == report


@cache
def _whole() -> tuple[LightProof, TopicReport]:
    """Return an answer, and what it says."""
    engine = open_database("sqlite://")

    def append(log: Log, leaves: Iterable[bytes]) -> list[int]:
        with writing(engine) as connection:
            return [log.append(connection, leaf) for leaf in leaves]

    keeping = Keeping(engine, SimulatedDisk(), append)
    keeping.grow(*LEAVES)
    keeping.state()
    found = read_lightly(keeping.ask, SECRET, ACTORS, POLICY)
    engine.dispose()
    return found.proof, found.report


def test_what_is_no_tag_is_not_answered() -> None:
    """Nor more tags at once than a proof is to hold."""
    with pytest.raises(Refused, match="no tag"):
        LightWanted(("x" * 22,)).check()
    with pytest.raises(Refused, match="more than"):
        read_lightly(lambda _: _whole()[0], SECRET, ACTORS, POLICY, known=[None] * MOST_TAGS)
    most = msgspec.convert({"tags": ["A" * 22] * 1024}, LightWanted)
    assert len(most.tags) == MOST_TAGS
    for count in (0, 1025):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"tags": ["A" * 22] * count}, LightWanted)
