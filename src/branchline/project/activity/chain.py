"""Verify what a project's records say of themselves and of each other; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

import msgspec

from branchline.foundation.digest import Digest
from branchline.foundation.errors import Corrupt, Refused
from branchline.project.activity.record import Signed, check_signature, read_record


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last record of a clone that was seen here.

    Args:
        seq: Its number.
        digest: Its name.
        at: When it was made.
    """

    seq: int
    digest: Digest
    at: str


@dataclass(frozen=True)
class Fault:
    """Something that should not be.

    Args:
        what: altered, missing, forked, reordered, rewritten or blob.
        sentence: Says it to people.
        clone: Whose chain it is in; empty where it is in none.
    """

    what: str
    sentence: str
    clone: str = ""


@dataclass
class Verdict:
    """What verification found.

    Args:
        records: Those whose signature holds, by clone, in order.
        faults: What should not be.
    """

    records: dict[str, list[Signed]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def heads(self) -> dict[str, Seen]:
        """The last record of each clone."""
        return {
            clone: Seen(chain[-1].record.seq, chain[-1].digest, chain[-1].record.at)
            for clone, chain in self.records.items()
            if chain
        }


def verify_records(
    files: Iterable[tuple[str, bytes]], project: str, seen: Mapping[str, Seen]
) -> Verdict:
    """Verify every record and every clone's chain.

    Args:
        files: Names below ``activity`` and contents.
        project: The project's identifier.
        seen: What was seen here before: no chain may have become shorter, or another one.
    """
    verdict = Verdict()
    chains: dict[str, list[Signed]] = defaultdict(list)
    for name, text in files:
        clone = name.partition("/")[0]
        try:
            signed = read_record(text, f"record {name}")
            check_signature(signed)
        except (Refused, Corrupt) as error:
            verdict.faults.append(Fault("altered", f"The record {name}: {error.refused}", clone))
            continue
        if signed.name != name or signed.record.project != project:
            verdict.faults.append(
                Fault("altered", f"The record {name} stands in a place that is not its own", clone)
            )
            continue
        chains[clone].append(signed)
    for clone in sorted({*chains, *seen}):
        chain = sorted(chains[clone], key=lambda each: (each.record.seq, each.digest))
        verdict.faults.extend(_check_chain(clone, chain))
        if clone in seen:
            verdict.faults.extend(_check_seen(clone, chain, seen[clone]))
        if chain:
            verdict.records[clone] = chain
    return verdict


def _check_chain(clone: str, chain: list[Signed]) -> Iterable[Fault]:
    before: Signed | None = None
    for seq, several in groupby(chain, lambda each: each.record.seq):
        rivals = list(several)
        if len(rivals) > 1:
            sentence = f"The clone {clone} has {len(rivals)} records number {seq}"
            yield Fault("forked", sentence, clone)
        name = before.digest if before else None
        signed = next((each for each in rivals if each.record.previous == name), rivals[0])
        expected = 0 if before is None else before.record.seq + 1
        if seq != expected:
            lost = f"{expected}" if seq == expected + 1 else f"{expected} to {seq - 1}"
            yield Fault("missing", f"The clone {clone} lacks its records number {lost}", clone)
        elif signed.record.previous != name:
            sentence = (
                f"The clone {clone}'s record number {seq} does not continue the one before it"
            )
            yield Fault("reordered", sentence, clone)
        if before is not None and signed.record.at < before.record.at:
            sentence = f"The clone {clone}'s record number {seq} is older than the one before it"
            yield Fault("reordered", sentence, clone)
        before = signed


def _check_seen(clone: str, chain: list[Signed], seen: Seen) -> Iterable[Fault]:
    if any(each.record.seq == seen.seq and each.digest == seen.digest for each in chain):
        return
    if not chain or chain[-1].record.seq < seen.seq:
        has = f"ends with number {chain[-1].record.seq}" if chain else "has none"
        sentence = f"The clone {clone} {has}; its record number {seen.seq} was seen here before"
        yield Fault("missing", sentence, clone)
        return
    sentence = f"The clone {clone} shows another record number {seen.seq} than was seen here before"
    yield Fault("rewritten", sentence, clone)
