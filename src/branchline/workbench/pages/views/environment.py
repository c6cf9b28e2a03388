"""What the project runs in: its lock, its image, and what is known of weaknesses."""

from __future__ import annotations

from dataclasses import dataclass

from branchline.environment.image.images import image_of_lock
from branchline.environment.image.store import Store
from branchline.environment.lock.model import LOCK_NAME, Lock, parse_lock
from branchline.foundation.errors import BranchlineError, NotFound
from branchline.project.manifest import ENVIRONMENT_FILES
from branchline.workbench.pages.desk import Opened
from branchline.workbench.pages.views.frame import Frame, frame


@dataclass(frozen=True)
class Package:
    """One package of the lock.

    Args:
        name: Its name.
        version: Its version.
        kind: Debian or Python.
        asked: Whether a person asked for it.
    """

    name: str
    version: str
    kind: str
    asked: bool


@dataclass(frozen=True)
class EnvironmentPage:
    """What commands and notebooks of the project run in.

    Args:
        frame: What stands around it.
        specs: The files that say what is wanted.
        lock: The lock's digest; empty where there is none.
        suite: The Debian suite.
        python: The version of Python.
        image: The image's digest; empty where none is named.
        built: Whether the image is on this machine.
        size: Its bytes.
        lab: Whether it has JupyterLab.
        asked: What a person asked for.
        packages: Everything in it.
        differences: Where the lock differs from what was asked for, on purpose.
        problem: Why the lock cannot be read; empty if it can.
    """

    frame: Frame
    specs: tuple[str, ...] = ()
    lock: str = ""
    suite: str = ""
    python: str = ""
    image: str = ""
    built: bool = False
    size: int | None = None
    lab: bool = False
    asked: tuple[Package, ...] = ()
    packages: tuple[Package, ...] = ()
    differences: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Weak:
    """A weakness that an upgrade would mend."""

    package: str
    locked: str
    fixed: str
    name: str


@dataclass(frozen=True)
class AuditPart:
    """What is known of weaknesses, from what is at hand.

    Args:
        mended: Those that an upgrade would mend.
        open: How many nobody has mended yet.
        missing: What was not at hand to look into.
        problem: Why nothing could be looked into.
    """

    mended: tuple[Weak, ...] = ()
    open: int = 0
    missing: tuple[str, ...] = ()
    problem: str = ""


def environment_page(opened: Opened, store: Store) -> EnvironmentPage:
    """Return what the environment's page shows."""
    around, root = frame(opened, "environment", "Environment"), opened.project.root
    specs = tuple(sorted(n for n in ENVIRONMENT_FILES if n != LOCK_NAME and (root / n).is_file()))
    try:
        lock = parse_lock((root / LOCK_NAME).read_bytes())
    except FileNotFoundError:
        return EnvironmentPage(around, specs)
    except BranchlineError as error:
        return EnvironmentPage(around, specs, problem=str(error))
    packages = tuple(_packages(lock))
    size: int | None = None
    try:
        size = image_of_lock(store, lock).size
    except (BranchlineError, OSError):
        pass  # not built here: the page says so
    return EnvironmentPage(
        frame=around,
        specs=specs,
        lock=lock.digest,
        suite=lock.debian.suite,
        python=lock.python.version if lock.python else "",
        image=lock.image or "",
        built=size is not None,
        size=size,
        lab=bool(lock.spec.lab),
        asked=tuple(package for package in packages if package.asked),
        packages=packages,
        differences=lock.spec.differences,
    )


def _packages(lock: Lock) -> list[Package]:
    wheels = lock.python.wheels if lock.python else ()
    found = [Package(w.name, w.version, "Python", w.requested) for w in wheels]
    found += [Package(p.name, p.version, "Debian", p.requested) for p in lock.debian.packages]
    return found


def audit_part(opened: Opened, store: Store) -> AuditPart:
    """Return what is known of weaknesses; nobody else is asked."""
    from branchline.environment.lock.audit.audit import audit

    try:
        lock = parse_lock((opened.project.root / LOCK_NAME).read_bytes())
        report = audit(lock, store, offline=True)
    except FileNotFoundError:
        raise NotFound(f"The project has no {LOCK_NAME}") from None
    except BranchlineError as error:
        return AuditPart(problem=str(error))
    mended = [w for w in report.weaknesses if w.fixed]
    return AuditPart(
        tuple(Weak(w.name, w.version, w.fixed, w.id) for w in mended[:50]),
        len(report.weaknesses) - len(mended),
        tuple(data.what for data in report.data if not data.at_hand),
    )
