"""Lock the Python distributions of an environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from branchline.environment.lock.model import PythonPart, Sha256, Wheel
from branchline.environment.lock.pool import Pool
from branchline.environment.lock.python.fetch import fetch_wheels
from branchline.environment.lock.python.pylock import NamedWheel, Target, read_pylock, write_pylock
from branchline.environment.lock.python.uv import Question, compile_pylock, uv_version
from branchline.foundation.errors import Refused


@dataclass(frozen=True)
class PythonWanted:
    """What is asked of Python.

    Args:
        requirements: PEP 508 requirements a person wrote.
        more: Requirements that nobody named: what a train's runner needs, or a Jupyter server.
        constraints: Requirements that bound versions and install nothing.
        hashes: The only hashes that are accepted, by requirement.
        present: What is there already, from elsewhere: versions by normalised name.
    """

    requirements: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    hashes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    present: Mapping[str, str] = field(default_factory=dict)

    def names(self, target: Target) -> set[str]:
        """Return the names asked for that count on a target."""
        return {
            canonicalize_name(requirement.name)
            for requirement in map(Requirement, self.requirements)
            if _counts(requirement, target)
        }


@dataclass(frozen=True)
class LockedPython:
    """Python's part of a lock, and the text of its ``pylock.toml``, the same wherever it is made."""

    part: PythonPart
    pylock: bytes


def lock_python(
    wanted: PythonWanted,
    target: Target,
    wheels: Pool,
    *,
    before: bytes = b"",
    upgrade: Sequence[str] | None = (),
    newest: str | None = None,
    offline: bool = False,
) -> LockedPython:
    """Choose exact wheels for what is asked for, and everything they need.

    Args:
        wanted: What is asked for.
        target: The image's Python.
        wheels: Where wheels are kept; one whose size no index tells is fetched.
        before: The earlier ``pylock.toml``, whose versions stay where they may.
        upgrade: Names whose earlier versions do not matter; None where that is all of them.
        newest: Leave out what was published after this date.
        offline: Use what is at hand.

    Raises:
        Refused: There is no answer, or not in wheels, or not with the hashes asked for.
        Corrupt: A wheel that came is not the one named.
        Unavailable: An index cannot be reached.
    """
    asked = {canonicalize_name(Requirement(text).name) for text in wanted.requirements}
    more = [text for text in wanted.more if canonicalize_name(Requirement(text).name) not in asked]
    question = Question(
        requirements=[*wanted.requirements, *more],
        constraints=(*wanted.constraints, *(f"{n}=={v}" for n, v in wanted.present.items())),
        python=target.python,
        platform=target.uv_platform,
        before=before,
        upgrade=upgrade,
        newest=newest,
        offline=offline,
    )
    resolved = read_pylock(compile_pylock(question), target)
    named = tuple(wheel for wheel in resolved if wheel.name not in wanted.present)
    _check_hashes(wanted, named)
    unknown = [wheel for wheel in named if wheel.size is None]
    fetch_wheels(unknown, wheels, target, offline=offline)
    named = tuple(_sized(wheel, wheels) for wheel in named)
    text = write_pylock(named, target)
    names = wanted.names(target)
    part = PythonPart(
        version=target.series,
        pylock_sha256=Sha256(sha256(text).hexdigest()),
        uv=uv_version(),
        wheels=tuple(_locked(wheel, wheel.name in names) for wheel in named),
    )
    return LockedPython(part, text)


def _sized(wheel: NamedWheel, wheels: Pool) -> NamedWheel:
    """Add the size that an index did not tell, of the file that was fetched therefore."""
    if wheel.size is not None:
        return wheel
    return replace(wheel, size=wheels.path(wheel.sha256).stat().st_size)


def _locked(wheel: NamedWheel, requested: bool) -> Wheel:
    return Wheel(
        name=wheel.name,
        version=wheel.version,
        file=wheel.file,
        sha256=wheel.sha256,
        size=wheel.size or 0,
        requested=requested,
    )


def _check_hashes(wanted: PythonWanted, named: Iterable[NamedWheel]) -> None:
    """Hold the wheels against the only hashes that a person accepts for them."""
    by_name = {wheel.name: wheel for wheel in named}
    for text, accepted in wanted.hashes.items():
        wheel = by_name.get(canonicalize_name(Requirement(text).name))
        digests = {hash_.partition(":")[2] for hash_ in accepted if hash_.startswith("sha256:")}
        if wheel is not None and wheel.sha256 not in digests:
            why = (
                f"the index has {wheel.file} with the SHA-256 {wheel.sha256}"
                if digests
                else "none of them is a SHA-256, which is what a lock holds"
            )
            raise Refused(
                f"{text} names the hashes it accepts, and {why}",
                advice="Add the wheel's hash, or take the hashes out",
            )


def _counts(requirement: Requirement, target: Target) -> bool:
    environment = {key: str(value) for key, value in target.environment().items()}
    return requirement.marker is None or requirement.marker.evaluate({**environment, "extra": ""})
