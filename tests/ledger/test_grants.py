"""Grants: exactly what they say is opened, for exactly whom they were made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.vectors import log_identity

from branchline.foundation.encoding import to_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.jws import sign_jws
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import seal
from branchline.ledger.beside import Beside
from branchline.ledger.classes import (
    ActorSecret,
    Classes,
    ClassKey,
    EntryKey,
    entry_key,
    seal_by_class,
)
from branchline.ledger.entry import Entry, disclosure, open_entry
from branchline.ledger.grants import (
    GRANT_TYPE,
    Grant,
    OneField,
    Opened,
    granted_by,
    one_field,
    open_grant,
    open_granted,
    seal_grant,
    try_grant,
)

ACTOR, OTHER, AUDITOR, STRANGER = log_identity(), *(Identity.create() for _ in range(3))
AT = datetime(2026, 11, 21, tzinfo=UTC)
OF = {"act": "core", "at": "core", "who": "people", "digest": "technical"}
CLASSES = Classes(OF, personal={"people"})
SECRETS = [ActorSecret(epoch, bytes([epoch]) * 32) for epoch in (1, 2)]


def _make(number: int, epoch: int, actor: Identity = ACTOR) -> tuple[Entry, Beside]:
    fields = {name: f"{name} {number}" for name in OF}
    return seal_by_class(fields, actor, secret=SECRETS[epoch], classes=CLASSES)


# Two entries in each of two epochs.
SEALED = [_make(number, number // 2) for number in range(4)]
CLOSED = [(Entry(entry.jws), beside) for entry, beside in SEALED]

items = st.one_of(
    st.tuples(st.just("class"), st.integers(0, 1), st.sampled_from(sorted(set(OF.values())))),
    st.tuples(st.just("entry"), st.integers(0, 3), st.sampled_from(sorted(set(OF.values())))),
    st.tuples(st.just("field"), st.integers(0, 3), st.sampled_from(sorted(OF))),
)


def item(kind: str, which: int, name: str) -> ClassKey | EntryKey | OneField:
    """Make one thing to be granted."""
    if kind == "class":
        return SECRETS[which].class_key(name)
    entry, beside = SEALED[which]
    if kind == "entry":
        return entry_key(entry, beside, name, SECRETS[which // 2])
    return one_field(entry, name)


def granted(*what: ClassKey | EntryKey | OneField) -> Grant:
    """Make a grant and open it as its recipient."""
    return open_grant(seal_grant(what, ACTOR, AUDITOR.public, AT), AUDITOR, ACTOR.public)


@given(st.sets(items, min_size=1, max_size=5))
def test_a_grant_opens_exactly_what_it_says(what: set[tuple[str, int, str]]) -> None:
    """Every field of every entry is opened if something granted covers it, and only then."""
    grant = granted(*(item(*one) for one in sorted(what)))
    opened: set[tuple[int, str]] = set()
    for at, (entry, beside) in enumerate(CLOSED):
        fields = open_entry(open_granted(entry, beside, grant), ACTOR.public)
        assert fields == {name: f"{name} {at}" for name in fields}
        opened |= {(at, name) for name in fields}
    assert opened == {
        (at, name)
        for at in range(4)
        for name in OF
        if what & {("class", at // 2, OF[name]), ("entry", at, OF[name]), ("field", at, name)}
    }
    tried = {(one.entry, name) for one in try_grant(grant, CLOSED) for name in one.fields}
    assert tried == {(CLOSED[at][0].id, name) for at, name in opened}


def test_only_its_recipient_opens_a_grant() -> None:
    """Nobody else can read it; and it is refused where it was sealed anew to somebody else."""
    sealed = seal_grant([item("class", 0, "core")], ACTOR, AUDITOR.public, AT)
    with pytest.raises(Corrupt):
        open_grant(sealed, STRANGER, ACTOR.public)
    passed_on = seal(_token(granted(item("class", 0, "core"))).encode(), [STRANGER.public.seal])
    with pytest.raises(Corrupt, match="passed on"):
        open_grant(passed_on, STRANGER, ACTOR.public)


def test_a_grant_is_its_actors() -> None:
    """Signed by another, or of another's entries, it is refused."""
    sealed = seal_grant([item("class", 0, "core")], OTHER, AUDITOR.public, AT)
    with pytest.raises(Corrupt):
        open_grant(sealed, AUDITOR, ACTOR.public)
    grant = msgspec.structs.replace(granted(item("class", 0, "core")), actor=OTHER.id)
    with pytest.raises(Corrupt, match="another actor"):
        open_grant(_sealed(grant), AUDITOR, ACTOR.public)


