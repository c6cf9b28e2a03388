"""What apt says when it cannot, put into one sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from branchline.foundation.errors import BranchlineError, Corrupt, Refused, Unavailable

_UNSIGNED = re.compile(
    r"NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|ERRSIG|NODATA|is not signed|isn't signed"
    r"|signatures? (?:couldn't be verified|were invalid)|Sub-process \S*sqv\S* returned"
    r"|not a valid signature|Clearsigned file isn't valid"
)
_EXPIRED = re.compile(r"Release file for \S+ is expired \((invalid since [^)]*)\)")
_FUTURE = re.compile(r"Release file for \S+ is not valid yet")
_MOVING = re.compile(r"Hash Sum mismatch|unexpected size|Mirror sync in progress")
_ABSENT = re.compile(r"does not have a Release file|\b404\b|File not found")
_ERROR = re.compile(r"^E: ?(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_WARNING = re.compile(r"^(?:W|Err):? ?(.*)$", re.MULTILINE)
_RELATION = re.compile(
    r"^ ?(?P<package>\S+) : (?P<kind>Depends|PreDepends|Conflicts|Breaks|Recommends): (?P<what>.+)$"
)
_MORE = re.compile(r"^ {3,}(?P<kind>Depends|PreDepends|Conflicts|Breaks): (?P<what>.+)$")
_VERBS = {
    "Depends": "needs",
    "PreDepends": "needs",
    "Recommends": "recommends",
    "Conflicts": "conflicts with",
    "Breaks": "breaks",
}
_SHOWN = 3
_LONGEST = 200


def why_no_lists(said: str, suite: str) -> BranchlineError:
    """Return the error for an update that failed."""
    if _UNSIGNED.search(said):
        return Corrupt(
            f"A release file of {suite} is not signed by a key that its source in apt's "
            "configuration trusts",
            advice="Check the mirror, and Signed-By in apt's sources; nothing was taken from it",
        )
    if _FUTURE.search(said):
        return Refused(
            f"A release file of {suite} is dated in the future",
            advice="Set this machine's clock right, or use another mirror",
        )
    if found := _EXPIRED.search(said):
        return Refused(
            f"A release file of {suite} is out of date, {found[1]}",
            advice="The mirror is not kept up: use another one",
        )
    if _MOVING.search(said):
        return Unavailable(
            f"The mirror of {suite} is being changed at this moment, or damages what it sends",
            advice="Try again in some minutes, or use another mirror",
        )
    if _ABSENT.search(said):
        return Refused(
            f"The mirror at hand does not have all of {suite}, its updates and its security updates",
            advice="Name a mirror of Debian that has it in apt's sources",
        )
    return Unavailable(
        f"The package lists of {suite} cannot be fetched: {_last_error(said)}",
        advice="Try again with the network, or take the lists at hand with --offline",
    )


def why_unsolved(said: str, errors: str, packages: Sequence[str], suite: str) -> Refused:
    """Return the error for packages that cannot be installed together."""
    relations = _relations(said)
    names = [package.partition("=")[0] for package in packages]
    # What the person asked for says most; it comes first.
    relations.sort(key=lambda found: found[0] not in names)
    told = "; ".join(f"{package} {rest}" for package, rest in relations[:_SHOWN])
    why = told or _last_error(errors or said)
    return Refused(
        f"Debian's {suite} cannot install these packages together: {why}",
        advice="Leave out one of them, or the version asked for",
        detail={"apt": said[-4000:]},
    )


def _relations(said: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    package = ""
    for line in said.partition("unmet dependencies:")[2].splitlines():
        match = _RELATION.match(line) or (_MORE.match(line) if package else None)
        if match:
            package = match.groupdict().get("package") or package
            what = re.sub(r"\s*\bto be installed$", "", match["what"].strip())
            what = re.sub(
                r" but it is not (?:going|installable)$", ", which is not to be had", what
            )
            what = re.sub(r" but (\S+) is$", r", and \1 would be there", what)
            found.append((package, f"{_VERBS[match['kind']]} {what}"))
    return found


def _last_error(said: str) -> str:
    """Return apt's first error, with the lines that belong to it, else its first warning."""
    found = _ERROR.search(said) or _WARNING.search(said)
    words = " ".join((found[1] if found else said).split())
    return words[:_LONGEST].rstrip(" .:") or "apt gave no reason"
