"""Check an auditor's package: the recipe of the verifier that it carries, done by this program.

Two implementations of one recipe, which must agree: this one stands on the rooms that made the
package, the other (``standalone/verify.py``) on nothing.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from branchline.foundation.canonical import parse_json
from branchline.foundation.decoding import convert
from branchline.foundation.digest import digest_of
from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import BranchlineError, Corrupt, NotFound, Refused
from branchline.foundation.jws import verify_jws
from branchline.foundation.keys import PublicKeys
from branchline.foundation.zips import DAMAGED_ZIP
from branchline.ledger.completeness import FullReader, Kind, LightReader, Reader, read_topic
from branchline.ledger.entry import ENTRY_TYPE, MAX_TAGS, Entry, open_entry, read_leaf
from branchline.ledger.package import (
    CONTENTS,
    EVIDENCE,
    FORMAT,
    LOG_CHECKPOINT,
    MAIN,
    POLICY,
    README,
    TAG_PROOF,
    VERIFIER,
    VKEY,
    Contents,
    Topic,
    ledger_names,
)
from branchline.ledger.proof.checkpoint import Checkpoint, parse_decimal
from branchline.ledger.proof.evidence import HEADER, check_evidence
from branchline.ledger.proof.policy import Policy, parse_policy
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt
from branchline.ledger.standalone.verify import RECIPE
from branchline.ledger.statements import check_statement
from branchline.ledger.tagproof import TagTreeHead, parse_tag_proof

_FIXED = {README, MAIN, POLICY, VERIFIER, VKEY, LOG_CHECKPOINT}
_ENTRY = re.compile(r"entries/(0|[1-9][0-9]{0,18})\.(sd-jwt|tlog-proof)")
_OTHERS = re.compile(r"log/tile/[0-9x/a-z.]+|tags/proof|evidence/[^/]+")
_MOST_CONTENTS = 1 << 28

Found = dict[str, Any]


class Outcome(StrEnum):
    """How a step went."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not-reached"
    NOT_INCLUDED = "not-included"


class Step(msgspec.Struct, frozen=True):
    """What came of one step.

    Args:
        number: Counted from 1.
        name: A word for programs.
        says: What holds when the step passes, in one sentence.
        outcome: How it went.
        reason: Why it did not pass; empty if it did.
        found: What it found, as plain JSON values.
    """

    number: int
    name: str
    says: str
    outcome: Outcome
    reason: str = ""
    found: Found = {}


class PackageReport(msgspec.Struct, frozen=True):
    """What came of checking a package.

    Args:
        contents: What the package says of itself.
        steps: Every step, in order.
        entries: The open fields of every entry shown, by position.
        shown: Every entry shown, by position; to be opened further by whoever has a grant.
    """

    contents: Contents
    steps: tuple[Step, ...]
    entries: Mapping[int, Mapping[str, Any]]
    shown: Mapping[int, Entry] = {}

    @property
    def verified(self) -> bool:
        """Whether no step failed, and none was out of reach."""
        wrong = (Outcome.FAILED, Outcome.NOT_REACHED)
        return not any(step.outcome in wrong for step in self.steps)

    def require(self) -> None:
        """Refuse a package that does not hold.

        Raises:
            Corrupt: Naming the first step that failed.
        """
        for step in self.steps:
            if step.outcome is Outcome.FAILED:
                raise Corrupt(
                    f"The package does not hold; step {step.number} ({step.name}) fails: "
                    f"{step.reason}",
                    advice="Do not rely on it; ask its sender for another",
                )

    def step(self, name: str) -> Step:
        """Return what came of a step by its name."""
        return next(step for step in self.steps if step.name == name)


def verify_package(path: Path, *, policy_digest: str | None = None) -> PackageReport:
    """Check a package offline, step by step.

    Args:
        path: The file.
        policy_digest: The digest of the policy, from a source that is trusted; None to take the
            package's own, which then is to be compared by eye.

    Raises:
        Corrupt: Not a package, so that there is nothing to check.
        NotFound: There is no such file.
    """
    with _opened(path) as archive:
        case = _Case(archive, policy_digest)
        steps: list[Step] = []
        settled: set[str] = set()
        for number, (name, says, _, needs) in enumerate(RECIPE, 1):
            outcome, reason, found = _take(case, name, set(needs) - settled)
            if outcome in (Outcome.PASSED, Outcome.NOT_INCLUDED):
                settled.add(name)
            steps.append(Step(number, name, says, outcome, reason, found))
        return PackageReport(case.contents, tuple(steps), case.fields, case.entries)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise NotFound(f"There is no package {path}") from error
    except DAMAGED_ZIP as error:
        raise Corrupt(f"{path} is not a package: {error}") from error


