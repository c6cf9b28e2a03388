"""What is to be locked: what was detected, and what a person adds or decides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from branchline.environment.lock.conda.channels import channels_meant
from branchline.environment.lock.conda.resolve import CondaWanted
from branchline.environment.lock.model import Lock, SpecPart
from branchline.environment.lock.python.resolve import PythonWanted
from branchline.environment.lock.suites import LAB, RUNTIME, SUITES, Suite, pythons, suite_named
from branchline.environment.spec import Detected
from branchline.environment.spec.conda import parse_match_spec
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Refused

BY_HAND = "options"
"""The winner's name where no spec file counted."""


@dataclass(frozen=True)
class Options:
    """What a person decides about a lock.

    Args:
        suite: The Debian suite; None for the one that fits.
        python: Take the suite's Python in this version although another was asked for.
        runtime: Add what the runner inside a train's sandbox needs.
        lab: Add a Jupyter server; None where it stays as the earlier lock has it.
        with_python: Further Python requirements.
        with_debian: Further Debian packages.
        accept: Take what detection suggests for what cannot be had as it was asked for.
        upgrade: Names whose locked versions do not matter; None where that is all of them.
        newest: Leave out Python distributions published after this RFC 3339 date.
        offline: Use what is at hand.
    """

    suite: str | None = None
    python: str | None = None
    runtime: bool = True
    lab: bool | None = None
    with_python: tuple[str, ...] = ()
    with_debian: tuple[str, ...] = ()
    accept: bool = False
    upgrade: tuple[str, ...] | None = ()
    newest: str | None = None
    offline: bool = False


def remembering(spec: SpecPart, options: Options) -> Options:
    """Add what an earlier lock was asked for by hand; the same package asked for now goes before.

    Of a lock that was made from spec files nothing is added: they say what is asked for.
    """
    if spec.winner != BY_HAND:
        return options
    python = {_name(text): text for text in (*spec.python, *options.with_python)}
    debian = {re.split("[:=]", text)[0]: text for text in (*spec.debian, *options.with_debian)}
    return replace(options, with_python=tuple(python.values()), with_debian=tuple(debian.values()))


@dataclass(frozen=True)
class Wanted:
    """Everything that decides what a lock has to hold."""

    winner: str
    suite: Suite
    debian: tuple[str, ...]
    python: PythonWanted
    conda: CondaWanted | None = None
    instead: str = ""
    """What a person could accept in place of conda's packages."""
    lab: bool = False
    python_version: str | None = None
    files: Mapping[str, Digest] = field(default_factory=dict)
    differences: tuple[str, ...] = ()

    @property
    def has_python(self) -> bool:
        """Tell whether there is anything for Python to resolve."""
        return bool(self.python.requirements or self.python.more)


def decide(detected: Detected | None, options: Options, before: Lock | None) -> Wanted:
    """Put together what was detected and what a person decided, now or for an earlier lock.

    Args:
        detected: What spec files ask for; None where there are none.
        options: The person's decisions.
        before: The lock that is renewed: its suite stays, and differences it states were agreed to.

    Raises:
        Refused: Something asked for cannot be locked, or the Python asked for is not to be had.
    """
    asked = detected or Detected(winner=BY_HAND)
    agreed = before.spec.differences if before else ()
    differences: tuple[str, ...] = ()
    if options.accept or all(each.difference in agreed for each in asked.suggestions):
        asked, differences = asked.accepting_suggestions()
    _refuse_unsupported(asked)
    suite = _suite(asked, options, before.debian.suite if before else None)
    lab = bool(before and before.spec.lab) if options.lab is None else options.lab
    more = (*(RUNTIME if options.runtime else ()), *(LAB if lab else ()))
    conda = _conda(asked, options, more)
    python_difference = () if conda else _python(asked, options, suite, agreed)
    added = tuple(_requirement(text) for text in options.with_python)
    wanted = PythonWanted(
        requirements=tuple(dict.fromkeys((*asked.python, *added))),
        more=() if conda else more,
        constraints=asked.constraints,
        hashes=asked.hashes,
    )
    return Wanted(
        winner=asked.winner,
        suite=suite,
        debian=tuple(sorted({*asked.debian, *options.with_debian})),
        python=wanted,
        conda=conda,
        instead="; ".join(each.difference for each in asked.suggestions) if conda else "",
        lab=lab,
        python_version=asked.python_version,
        files=asked.files,
        differences=(*differences, *python_difference, *_newest(options)),
    )


