"""What came of checks, and which required ones a state of a project does not meet; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from branchline.checks.expectations import Check, Checks, DataCheck, When
from branchline.foundation.canonical import digest_of_json
from branchline.foundation.decoding import convert
from branchline.foundation.digest import WireDigest
from branchline.foundation.errors import Conflict, Corrupt
from branchline.foundation.patterns import matches

_MOST_NAMED = 500
"""Up to so many inputs a result names each."""

Problem = Literal[
    "missing-column",
    "mistyped",
    "missing-values",
    "invalid-values",
    "repeated",
    "out-of-order",
    "size",
    "unexpected-column",
    "unreadable",
    "nothing-to-check",
    "below",
    "above",
    "drift",
    "case",
    "missing-metric",
    "command",
]


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that does not hold.

    Args:
        problem: What kind of thing.
        subject: The file, or the metric.
        sentence: Says it to people; never with a value of a row.
    """

    problem: Problem
    subject: str
    sentence: str


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What came of one check.

    Args:
        check: Its name.
        digest: Of the very expectation.
        inputs: What was looked at: contents by path.
        findings: What does not hold; none if all does.
        required: Whether it has to.
        metrics: What was measured.
        notes: What else a person should know.
    """

    check: str
    digest: WireDigest
    inputs: dict[str, str]
    findings: tuple[Finding, ...] = ()
    required: bool = False
    metrics: dict[str, float] = {}
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return not self.findings


def read_result(value: object) -> Result:
    """Read what a record says of a check.

    Raises:
        Corrupt: It says nothing that a check could have found.
    """
    try:
        return convert(value, Result)
    except msgspec.ValidationError as error:
        raise Corrupt(
            f"A record of a check is none: {error}", advice="See 'branchline log --verify'"
        ) from error


def inputs_for(
    checks: Checks, contents: Mapping[str, str], lists: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Return for each check what it looks at: contents by path, and lists by name.

    Args:
        checks: What is expected.
        contents: Every file of the project, and the name of its content.
        lists: The digest of each list's version, by ``name`` (the latest) and ``name@number``.
    """
    found: dict[str, dict[str, str]] = {}
    for name, check in checks.every.items():
        patterns = check.files if isinstance(check, DataCheck) else check.inputs
        mine = {p: c for p, c in contents.items() if any(matches(each, p) for each in patterns)}
        if not isinstance(check, DataCheck):
            mine.pop(check.metrics, None)
            mine |= {f"list {each}": lists.get(each, "none") for each in check.lists}
        found[name] = mine
    return found


def condensed(inputs: Mapping[str, str]) -> dict[str, str]:
    """Return what a result says of its inputs: each of them, or one digest of very many."""
    if len(inputs) <= _MOST_NAMED:
        return dict(inputs)
    return {f"{len(inputs)} files": digest_of_json(dict(inputs))}


def require_met(
    checks: Checks,
    contents: Mapping[str, str],
    lists: Mapping[str, str],
    results: Sequence[Result],
    what: str,
    *,
    when: When | None = None,
) -> None:
    """Refuse something while a required check is not met.

    Args:
        checks: What is expected.
        contents: See `inputs_for`.
        lists: See `inputs_for`.
        results: What came of checks before, oldest first.
        what: What is refused: ``packing``, ``merging``.
        when: Only those that are to be run then.

    Raises:
        Conflict: At least one is not; the sentence names each with its reason.
    """
    asked = checks if when is None else checks.on(when)
    found = unmet(asked, inputs_for(asked, contents, lists), results)
    if found:
        raise Conflict(
            f"{found[0]}{f' (and {len(found) - 1} more)' if len(found) > 1 else ''}; {what} needs it",
            advice="See 'branchline checks show', and run 'branchline checks run'",
            detail={"unmet": found},
        )


def unmet(
    checks: Checks, inputs: Mapping[str, Mapping[str, str]], results: Sequence[Result]
) -> list[str]:
    """Say of each required check that is not met why not.

    Nothing is run: what counts is the latest result of this very expectation, on these very contents.
    So the same rule serves a clone, and a hub that has no data.

    Args:
        checks: What is expected.
        inputs: For each check the contents that it would look at, by path.
        results: What came of checks before, oldest first.
    """
    said = []
    for name, check in checks.every.items():
        if not check.required:
            continue
        if problem := _unmet(check, inputs.get(name, {}), results):
            said.append(f"The check {name!r} {problem}")
    return said


def _unmet(check: Check, inputs: Mapping[str, str], results: Sequence[Result]) -> str | None:
    if isinstance(check, DataCheck) and check.table:
        return None  # It is a station's to judge.
    mine = [each for each in results if each.check == check.name]
    if not mine:
        return "was never run"
    latest = [each for each in mine if each.digest == check.digest]
    if not latest:
        return "was changed since it was run"
    now = condensed(inputs)
    same = [each for each in latest if each.inputs == now]
    if not same:
        then = latest[-1].inputs
        changed = sorted(path for path in {*then, *now} if then.get(path) != now.get(path))
        return f"was not run since {changed[0]} changed"
    if not same[-1].passed:
        return f"failed: {same[-1].findings[0].sentence}"
    return None


def as_text(results: Iterable[Result]) -> list[str]:
    """Return results as lines for people."""
    lines = []
    for each in results:
        mark = "passed" if each.passed else "failed"
        word = "required" if each.required else ""
        lines.append(f"{mark:<8} {each.check:<24} {word}".rstrip())
        lines += [f"         {finding.sentence}" for finding in each.findings]
        lines += [f"         {note}" for note in each.notes]
    return lines
