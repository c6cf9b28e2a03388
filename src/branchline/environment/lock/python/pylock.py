"""``pylock.toml`` (PEP 751): which wheels it names for one image's Python, and its one text.

uv's own says where each wheel was found, and what that index told of it. Ours does not: two machines
with other mirrors lock to the same bytes, and no path or address of either gets into them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.pylock import (
    Package,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
)
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from branchline.environment.lock.model import PYLOCK_NAME, Sha256
from branchline.environment.lock.suites import Suite
from branchline.environment.lock.toml_text import Value, table
from branchline.foundation.errors import Corrupt, Refused

if TYPE_CHECKING:
    from packaging.markers import Environment

MAX_PYLOCK = 32 << 20
"""The most bytes a ``pylock.toml`` may have."""

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_NEWEST_GLIBC_OF_UV = (2, 40)
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
_OLD_NAMES = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}


@dataclass(frozen=True)
class Target:
    """The Python of an image.

    Args:
        python: Its whole version.
        machine: The processor, as Python names it.
        glibc: The version of the C library.
    """

    python: str
    machine: str
    glibc: tuple[int, int]

    @property
    def series(self) -> str:
        """The version's first two numbers."""
        return ".".join(self.python.split(".")[:2])

    @property
    def uv_platform(self) -> str:
        """The platform as uv names it."""
        major, minor = min(self.glibc, _NEWEST_GLIBC_OF_UV)
        return f"{self.machine}-manylinux_{major}_{minor}"

    def tags(self) -> list[Tag]:
        """Return the tags of wheels it can load, the best first (PEP 425, PEP 600)."""
        version = tuple(int(number) for number in self.series.split("."))
        platforms = list(self._platforms())
        interpreter = f"cp{version[0]}{version[1]}"
        return [
            *cpython_tags(version, platforms=platforms, abis=[interpreter]),
            *compatible_tags(version, interpreter, platforms),
        ]

    def environment(self) -> Environment:
        """Return the values of markers (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": self.series,
            "sys_platform": "linux",
        }

    def _platforms(self) -> Sequence[str]:
        found = []
        for minor in range(self.glibc[1], _OLDEST_GLIBC[self.machine] - 1, -1):
            found.append(f"manylinux_2_{minor}_{self.machine}")
            if old := _OLD_NAMES.get((2, minor)):
                found.append(f"{old}_{self.machine}")
        return [*found, f"linux_{self.machine}"]


@dataclass(frozen=True)
class NamedWheel:
    """A wheel that a ``pylock.toml`` names.

    Args:
        size: In bytes; None where the index did not tell.
        url: Where it was found, or empty; not part of any lock.
    """

    name: str
    version: str
    file: str
    sha256: Sha256
    size: int | None
    url: str = ""


def target_of(suite: Suite, architecture: str, python: str) -> Target:
    """Return the target for a suite's image.

    Raises:
        Refused: There are no wheels for the architecture.
    """
    machine = _MACHINES.get(architecture)
    if machine is None:
        raise Refused(
            f"Python packages are locked for {' and '.join(_MACHINES)}, not for {architecture}",
            advice="Take them from Debian, in apt.txt",
        )
    return Target(python, machine, suite.glibc)


def read_pylock(data: bytes, target: Target) -> tuple[NamedWheel, ...]:
    """Return the wheels that would be installed, sorted by name.

    Raises:
        Corrupt: Not a ``pylock.toml``.
        Refused: It names something that is not a wheel with a SHA-256.
    """
    try:
        lock = Pylock.from_dict(_plain(data))
        chosen = list(lock.select(environment=target.environment(), tags=target.tags()))
    except (PylockValidationError, PylockSelectError, ValueError) as error:
        raise Corrupt(f"{PYLOCK_NAME} is not acceptable: {error}") from error
    return tuple(sorted((_wheel(*pair) for pair in chosen), key=lambda wheel: wheel.name))


def write_pylock(wheels: Sequence[NamedWheel], target: Target) -> bytes:
    """Return the one text that names these wheels: by file name, size and hash alone.

    PEP 751 wants an address or a path of each; a path that is a mere name stands for a file beside
    the ``pylock.toml``.
    """
    head: dict[str, Value | None] = {"lock-version": "1.0", "created-by": "branchline"}
    head |= {"requires-python": f">={target.python}", "packages": None if wheels else ()}
    tables = [table("", head)]
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        said = table("[[packages]]", {"name": wheel.name, "version": wheel.version})
        found: dict[str, Value | None] = {"path": wheel.file, "size": wheel.size}
        found |= {"hashes": {"sha256": wheel.sha256}}
        tables.append(said + table("[[packages.wheels]]", found))
    return "\n".join(tables).encode()


def every_url(data: bytes) -> dict[Sha256, str]:
    """Return where each wheel is, by SHA-256, as far as that is said.

    Raises:
        Corrupt: Not a ``pylock.toml``.
    """
    try:
        lock = Pylock.from_dict(_plain(data))
    except (PylockValidationError, ValueError) as error:
        raise Corrupt(f"{PYLOCK_NAME} is not acceptable: {error}") from error
    wheels = [wheel for package in lock.packages for wheel in package.wheels or ()]
    return {Sha256(w.hashes["sha256"]): _place(w) for w in wheels if _has_hash(w) and _place(w)}


def _place(wheel: PackageWheel) -> str:
    """Return a wheel's address or whole path, without credentials; empty where there is none."""
    if not wheel.url:
        return wheel.path if wheel.path and wheel.path.startswith("/") else ""
    parts = urlsplit(wheel.url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _plain(data: bytes) -> Mapping[str, object]:
    if len(data) > MAX_PYLOCK:
        raise Corrupt(f"{PYLOCK_NAME} has {len(data)} bytes; at most {MAX_PYLOCK} are read")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"{PYLOCK_NAME} is not TOML: {error}") from error


def _wheel(package: Package, found: object) -> NamedWheel:
    name = canonicalize_name(package.name)
    if not isinstance(found, PackageWheel):
        raise Refused(
            f"{name} would have to be built from source; a lock holds wheels",
            advice="Ask for a version that has a wheel, or take it from Debian in apt.txt",
        )
    if not _has_hash(found) or package.version is None:
        raise Refused(f"The index gives no SHA-256 for {name}, so it cannot be locked")
    _check_file(found.filename, name)
    return NamedWheel(
        name,
        str(package.version),
        found.filename,
        Sha256(found.hashes["sha256"].lower()),
        found.size,
        _place(found),
    )


def _check_file(file: str, name: str) -> None:
    try:
        said = parse_wheel_filename(file)[0]
    except InvalidWheelFilename as error:
        raise Refused(f"{file[:80]!r} is not the name of a wheel") from error
    if said != name:
        raise Refused(f"The wheel {file} is not one of {name}")


def _has_hash(wheel: PackageWheel) -> bool:
    return "sha256" in wheel.hashes