class _Case:
    """What is checked, and what the steps before have found."""

    def __init__(self, archive: zipfile.ZipFile, pinned: str | None) -> None:
        self._archive, self.pinned = archive, pinned
        infos = archive.infolist()
        self.names = {info.filename for info in infos}
        if len(self.names) != len(infos) or any(info.compress_type for info in infos):
            raise Corrupt("A package stores each file once and uncompressed; this one does not")
        try:
            self.contents = parse_json(
                self.read(CONTENTS), Contents, what="list of contents", limit=_MOST_CONTENTS
            )
        except Refused as error:
            raise Corrupt(f"The package's list of contents is not that of {FORMAT}") from error
        self.keys: dict[str, PublicKeys] = {}
        for named in self.contents.keys:
            keys = PublicKeys(named.sign, "")
            if len(from_base64url(named.sign)) != 32 or keys.id in self.keys:
                raise Corrupt("The package names a malformed key, or one twice")
            self.keys[keys.id] = keys
        self.policy: Policy
        self.checkpoint: Checkpoint
        self.entries: dict[int, Entry] = {}
        self.fields: dict[int, dict[str, Any]] = {}
        self.reader: Reader | None = None

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        try:
            return self._archive.read(name)
        except (*DAMAGED_ZIP, KeyError) as error:
            raise Corrupt(f"The package's file {name[:200]} cannot be read") from error

    def evidence(self) -> list[str]:
        """Return the names of the files of evidence."""
        return sorted(name for name in self.names if name.startswith(EVIDENCE))


def _take(case: _Case, name: str, missing: set[str]) -> tuple[Outcome, str, Found]:
    if missing:
        return Outcome.NOT_REACHED, f"Needs the check {min(missing)!r}, which does not hold", {}
    check, included = _CHECKS[name]
    if not included(case):
        return Outcome.NOT_INCLUDED, "The package does not hold any of this", {}
    try:
        return Outcome.PASSED, "", check(case)
    except BranchlineError as error:
        return Outcome.FAILED, error.refused, {}


def _files(case: _Case) -> Found:
    listed = case.contents.files
    if odd := sorted((case.names - {CONTENTS}) ^ set(listed)):
        raise Corrupt(f"The file {odd[0][:200]} is missing, or not listed")
    for name, digest in listed.items():
        if not (name in _FIXED or _ENTRY.fullmatch(name) or _OTHERS.fullmatch(name)):
            raise Corrupt(f"The file {name[:200]} has no place in a package")
        if digest_of(case.read(name)) != digest:
            raise Corrupt(f"The file {name[:200]} is not the one that is listed")
    for position in sorted({_position(m[1]) for m in map(_ENTRY.fullmatch, listed) if m}):
        jws, *disclosures = case.read(f"entries/{position}.sd-jwt").decode("latin-1").split("~")
        case.read(f"entries/{position}.tlog-proof")
        if not disclosures or disclosures.pop():
            raise Corrupt(f"The entry {position} is not of the form <JWS>~<disclosure>~…~")
        case.entries[position] = Entry(jws, tuple(disclosures))
    return {"files": len(listed)}


def _position(text: str) -> int:
    return parse_decimal(text, "position in a name")


def _policy(case: _Case) -> Found:
    case.policy = parse_policy(case.read(POLICY))
    if case.pinned not in (None, case.policy.digest):
        raise Corrupt(f"The policy is {case.policy.digest}; expected {case.pinned}")
    if case.read(VKEY) not in [f"{log.key.text}\n".encode() for log in case.policy.logs]:
        raise Corrupt("The policy does not know the log whose key the package names")
    return {"policy": case.policy.digest, "compared": case.pinned is not None}


def _checkpoint(case: _Case) -> Found:
    case.checkpoint = case.policy.open(case.read(LOG_CHECKPOINT)).checkpoint
    return {"ledger": case.checkpoint.origin, "entries": case.checkpoint.size}


def _receipts(case: _Case) -> Found:
    for position, entry in case.entries.items():
        text = case.read(f"entries/{position}.tlog-proof").decode(errors="replace")
        receipt = parse_receipt(text)
        if receipt.index != position:
            raise Corrupt(f"The receipt of the entry {position} is another's")
        if verify_receipt(receipt, entry.leaf, case.policy) != case.checkpoint:
            raise Corrupt(f"The receipt of the entry {position} is at another checkpoint")
    return {"entries": len(case.entries)}


