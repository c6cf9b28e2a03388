"""Put an audit together from the data at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from branchline.environment.lock.audit.findings import Data, Report, Update, Weakness
from branchline.environment.lock.audit.osv import known_to_advisories, read_advisories
from branchline.environment.lock.audit.tracker import known_to_tracker, read_tracker
from branchline.environment.lock.conda.resolve import of_python
from branchline.environment.lock.debian.apt import AptRoot
from branchline.environment.lock.debian.machine import Machine, read_machine
from branchline.environment.lock.debian.resolve import release_date
from branchline.environment.lock.debian.sources import choose
from branchline.environment.lock.debian.versions import is_older, version_key
from branchline.environment.lock.fetch import Pools, cache_of
from branchline.environment.lock.model import DebianPart, Lock
from branchline.foundation.errors import BranchlineError

TRACKER = "debian-tracker.json"
ADVISORIES = "advisories"
"""Where data are looked for below the store's folder ``audit`` if nobody names a file."""

_SECURITY = "-security"


def audit(
    lock: Lock,
    store: Pools,
    *,
    tracker: Path | None = None,
    advisories: Path | None = None,
    machine: Machine | None = None,
    offline: bool = False,
) -> Report:
    """Hold a lock against what is known of weaknesses in what it names.

    Args:
        lock: What is judged.
        store: Where data are looked for that are not given, and package lists are kept.
        tracker: The Debian security tracker's JSON.
        advisories: Python advisories: a folder, an archive or a file.
        machine: This machine's apt.
        offline: Use the package lists at hand.

    Raises:
        Refused: Data that were given are not what they should be.
    """
    folder = store.folder / "audit"
    parts = [
        _tracked(lock, tracker or folder / TRACKER),
        _advised(lock, advisories or folder / ADVISORIES),
        *([_conda(lock)] if lock.conda else []),
    ]
    updates, lists = _updates(lock.debian, store, machine, offline)
    weaknesses = sorted(weakness for found, _ in parts for weakness in found)
    return Report(tuple(weaknesses), tuple(updates), (*(data for _, data in parts), lists))


def _tracked(lock: Lock, file: Path) -> tuple[Sequence[Weakness], Data]:
    what = "the Debian security tracker's data"
    if not file.is_file():
        return (), Data(what, False, f"no weakness of a Debian package can be known; not at {file}")
    found = list(known_to_tracker(lock.debian, read_tracker(file.read_bytes())))
    return found, Data(what, True, f"{file}, of {_day(file)}")


def _advised(lock: Lock, place: Path) -> tuple[Sequence[Weakness], Data]:
    what = "Python advisories"
    part = _of_python(lock)
    if part is None:
        return (), Data(what, True, "not needed: the lock has no Python part")
    if not place.exists():
        return (), Data(what, False, f"no weakness of a wheel can be known; not at {place}")
    found = list(known_to_advisories(part, read_advisories(place)))
    return found, Data(what, True, f"{place}, of {_day(place)}")


def _of_python(lock: Lock) -> Mapping[str, str] | None:
    """Return the versions of Python's distributions, wheels and conda's packages alike."""
    if lock.python is None and lock.conda is None:
        return None
    wheels = {wheel.name: wheel.version for wheel in (lock.python.wheels if lock.python else ())}
    return {**(of_python(lock.conda) if lock.conda else {}), **wheels}


def _conda(lock: Lock) -> tuple[Sequence[Weakness], Data]:
    packages = lock.conda.packages if lock.conda else ()
    others = sum(1 for package in packages if not package.python)
    return (), Data(
        "what is known of conda's packages",
        False,
        f"no weakness of {others} packages can be known; those of Python's count as PyPI's",
    )


def _updates(
    part: DebianPart, store: Pools, machine: Machine | None, offline: bool
) -> tuple[Sequence[Update], Data]:
    what = "Debian's package lists"
    try:
        found, newest = newer(part, store, machine or read_machine(), offline)
    except BranchlineError as error:
        return (), Data(what, False, f"updates cannot be known: {error.refused}")
    return found, Data(what, True, f"of {newest:%Y-%m-%d %H:%M} UTC")


def newer(
    part: DebianPart, store: Pools, machine: Machine, offline: bool
) -> tuple[list[Update], datetime]:
    """Return what the lists have newer than a lock, and the date of the newest list.

    Raises:
        Corrupt, Refused, Unavailable: There are no lists, or they are not what they must be.
    """
    root = AptRoot(cache_of(store), machine, choose(machine.sources, part.suite))
    with root.held():
        if not offline:
            root.update()
        lists = root.lists()
        dates = [release_date(each.release.read_bytes(), each.source.suite) for each in lists]
        locked = {package.name: package.version for package in part.packages}
        best: dict[str, tuple[str, bool]] = {}
        for listed in lists:
            security = listed.source.suite.endswith(_SECURITY)
            for name, stanzas in listed.index().find(locked).items():
                version = max((stanza["version"] for stanza in stanzas), key=version_key)
                if is_older(locked[name], version):
                    _take(best, name, version, security)
    updates = [Update(name, locked[name], *best[name]) for name in sorted(best)]
    return updates, max(dates)


def _take(best: dict[str, tuple[str, bool]], name: str, version: str, security: bool) -> None:
    """Keep the newest version; a newer one among the security updates makes it one of them."""
    known, was_security = best.get(name, (version, False))
    newest = version if is_older(known, version) else known
    best[name] = newest, security or was_security


def _day(place: Path) -> str:
    return f"{datetime.fromtimestamp(place.stat().st_mtime, UTC):%Y-%m-%d}"
