"""Trust policies: which logs, which witnesses, and how many of them (C2SP tlog-policy).

A policy is a text that people read and compare; whoever relies on one pins its digest. It is never
taken from those whose word it is to judge.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import Corrupt, Refused
from branchline.ledger.proof.checkpoint import Checkpoint, parse_checkpoint
from branchline.ledger.proof.cosignature import Cosigned, cosignatures, parse_cosigner_key
from branchline.ledger.proof.note import Note, VerifierKey, open_note, parse_key

NONE = "none"
"""The quorum that asks for no cosignature."""

MAX_POLICY = 1_000_000
"""The most bytes a policy may have."""

MAJORITY, TWO_THIRDS = "majority", "two-thirds"
"""The names of the quorum in a policy of ours: the first resists no dishonest witness."""

_FOREIGN = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
_ITEM = re.compile(r"[^ \t]+")
_COUNT = re.compile(r"[1-9][0-9]{0,8}")


class LogLine(msgspec.Struct, frozen=True):
    """A log whose checkpoints count, and where it may be reached."""

    key: VerifierKey
    url: str = ""


class WitnessLine(msgspec.Struct, frozen=True):
    """A witness by the name it has in this policy, and where it may be reached."""

    name: str
    key: VerifierKey
    url: str = ""


class Group(msgspec.Struct, frozen=True):
    """A group cosigns where ``threshold`` of its members do: witnesses, or groups above it."""

    name: str
    threshold: int
    members: tuple[str, ...]


class Verified(msgspec.Struct, frozen=True):
    """A checkpoint that a policy accepts.

    Args:
        checkpoint: What the log signed.
        cosigned: The witnesses' cosignatures, by the names they have in the policy.
    """

    checkpoint: Checkpoint
    cosigned: Mapping[str, Cosigned]


class Policy(msgspec.Struct, frozen=True):
    """Which checkpoints to believe: signed by one of the logs, cosigned by the quorum.

    Args:
        logs: Any of them may sign; their key names are their origins.
        witnesses: Whose cosignatures count.
        groups: Each refers to witnesses and to groups before it.
        quorum: A witness, a group, or ``none``.
    """

    logs: tuple[LogLine, ...]
    witnesses: tuple[WitnessLine, ...]
    groups: tuple[Group, ...]
    quorum: str

    @property
    def text(self) -> str:
        """The policy in its one canonical spelling, without comments."""
        return "".join(f"{' '.join(filter(None, items))}\n" for items in self._lines())

    @property
    def digest(self) -> Digest:
        """The name of the canonical text, to be pinned."""
        return digest_of(self.text.encode(errors="surrogateescape"))

    def satisfied_by(self, names: Collection[str]) -> bool:
        """Tell whether these witnesses are a quorum."""
        cosigned = set(names) & {witness.name for witness in self.witnesses}
        for group in self.groups:
            if sum(member in cosigned for member in group.members) >= group.threshold:
                cosigned.add(group.name)
        return self.quorum == NONE or self.quorum in cosigned

    def open(self, data: bytes) -> Verified:
        """Return the checkpoint in a note that this policy accepts.

        1. One of the logs signed it, and its origin is that log's name.
        2. Every cosignature by one of the witnesses holds.
        3. They are a quorum.

        Raises:
            Corrupt: A step fails; the sentence says which.
        """
        verified = self.open_signed(data)
        if not self.satisfied_by(verified.cosigned):
            raise Corrupt(
                f"A checkpoint of {verified.checkpoint.size} entries is cosigned by "
                f"{_listed(verified.cosigned)}; the policy asks for {self.quorum}",
                detail={"size": verified.checkpoint.size, "cosigned": sorted(verified.cosigned)},
            )
        return verified

    def open_signed(self, data: bytes) -> Verified:
        """Do as ``open`` does, whether or not the cosignatures are a quorum."""
        note = open_note(data, [log.key for log in self.logs])
        checkpoint = parse_checkpoint(note.text)
        signers = {(signature.name, signature.key_id) for signature in note.signatures}
        if not any(
            log.key.name == checkpoint.origin and (log.key.name, log.key.id) in signers
            for log in self.logs
        ):
            raise Corrupt(
                f"A checkpoint is of {checkpoint.origin[:80]}, which none of its signers is"
            )
        return Verified(checkpoint, self.cosigned(note))

    def cosigned(self, note: Note) -> dict[str, Cosigned]:
        """Return the witnesses' cosignatures on a note, each verified, the latest of each.

        Raises:
            Corrupt: A cosignature by one of the witnesses does not hold.
        """
        names = {witness.key: witness.name for witness in self.witnesses}
        found = sorted(cosignatures(note, names), key=lambda cosigned: cosigned.at)
        return {names[cosigned.key]: cosigned for cosigned in found}

    def sees_all_quorums(self, names: Collection[str]) -> bool:
        """Tell whether every quorum there can be has at least one of these witnesses in it."""
        others = {witness.name for witness in self.witnesses} - set(names)
        return not self.satisfied_by(others)

    def _lines(self) -> Iterator[tuple[str, ...]]:
        for log in self.logs:
            yield "log", log.key.text, log.url
        for witness in self.witnesses:
            yield "witness", witness.name, witness.key.text, witness.url
        for group in self.groups:
            yield "group", group.name, _threshold(group), *group.members
        yield "quorum", self.quorum


def parse_policy(data: bytes) -> Policy:
    """Read a policy strictly, by every rule of tlog-policy.

    Raises:
        Refused: The first line that breaks a rule is named.
    """
    if len(data) > MAX_POLICY or _FOREIGN.search(data):
        raise Refused(
            f"A policy has at most {MAX_POLICY} bytes, and no control characters but tab and line end"
        )
    *lines, rest = data.decode(errors="surrogateescape").split("\n")
    if rest:
        raise Refused("The last line of the policy does not end", advice="Add a line end")
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        items = _ITEM.findall(line)
        if items and not items[0].startswith("#"):
            try:
                reader.read(*items)
            except Refused as error:
                raise Refused(f"Line {number} of the policy: {error.refused}") from error
    return reader.policy()


def key_policy(log: VerifierKey) -> Policy:
    """Return the policy that asks for nothing but one log's signature."""
    return Policy((LogLine(log),), (), (), NONE)


