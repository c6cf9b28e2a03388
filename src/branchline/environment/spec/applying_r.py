"""What R's files add: ``install.R`` and ``DESCRIPTION``, read and never executed."""

from __future__ import annotations

import re
from datetime import date

from branchline.environment.spec.detected import Suggestion
from branchline.environment.spec.draft import Draft
from branchline.environment.spec.refusal import SpecRefused, shown
from branchline.environment.spec.rlang import parse_description, parse_install_r
from branchline.environment.spec.telling import counted

DEFAULT = "4.4.2"
"""The version of R where nobody asks for one."""

NEWEST = {
    "4.5": "4.5.1",
    "4.4": "4.4.2",
    "4.3": "4.3.3",
    "4.2": "4.2.3",
    "4.1": "4.1.3",
    "4.0": "4.0.5",
    "3.6": "3.6.3",
    "3.5": "3.5.3",
    "3.4": "3.4.4",
    "3.3": "3.3.3",
}
"""What an x.y stands for."""

FIRST_DAY = date(2018, 12, 7)
"""Nobody keeps CRAN as of an earlier day."""

_FULL = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


def r(draft: Draft) -> None:
    """``runtime.txt`` chooses R's version and day; the other two name packages."""
    draft.language_version = _version(draft)
    packages, foreign = _install_r(draft)
    if draft.look.in_root("DESCRIPTION"):
        packages |= _description(draft)
    draft.r_packages = tuple(sorted(packages))
    day = draft.look.runtime.date if draft.look.runtime.name == "r" else None
    as_of = f"as of {day}" if day else "as of the day of the build"
    sentence = (
        f"R {draft.language_version} with {counted(len(packages), 'package')} {as_of} comes from a snapshot "
        "of CRAN, which nothing here resolves"
    )
    difference = "R and its packages come from Debian, in the versions its suite has"
    debian = ("r-base-core", *(debian_name(package) for package in draft.r_packages))
    draft.cannot(sentence, Suggestion(sentence, difference, debian=debian))
    if foreign:
        draft.cannot(foreign)


def debian_name(package: str) -> str:
    """Return the name that Debian would give to a package of CRAN."""
    return f"r-cran-{package.lower()}"


def _version(draft: Draft) -> str:
    look, runtime = draft.look, draft.look.runtime
    path = look.path("runtime.txt")
    if runtime.name == "r" and runtime.date is not None and runtime.date < FIRST_DAY:
        raise SpecRefused(
            path,
            f"asks for R packages as of {runtime.date}, and nobody keeps those from before "
            f"{FIRST_DAY}",
            reason="R date too early",
            advice="Write a later date",
        )
    if runtime.version is None:
        return DEFAULT
    if runtime.name != "r":
        raise SpecRefused(
            path,
            f"asks for {shown(runtime.name or '')}, but DESCRIPTION makes this an R project",
            reason="conflicting languages",
            advice="Write 'r-4.1-2024-05-01', or put the spec files into a folder binder",
        )
    version = NEWEST.get(runtime.version, runtime.version)
    if not _FULL.fullmatch(version):
        raise SpecRefused(
            path,
            f"asks for R {shown(runtime.version)}, which repo2docker does not have",
            reason="unknown R version",
            advice=f"Write one of {', '.join(NEWEST)}, or a whole version x.y.z",
        )
    return version


def _install_r(draft: Draft) -> tuple[set[str], str]:
    """Return the packages of ``install.R``, and a sentence on what was not understood."""
    data = draft.apply("install.R")
    if data is None:
        return set(), ""
    path = draft.look.path("install.R")
    found = parse_install_r(path, data)
    if not found.foreign:
        return set(found.packages), ""
    line, said = found.foreign[0]
    more = f" and {counted(len(found.foreign) - 1, 'more line')}" if len(found.foreign) > 1 else ""
    return set(found.packages), (
        f"{path}, line {line},{more} does more than install or load packages by name "
        f"({shown(said)}); it is not executed"
    )


def _description(draft: Draft) -> set[str]:
    data = draft.apply("DESCRIPTION") or b""
    packages = set(parse_description("DESCRIPTION", data))
    sentence = "DESCRIPTION makes this folder an R package, and installing it would run its build"
    difference = "DESCRIPTION: the package itself is not installed; its dependencies are"
    draft.cannot(sentence, Suggestion(sentence, difference))
    return packages