def test_a_grant_opens_no_other_actors_entries() -> None:
    """Even one who used the same secret: a grant is about its signer's entries."""
    entry, beside = _make(0, 0, OTHER)
    grant = granted(item("class", 0, "core"))
    assert open_granted(Entry(entry.jws), beside, grant).disclosures == ()
    forged = msgspec.structs.replace(grant, fields=(one_field(entry, "act"),))
    assert open_granted(Entry(entry.jws), None, forged).disclosures == ()


def test_a_grant_ends_with_its_epoch() -> None:
    """Entries of the next epoch stay closed to the keys of this one."""
    grant = granted(*(item("class", 0, name) for name in sorted(set(OF.values()))))
    opened = [open_granted(entry, beside, grant).disclosures for entry, beside in CLOSED]
    assert [len(disclosures) for disclosures in opened] == [4, 4, 0, 0]


def test_what_was_erased_is_granted_to_nobody() -> None:
    """A key granted before opens nothing that was erased since; the rest of the grant does."""
    grant = granted(
        item("entry", 0, "people"), item("class", 0, "people"), item("class", 0, "core")
    )
    entry, beside = CLOSED[0]
    assert set(_names(open_granted(entry, beside, grant))) == {"who", "act", "at"}
    assert set(_names(open_granted(entry, beside.erased("people"), grant))) == {"act", "at"}


def test_a_grant_that_lies_is_noticed() -> None:
    """A key under another label does not open what the label says, and the entry is named."""
    wrong = msgspec.structs.replace(SECRETS[0].class_key("people"), name="core")
    for liar in (wrong, EntryKey(CLOSED[0][0].id, "core", bytes(32))):
        grant = granted(liar)
        with pytest.raises(Corrupt, match=CLOSED[0][0].id):
            try_grant(grant, CLOSED)
    foreign = OneField(CLOSED[0][0].id, one_field(SEALED[1][0], "act").disclosure)
    with pytest.raises(Corrupt, match=CLOSED[0][0].id):
        try_grant(granted(foreign), CLOSED)


def test_an_entry_that_a_grant_names_has_to_be_at_hand() -> None:
    """What cannot be tried is said to be missing."""
    with pytest.raises(Refused, match=CLOSED[3][0].id):
        try_grant(granted(item("field", 3, "act")), CLOSED[:3])


def test_a_grant_tells_what_it_opens() -> None:
    """By entry: the classes whose keys it has, and all fields; without what lies beside, fields."""
    grant = granted(item("class", 0, "core"), item("field", 0, "who"))
    first, second = (entry.id for entry, _ in CLOSED[:2])
    assert try_grant(grant, CLOSED) == [
        Opened(first, ("core",), ("act", "at", "who")),
        Opened(second, ("core",), ("act", "at")),
    ]
    assert try_grant(grant, [(CLOSED[0][0], None)]) == [Opened(first, (), ("who",))]


def test_a_grant_has_8_mebibytes_at_most() -> None:
    """That many are read, and no more."""
    plain = msgspec.json.encode(granted(item("class", 1, "core")))
    for length in (1 << 23, (1 << 23) + 1):
        token = sign_jws(plain.ljust(length), ACTOR, typ=GRANT_TYPE)
        data = seal(token.encode(), [AUDITOR.public.seal])
        if length == 1 << 23:
            open_grant(data, AUDITOR, ACTOR.public)
            continue
        with pytest.raises(Corrupt, match="A grant is malformed: The grant has"):
            open_grant(data, AUDITOR, ACTOR.public)


