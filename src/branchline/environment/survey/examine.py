"""One environment: its winner, its packages, and each of its files that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

import msgspec

from branchline.environment.spec import Detected, SpecRefused, Tree, detect
from branchline.environment.spec.conda import parse_conda, parse_match_spec
from branchline.environment.spec.debian import parse_apt
from branchline.environment.spec.elsewhere import pypi_name
from branchline.environment.spec.julia import parse_julia
from branchline.environment.spec.names import is_spec_file
from branchline.environment.spec.pipfile import parse_pipfile, parse_pipfile_lock
from branchline.environment.spec.requirements import Requirements
from branchline.environment.spec.rlang import parse_install_r
from branchline.environment.spec.runtime import parse_runtime

REFUSED = "refused"
"""The winner's name where the tree as a whole is refused."""

MAX_SEEN = 5000
"""How many environments are remembered; then it begins anew."""

MAX_REMEMBERED = 8192
"""The most bytes of spec files of an environment that is remembered."""

_Reader = Callable[[str, bytes, dict[str, bytes]], object]

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SEPARATORS = re.compile(r"[-_.]+")
_WITH_PYTHON = frozenset(("python", "pip", "setuptools", "wheel"))


class Fault(msgspec.Struct, frozen=True):
    """A spec file that cannot be read: its name, and the kind of fault."""

    file: str
    reason: str


class Examined(msgspec.Struct, frozen=True):
    """What one environment amounts to.

    Args:
        winner: As ``Detected.winner``; ``refused`` where the tree as a whole is.
        version: As ``Detected.language_version``.
        packages: ``python:``, ``conda:``, ``apt:``, ``r:`` or ``julia:`` and the name, each once.
            A conda package that PyPI has, too, counts as Python's.
        faults: The files that cannot be read, applied or not; what they say is not in ``packages``.
        whole: Whether every applied file was read.
        lockable: Whether it can be locked: ``yes``, with ``consent``, or ``no``.
        files: The names of all its spec files.
    """

    winner: str
    version: str | None
    packages: tuple[str, ...]
    faults: tuple[Fault, ...]
    whole: bool
    lockable: str
    files: tuple[str, ...]


def examine(tree: Tree, known: Mapping[str, str] = MappingProxyType({})) -> Examined:
    """Examine a tree: as ``detect``, but a file that is refused is left out instead of ending it.

    Args:
        tree: The environment's spec files.
        known: Faults that are known already, by the files' names.
    """
    names = tuple(path.rpartition("/")[2] for path in tree.files)
    faults = [Fault(file, reason) for file, reason in known.items()]
    first: Detected | None = None
    rest = dict(tree.files)
    while first is None:
        try:
            first = detect(Tree(rest, tree.folders))
        except SpecRefused as error:
            faults.append(fault_of(error))
            if rest.pop(error.file, None) is None:
                return Examined(REFUSED, None, (), tuple(faults), False, "no", names)
    whole = not faults
    faults += _unapplied_faults(rest, first)
    lockable = "no" if not whole else "yes" if not first.unsupported else _with_consent(first)
    return Examined(
        first.winner,
        first.language_version,
        tuple(_packages(first)),
        tuple(faults),
        whole,
        lockable,
        names,
    )


class Examiner:
    """Examines trees, and knows those it has seen: commits of one repository are much alike."""

    def __init__(self) -> None:
        self._seen: dict[object, Examined] = {}

    def examine(self, tree: Tree, known: Mapping[str, str]) -> Examined:
        """As the function of this name."""
        if sum(map(len, tree.files.values())) > MAX_REMEMBERED:
            return examine(tree, known)
        key = (frozenset(tree.files.items()), tree.folders, frozenset(known.items()))
        found = self._seen.get(key)
        if found is None:
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            found = self._seen[key] = examine(tree, known)
        return found


def fault_of(error: SpecRefused) -> Fault:
    """Return a refusal as it is counted: by few names and few reasons."""
    name = error.file.rpartition("/")[2]
    return Fault(name if is_spec_file(name) else "another file", error.reason)


def _with_consent(found: Detected) -> str:
    settled = {suggestion.settles for suggestion in found.suggestions}
    return "consent" if settled.issuperset(found.unsupported) else "no"


def _packages(found: Detected) -> dict[str, None]:
    """Return the packages' names, in order, each once."""
    names = [*map(python_name, found.python), *map(_conda_name, found.conda)]
    names += map(_debian_name, found.debian)
    names += [f"r:{name}" for name in found.r_packages]
    names += [f"julia:{name}" for name in found.julia_packages]
    once = dict.fromkeys(names)
    once.pop("", None)
    return once


@lru_cache(maxsize=1 << 16)
def python_name(requirement: str) -> str:
    """Return a requirement's package, normalised (PEP 503), with its kind."""
    found = _NAME.match(requirement)
    name = found[0] if found else requirement
    return f"python:{_SEPARATORS.sub('-', name).lower()}"


@lru_cache(maxsize=1 << 16)
def _conda_name(text: str) -> str:
    """Return a match spec's package; empty for Python and its installers."""
    spec = parse_match_spec("", text)
    if spec.name in _WITH_PYTHON:
        return ""
    known = pypi_name(spec.name)
    return f"python:{known}" if known else f"conda:{spec.name}"


@lru_cache(maxsize=1 << 16)
def _debian_name(package: str) -> str:
    return f"apt:{package.partition('=')[0].partition(':')[0]}"


def _unapplied_faults(files: dict[str, bytes], found: Detected) -> Iterable[Fault]:
    """Yield the faults of files that have no effect."""
    for path in found.ignored:
        name = path.rpartition("/")[2]
        if name in _READERS and path in files:
            try:
                _READERS[name](path, files[path], files)
            except SpecRefused as error:
                yield fault_of(error)


def _read_requirements(path: str, data: bytes, files: dict[str, bytes]) -> None:
    Requirements().read_file(path, data, files.get)


def _alone(parse: Callable[[str, bytes], object]) -> _Reader:
    return lambda path, data, _: parse(path, data)


_READERS: dict[str, _Reader] = {
    "Pipfile": _alone(parse_pipfile),
    "Pipfile.lock": _alone(parse_pipfile_lock),
    "Project.toml": _alone(parse_julia),
    "JuliaProject.toml": _alone(parse_julia),
    "apt.txt": _alone(parse_apt),
    "environment.yml": _alone(parse_conda),
    "environment.yaml": _alone(parse_conda),
    "install.R": _alone(parse_install_r),
    "requirements.txt": _read_requirements,
    "requirements3.txt": _read_requirements,
    "runtime.txt": _alone(parse_runtime),
}