def _refuse_unsupported(asked: Detected) -> None:
    if not asked.unsupported:
        return
    advice = "Change the spec files; 'branchline environment detect' shows all of it"
    settled = {suggestion.settles for suggestion in asked.suggestions}
    if all(sentence in settled for sentence in asked.unsupported):
        said = "; ".join(suggestion.difference for suggestion in asked.suggestions)
        advice = f"Accept this instead with --accept-suggestions: {said}"
    raise Refused(
        asked.unsupported[0], advice=advice, detail={"unsupported": list(asked.unsupported)}
    )


def _conda(asked: Detected, options: Options, more: Sequence[str]) -> CondaWanted | None:
    """Return what channels are asked for; None where nothing has to come from one.

    Their Python is the environment's then, so what else is needed of it comes from there, too.
    """
    if not asked.from_channels:
        return None
    if options.python is not None:
        raise Refused(
            "Python comes from conda's channels here, as environment.yml says",
            advice=f"Write python={options.python} there",
        )
    named = {parse_match_spec("", text).name for text in asked.conda}
    unnamed = tuple(name for name in ("python", *more) if name not in named)
    return CondaWanted(asked.conda, unnamed, channels_meant(asked.conda_channels))


def _suite(asked: Detected, options: Options, before: str | None) -> Suite:
    """Return the suite a person chose, else the lock's, else the first that has the Python asked."""
    if options.suite is not None:
        return suite_named(options.suite)
    if before is not None:
        return suite_named(before)
    series = options.python or asked.python_version
    return next((s for s in SUITES.values() if series == s.python), next(iter(SUITES.values())))


def _python(
    asked: Detected, options: Options, suite: Suite, agreed: Sequence[str]
) -> tuple[str, ...]:
    """Return what to record where another Python is taken than was asked for.

    Raises:
        Refused: It is not the suite's, and nobody decided to take that one.
    """
    if options.python is not None and options.python != suite.python:
        raise Refused(
            f"{suite.name} has Python {suite.python}, not {options.python[:20]}",
            advice=f"An image has its suite's own Python: {pythons()}",
        )
    said = None
    if asked.python_version not in (None, suite.python):
        said = f"Python {asked.python_version}"
    elif asked.requires_python and not _allows(asked.requires_python, suite.python):
        said = f"Python {asked.requires_python}"
    if said is None:
        return ()
    difference = f"{said} asked for, {suite.python} used on purpose"
    if options.python is None and difference not in agreed:
        fitting = [s.name for s in SUITES.values() if _fits(asked, s)]
        other = f"lock with --suite {fitting[0]}, or " if fitting else ""
        raise Refused(
            f"The spec files ask for {said}, and {pythons()}",
            advice=f"{other}take {suite.python} on purpose with --python {suite.python}".capitalize(),
        )
    return (difference,)


def _newest(options: Options) -> tuple[str, ...]:
    if options.newest is None:
        return ()
    try:
        date = datetime.fromisoformat(options.newest)
    except ValueError as error:
        raise Refused(
            f"{options.newest[:40]!r} is not a date", advice="Write it as 2026-11-21"
        ) from error
    return (f"Python packages published after {date.isoformat()} were left out",)


def _fits(asked: Detected, suite: Suite) -> bool:
    if asked.python_version is not None:
        return asked.python_version == suite.python
    return asked.requires_python is None or _allows(asked.requires_python, suite.python)


def _allows(specifiers: str, series: str) -> bool:
    """Tell whether some version of a series is allowed; Debian's is neither the first nor last."""
    said = SpecifierSet(specifiers)
    return any(said.contains(f"{series}.{patch}") for patch in range(30))


def _name(text: str) -> str:
    return canonicalize_name(_parsed(text).name)


def _parsed(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise Refused(
            f"{text[:80]!r} is not a Python requirement", advice="Write it as in 'numpy>=1.26'"
        ) from error


def _requirement(text: str) -> str:
    requirement = _parsed(text)
    if requirement.url:
        raise Refused(
            f"{requirement.name} is asked for by URL; a lock holds versions from the index",
            advice=f"Write {requirement.name} with a version",
        )
    return str(requirement)