def _signatures(case: _Case) -> Found:
    for position, entry in case.entries.items():
        kid = read_leaf(entry.leaf).kid
        if kid not in case.keys:
            raise Corrupt(f"The entry {position} is signed by a key that the package does not name")
        verify_jws(entry.jws, case.keys[kid], typ=ENTRY_TYPE)
    return {"signers": len({read_leaf(entry.leaf).kid for entry in case.entries.values()})}


def _fields(case: _Case) -> Found:
    for position, entry in case.entries.items():
        case.fields[position] = open_entry(entry, case.keys[read_leaf(entry.leaf).kid])
    return {"fields": sum(map(len, case.fields.values()))}


def _ledger(case: _Case) -> Found:
    case.reader = FullReader(lambda path: case.read(f"log/{path}"), case.checkpoint)
    expected = {f"log/{name.path}" for name in ledger_names(case.checkpoint.size)}
    present = {name for name in case.names if name.startswith("log/")} - {LOG_CHECKPOINT}
    if extra := sorted(present - expected):
        raise Corrupt(f"The file {extra[0]} is no part of the ledger")
    return {"entries": case.checkpoint.size}


def _tags(case: _Case) -> Found:
    stated = case.contents.head
    assert stated is not None, "included"
    entry = case.entries.get(stated.position)
    if entry is None or read_leaf(entry.leaf).kid != stated.keeper:
        raise Corrupt("The head of the tag tree is in no entry by its keeper that is shown")
    fields = case.fields[stated.position]
    try:
        plain = {name: fields.get(name) for name in TagTreeHead.__struct_fields__}
        head = convert(plain, TagTreeHead)
    except msgspec.ValidationError:
        head = None
    if head is None or head.covered > stated.position:
        raise Corrupt(f"The entry {stated.position} does not state the head of a tag tree")
    log = next(line.key for line in case.policy.logs if line.key.name == case.checkpoint.origin)
    check_statement(entry.leaf, stated.position, head, log)
    leaves = {position: shown.leaf for position, shown in case.entries.items()}
    reader = LightReader(parse_tag_proof(case.read(TAG_PROOF)), head, leaves)
    case.reader = case.reader or reader  # the ledger itself, where it is here, says more
    return {"tags": head.size, "covered": head.covered}


def _topics(case: _Case) -> Found:
    return {topic.name: _topic(case, topic) for topic in case.contents.topics}


def _topic(case: _Case, topic: Topic) -> Found:
    if case.reader is None:
        raise Corrupt("The package holds neither the ledger nor a proof by its tag tree")
    if topic.at_least > MAX_TAGS * case.reader.covered or not set(topic.actors) <= set(case.keys):
        raise Corrupt(f"The topic {topic.name[:80]} is malformed")
    actors = {kid: case.keys[kid] for kid in topic.actors}
    secret = from_base64url(topic.secret)
    report = read_topic(case.reader, secret, actors, at_least=topic.at_least)
    wrong = [incident for incident in report.incidents if incident.kind is not Kind.FOREIGN]
    if wrong:
        raise Corrupt(f"The topic {topic.name[:80]} is not complete: {wrong[0].says}")
    strange = [incident.positions[0] for incident in report.incidents]
    return {"entries": len(report.entries), "covered": report.covered, "incidents": strange}


def _evidence(case: _Case) -> Found:
    names = case.evidence()
    return {name.removeprefix(EVIDENCE): _contradiction(case, case.read(name)) for name in names}


def _contradiction(case: _Case, data: bytes) -> str:
    if not data.startswith(f"{HEADER}\n".encode()):
        return "kept as it is, not judged"
    errors = []
    for log in case.policy.logs:
        try:
            return check_evidence(data, log.key.text).sentence
        except BranchlineError as error:
            errors.append(error)
    raise errors[0]


_CHECKS: Mapping[str, tuple[Callable[[_Case], Found], Callable[[_Case], bool]]] = {
    "files": (_files, lambda case: True),
    "policy": (_policy, lambda case: True),
    "checkpoint": (_checkpoint, lambda case: True),
    "receipts": (_receipts, lambda case: True),
    "signatures": (_signatures, lambda case: True),
    "fields": (_fields, lambda case: True),
    "ledger": (_ledger, lambda case: case.contents.ledger),
    "tags": (_tags, lambda case: case.contents.head is not None),
    "topics": (_topics, lambda case: bool(case.contents.topics)),
    "evidence": (_evidence, lambda case: bool(case.evidence())),
}