def default_policy(log: VerifierKey, witnesses: Mapping[str, Sequence[VerifierKey]]) -> Policy:
    """Return the policy in which every legal entity has one voice, however many witnesses it runs.

    From four entities on, the quorum is 1 + ⌊2n/3⌋: fewer than a third of them, being dishonest,
    cannot help a log to two histories. Below four it is a majority, ⌊n/2⌋ + 1, and named so: it
    resists a dishonest log, but promises nothing where a witness is dishonest, too
    (``dishonest_tolerated`` counts). Without any witness it is ``none``.

    Args:
        log: The log's key.
        witnesses: By legal entity, the keys of its witnesses; their key names name them.

    Raises:
        Refused: A name is used twice, or a key is; or an entity has no witness.
    """
    lines = [f"log {log.text}"]
    for keys in witnesses.values():
        lines += [f"witness {key.name} {key.text}" for key in keys]
    for entity, keys in witnesses.items():
        lines.append(f"group {entity} any {' '.join(key.name for key in keys)}")
    count = len(witnesses)
    if any(log.key == key.key for keys in witnesses.values() for key in keys):
        raise Refused("A log cannot be its own witness", advice="Give the witness a key of its own")
    if count:
        name = MAJORITY if count < 4 else TWO_THIRDS
        lines.append(f"group {name} {quorum_of(count)} {' '.join(witnesses)}")
        lines.append(f"quorum {name}")
    else:
        lines.append(f"quorum {NONE}")
    return parse_policy("".join(f"{line}\n" for line in lines).encode())


def quorum_of(count: int) -> int:
    """Return how many of so many legal entities have to cosign."""
    return 1 + 2 * count // 3 if count >= 4 else count // 2 + 1


def dishonest_tolerated(count: int, threshold: int) -> int:
    """Return how many dishonest ones of ``count`` witnesses cannot help a log to two histories.

    The largest f with threshold > count - ⌈(count - f) / 2⌉; -1 if not even an honest set will do.
    """
    return max(
        (f for f in range(count + 1) if threshold > count - (count - f + 1) // 2), default=-1
    )


class _Reader:
    """The lines read so far."""

    def __init__(self) -> None:
        self._logs: list[LogLine] = []
        self._witnesses: list[WitnessLine] = []
        self._groups: list[Group] = []
        self._quorum: str | None = None
        self._names: set[str] = set()
        self._members: set[str] = set()

    def read(self, keyword: str, *items: str) -> None:
        """Take one line in."""
        match keyword, items:
            case "log", (key, *url) if len(url) <= 1:
                self._log(key, *url)
            case "witness", (name, key, *url) if len(url) <= 1:
                self._witness(name, key, *url)
            case "group", (name, threshold, *members) if members:
                self._group(name, threshold, members)
            case "quorum", (name,):
                self._set_quorum(name)
            case _:
                raise Refused(
                    f"{keyword[:80]!r} with {len(items)} items is neither 'log <vkey> [<url>]' nor "
                    "'witness <name> <vkey> [<url>]' nor 'group <name> all|any|<k> <member>…' nor "
                    "'quorum <name>'"
                )

    def policy(self) -> Policy:
        """Return the whole policy."""
        if self._quorum is None:
            raise Refused("The policy has no quorum", advice="Add a line 'quorum <name>'")
        return Policy(tuple(self._logs), tuple(self._witnesses), tuple(self._groups), self._quorum)

    def _log(self, text: str, url: str = "") -> None:
        key = parse_key(text)
        if any(key.key == log.key.key for log in self._logs):
            raise Refused("the key of this log has its line already")
        self._logs.append(LogLine(key, url))

    def _witness(self, name: str, text: str, url: str = "") -> None:
        self._define(name)
        key = parse_cosigner_key(text)
        if any(key.key == witness.key.key for witness in self._witnesses):
            raise Refused("the key of this witness has its line already")
        self._witnesses.append(WitnessLine(name, key, url))

    def _group(self, name: str, threshold: str, members: list[str]) -> None:
        for member in members:
            if member not in self._names:
                raise Refused(f"the member {member[:80]!r} is not defined above")
            if member in self._members:
                raise Refused(f"{member[:80]!r} is a member already; each has one voice")
            self._members.add(member)
        self._define(name)
        counts = {"any": 1, "all": len(members)}
        if threshold not in counts and not _COUNT.fullmatch(threshold):
            raise Refused(f"the threshold {threshold[:20]!r} is not 'any', 'all' or a number")
        count = counts.get(threshold) or int(threshold)
        if count > len(members):
            raise Refused(f"a group of {len(members)} cannot need {count}")
        self._groups.append(Group(name, count, tuple(members)))

    def _set_quorum(self, name: str) -> None:
        if self._quorum is not None:
            raise Refused("there is a quorum already")
        if name != NONE and name not in self._names:
            raise Refused(f"the quorum {name[:80]!r} is not defined above")
        self._quorum = name

    def _define(self, name: str) -> None:
        if name == NONE or name in self._names:
            raise Refused(f"the name {name[:80]!r} is taken")
        self._names.add(name)


def _threshold(group: Group) -> str:
    if group.threshold == len(group.members):
        return "all"
    return "any" if group.threshold == 1 else str(group.threshold)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "nobody"