def test_a_grant_that_nobody_could_read_is_not_made() -> None:
    """Eight fields of nearly a mebibyte fit into one, and are opened; nine are refused."""
    texts = [disclosure(f"field {number}", "x" * 780_000, bytes(16)) for number in range(9)]
    fields = [OneField(SEALED[0][0].id, text) for text in texts]
    whole = open_grant(seal_grant(fields[:8], ACTOR, AUDITOR.public, AT), AUDITOR, ACTOR.public)
    assert whole.fields == tuple(fields[:8])
    with pytest.raises(Refused, match="A grant of 9 things"):
        seal_grant(fields, ACTOR, AUDITOR.public, AT)


@pytest.mark.parametrize(
    "what",
    [[], [("class", 0, "core")] * 2, [("entry", 0, "core")] * 2, [("field", 0, "act")] * 2],
)
def test_a_grant_of_nothing_or_of_something_twice_is_refused(what: list[Any]) -> None:
    """By who makes it, and by who gets it."""
    with pytest.raises(Refused):
        seal_grant([item(*one) for one in what], ACTOR, AUDITOR.public, AT)
    plain = granted(item("class", 1, "technical"))
    values = [item(*one) for one in what]
    grant = msgspec.structs.replace(
        plain,
        classes=tuple(value for value in values if isinstance(value, ClassKey)),
        entries=tuple(value for value in values if isinstance(value, EntryKey)),
        fields=tuple(value for value in values if isinstance(value, OneField)),
    )
    with pytest.raises(Corrupt, match="malformed"):
        open_grant(_sealed(grant), AUDITOR, ACTOR.public)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"more": 1},
        {"at": "yesterday"},
        {"classes": [{"epoch": 1, "name": "core", "key": to_base64url(bytes(31))}]},
        {"classes": [{"epoch": 1, "name": "Core", "key": "A" * 43 + "="}]},
        {"entries": [{"entry": "sha256:12", "name": "core", "key": "A" * 43 + "="}]},
        {"fields": [{"entry": "sha256:" + "0" * 64, "disclosure": "e30"}]},
    ],
)
def test_a_grant_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    """A grant is read strictly, though it is signed."""
    plain = msgspec.to_builtins(granted(item("class", 1, "technical")))
    with pytest.raises(Corrupt, match="malformed"):
        open_grant(_sealed(plain | change), AUDITOR, ACTOR.public)


def test_another_statement_is_no_grant() -> None:
    """A statement of another type is refused, whatever it says."""
    token = sign_jws(msgspec.json.encode(granted(item("class", 1, "core"))), ACTOR, typ="other")
    with pytest.raises(Corrupt):
        open_grant(seal(token.encode(), [AUDITOR.public.seal]), AUDITOR, ACTOR.public)
    for noise in (b"", b"\xff", b"a.b.c"):
        for look in (granted_by, lambda data, who: open_grant(data, who, ACTOR.public)):
            with pytest.raises(Corrupt):
                look(seal(noise, [AUDITOR.public.seal]), AUDITOR)
    sealed = _sealed(granted(item("class", 1, "core")))
    assert granted_by(sealed, AUDITOR) == ACTOR.id


def test_no_key_is_ever_shown() -> None:
    """A grant's text names what it opens, and no key."""
    grant = granted(item("class", 0, "core"), item("entry", 0, "people"), item("field", 1, "act"))
    assert "ClassKey(…)" in repr(grant)
    assert repr(grant.fields[0]) == "OneField(…)"
    assert grant.fields[0].disclosure not in repr(grant)


def _names(entry: Entry) -> list[str]:
    return list(open_entry(entry, ACTOR.public))


def _token(grant: object) -> str:
    return sign_jws(msgspec.json.encode(grant), ACTOR, typ=GRANT_TYPE)


def _sealed(grant: object) -> Any:
    return seal(_token(grant).encode(), [AUDITOR.public.seal])
