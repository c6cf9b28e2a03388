"""``branchline.lock``: its types, its one text, and strict reading of it.

A lock names every Debian package and every wheel of an environment by version and SHA-256, and the
signed release files that vouch for the former. It names no mirror and no index: where the bytes
come from is each machine's own configuration. The text is written by this module alone; any other
spelling of the same content is refused, so a bit that flipped anywhere is noticed on reading.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec

from branchline.environment.lock.kinds import (
    Architecture,
    Channel,
    CondaBuild,
    CondaFile,
    CondaName,
    CondaVersion,
    Count,
    DebianName,
    DebianVersion,
    Epoch,
    Fingerprint,
    Moment,
    PoolPath,
    PythonName,
    PythonSeries,
    PythonVersion,
    Subdir,
    Suite,
    WheelFile,
    WireSha256,
)
from branchline.environment.lock.kinds import Part as Part
from branchline.environment.lock.kinds import Sha256 as Sha256
from branchline.environment.lock.toml_text import Value, table
from branchline.foundation.decoding import convert
from branchline.foundation.digest import Digest, WireDigest, digest_of
from branchline.foundation.errors import Corrupt, Refused

LOCK_NAME = "branchline.lock"
PYLOCK_NAME = "pylock.toml"
LOCK_VERSION = 2
"""The newest version of the format; a lock without conda's packages is of version 1."""
MAX_LOCK = 8 << 20
"""The most bytes a lock may have."""

_HEADER = """\
# Every Debian package and wheel of an environment, by version and SHA-256.
# Written by 'branchline environment lock'. Change the spec files and lock again instead of editing.
"""


class _Struct(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="kebab"
):
    """What all parts of a lock are: frozen, strict, with the file's own spelling of keys."""


class SpecPart(_Struct, frozen=True, kw_only=True):
    """What a lock was made from.

    Args:
        winner: The detection's winner, or ``options`` where the packages were named by hand.
        files: The digest of each spec file that counted, by its path.
        debian: The Debian packages a person asked for, as ``name[:architecture][=version]``.
        python: The Python requirements a person asked for.
        python_version: The Python version a person asked for.
        runtime: Whether what a train's own runner needs (numpy, pyarrow) was asked for, too.
        lab: True where a Jupyter server was asked for, too; else absent.
        conda: The match specs that channels were asked for; absent where none was.
        channels: The channels that were asked, in order; absent where none was.
        differences: Where the lock differs from what was asked for, on purpose.
    """

    winner: str
    files: dict[str, WireDigest] = {}
    debian: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    python_version: str | None = None
    runtime: bool = True
    lab: Literal[True] | None = None
    conda: tuple[str, ...] | None = None
    channels: tuple[Channel, ...] | None = None
    differences: tuple[str, ...] = ()


class Release(_Struct, frozen=True, kw_only=True):
    """A signed release file, the evidence for packages of one suite.

    A suite may have several: packages that were kept when a lock was renewed stay with theirs.

    Args:
        suite: The suite's name, such as ``bookworm-security``.
        date: Its ``Date`` field.
        inrelease_sha256: The SHA-256 of its text, which lies beside the lock.
        signed_by: The primary fingerprints of the keys whose signatures held, sorted.
    """

    suite: Suite
    date: Moment
    inrelease_sha256: WireSha256
    signed_by: tuple[Fingerprint, ...]


class DebianPackage(_Struct, frozen=True, kw_only=True):
    """One Debian package.

    Args:
        part: ``base`` for what every image of the suite has, else ``extra``.
        requested: Whether a person asked for it by name.
        size: Bytes of the ``.deb``.
        path: The ``.deb`` below a mirror's root.
        suite: The suite of the release file that vouches for it.
        source: The source package it was built from, where that has another name.
        source_version: The source package's version, where that is another.
    """

    name: DebianName
    version: DebianVersion
    architecture: Architecture
    part: Part
    requested: bool = False
    sha256: WireSha256
    size: Count
    path: PoolPath
    suite: Suite
    source: DebianName | None = None
    source_version: DebianVersion | None = None


def source_of(package: DebianPackage) -> str:
    """Return the name of the source package that a package was built from."""
    return package.source or package.name


class DebianPart(_Struct, frozen=True, kw_only=True):
    """The Debian packages, and what vouches for them."""

    suite: Suite
    architecture: Architecture
    releases: Annotated[tuple[Release, ...], msgspec.Meta(max_length=64)] = msgspec.field(
        name="release", default=()
    )
    packages: Annotated[tuple[DebianPackage, ...], msgspec.Meta(max_length=20_000)] = msgspec.field(
        name="package", default=()
    )


class Wheel(_Struct, frozen=True, kw_only=True):
    """One Python distribution.

    Args:
        name: The normalised name.
        file: The wheel's file name, which says what it is good for.
        requested: Whether a person asked for it by name.
        size: Bytes of the wheel.
    """

    name: PythonName
    version: PythonVersion
    file: WheelFile
    sha256: WireSha256
    size: Count
    requested: bool = False


class PythonPart(_Struct, frozen=True, kw_only=True):
    """The Python distributions; ``pylock_sha256`` is that of the ``pylock.toml`` beside the lock."""

    version: PythonSeries
    pylock_sha256: WireSha256
    uv: str
    wheels: Annotated[tuple[Wheel, ...], msgspec.Meta(max_length=20_000)] = msgspec.field(
        name="wheel", default=()
    )


class CondaPackage(_Struct, frozen=True, kw_only=True):
    """One conda package.

    Args:
        name: Its name.
        build: Its build, which tells packages of one version apart.
        channel: The channel that has it, as it was asked for.
        subdir: Where it stands there: ``noarch``, or the platform it is for.
        file: Its file's name.
        size: Bytes of the file.
        licence: What the channel says of its licence.
        python: Whether it is of Python's: it needs Python, and stands for PyPI's of its name.
        requested: Whether a person asked for it by name.
    """

    name: CondaName
    version: CondaVersion
    build: CondaBuild
    channel: Channel
    subdir: Subdir
    file: CondaFile
    sha256: WireSha256
    size: Count
    licence: str = ""
    python: bool = False
    requested: bool = False


class CondaPart(_Struct, frozen=True, kw_only=True):
    """The conda packages; ``rattler`` is the version of the library that chose them."""

    rattler: str
    packages: Annotated[tuple[CondaPackage, ...], msgspec.Meta(max_length=20_000)] = msgspec.field(
        name="package", default=()
    )

    @property
    def python(self) -> str | None:
        """The whole version of the Python among them; None where there is none."""
        return next((p.version for p in self.packages if p.name == "python"), None)


class _Image(_Struct, frozen=True, kw_only=True):
    digest: WireDigest
    check: WireDigest


class _Form(_Struct, frozen=True, kw_only=True):
    lock_version: Literal[1, 2]
    digest: WireDigest
    recipe: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    epoch: Epoch
    spec: SpecPart
    debian: DebianPart
    conda: CondaPart | None = None
    python: PythonPart | None = None
    image: _Image | None = None


class Lock(msgspec.Struct, frozen=True, dict=True):
    """An environment, locked.

    Args:
        recipe: The number of the build recipe.
        epoch: Seconds since 1970: the newest ``Date`` of the release files, and the image's date.
        image: The digest of the image built from it, once there is one.
    """

    recipe: int
    epoch: int
    spec: SpecPart
    debian: DebianPart
    python: PythonPart | None = None
    image: Digest | None = None
    conda: CondaPart | None = None

    @cached_property
    def digest(self) -> Digest:
        """The lock's name: the digest of its text without ``digest`` and ``[image]``."""
        return digest_of(_text(self, None).encode())

    @property
    def text(self) -> str:
        """The one text of this lock."""
        body = _text(self, self.digest)
        if self.image is None:
            return body
        bound = _bound(self.digest, self.image)
        return f"{body}\n{table('[image]', {'digest': self.image, 'check': bound})}"

    @property
    def packages_bytes(self) -> int:
        """How many bytes everything that it names has, as it is fetched."""
        sizes = [package.size for package in self.debian.packages]
        sizes += [package.size for package in (self.conda.packages if self.conda else ())]
        return sum(sizes + [wheel.size for wheel in (self.python.wheels if self.python else ())])

    def with_image(self, digest: Digest) -> Lock:
        """Return the lock with the digest of the image built from it; its own stays the same."""
        return msgspec.structs.replace(self, image=digest)


def parse_lock(data: bytes) -> Lock:
    """Read a lock.

    Raises:
        Refused: Not a lock, or one of a newer version.
        Corrupt: It was changed since it was written.
    """
    form = _form(data)
    image = form.image.digest if form.image else None
    lock = Lock(form.recipe, form.epoch, form.spec, form.debian, form.python, image, form.conda)
    _refuse_twice(lock)
    if lock.digest != form.digest:
        raise _changed(f"its content has the digest {lock.digest}, its head says {form.digest}")
    if form.image and form.image.check != _bound(lock.digest, form.image.digest):
        raise _changed("its image's digest is not the one that was written for this lock")
    written, found = lock.text.encode().split(b"\n"), data.split(b"\n")
    if written != found:
        pairs = enumerate(zip(written, found, strict=False), 1)
        line = next((n for n, (a, b) in pairs if a != b), min(len(written), len(found)))
        raise _changed(f"line {line} is not as it is written")
    return lock


def _form(data: bytes) -> _Form:
    if len(data) > MAX_LOCK:
        raise Refused(f"{LOCK_NAME} has {len(data)} bytes; at most {MAX_LOCK} are read")
    try:
        plain = tomllib.loads(data.decode())
        version = plain.get("lock-version")
        if isinstance(version, int) and version > LOCK_VERSION:
            raise Refused(
                f"{LOCK_NAME} is of version {version}; this program reads {LOCK_VERSION}",
                advice="Use the program that wrote it, or a newer one",
            )
        return convert(plain, _Form)
    except (ValueError, RecursionError) as error:  # ValueError: also no UTF-8, no TOML, no _Form
        complaint = str(error).replace("`", "")
        raise Corrupt(f"{LOCK_NAME} is no lock: {complaint}", advice=_ADVICE) from error


def _changed(why: str) -> Corrupt:
    return Corrupt(f"{LOCK_NAME} was changed since it was written: {why}", advice=_ADVICE)


_ADVICE = "Take it from where it was kept, or lock again with 'branchline environment lock'"


def _bound(lock: Digest, image: Digest) -> Digest:
    """Bind an image's digest to its lock's, so that a flipped bit in either is noticed."""
    return digest_of(f"{lock} {image}".encode())


def _refuse_twice(lock: Lock) -> None:
    for what, names in (
        ("package", sorted((p.name, p.architecture) for p in lock.debian.packages)),
        ("release", sorted((r.suite, r.inrelease_sha256) for r in lock.debian.releases)),
        ("conda package", sorted((p.name,) for p in (lock.conda.packages if lock.conda else ()))),
        ("wheel", sorted((w.name,) for w in (lock.python.wheels if lock.python else ()))),
    ):
        for name, other in pairwise(names):
            if name == other:
                raise Corrupt(
                    f"{LOCK_NAME} names the {what} {':'.join(name)} twice", advice=_ADVICE
                )


def _text(lock: Lock, digest: Digest | None) -> str:
    return _HEADER + "\n".join(_tables(lock, digest))


def _tables(lock: Lock, digest: Digest | None) -> Iterator[str]:
    """Write the tables in their one order; every list of tables is sorted by what names its items."""
    version = 1 if lock.conda is None else LOCK_VERSION
    head: dict[str, Value | None] = {"lock-version": version, "digest": digest}
    yield table("", head | {"recipe": lock.recipe, "epoch": lock.epoch})
    yield table("[spec]", _plain(lock.spec))
    debian = lock.debian
    yield table("[debian]", {"suite": debian.suite, "architecture": debian.architecture})
    for release in sorted(debian.releases, key=_order):
        yield table("[[debian.release]]", _plain(release) | {"date": _date(release.date)})
    for package in sorted(debian.packages, key=lambda p: (p.name, p.architecture)):
        yield table("[[debian.package]]", _plain(package))
    if lock.conda is not None:
        yield table("[conda]", {"rattler": lock.conda.rattler})
        for conda in sorted(lock.conda.packages, key=lambda p: p.name):
            yield table("[[conda.package]]", _plain(conda))
    if lock.python is not None:
        yield table("[python]", _plain(lock.python))
        for wheel in sorted(lock.python.wheels, key=lambda w: w.name):
            yield table("[[python.wheel]]", _plain(wheel))


def _order(release: Release) -> tuple[str, datetime, str]:
    return release.suite, release.date, release.inrelease_sha256


def _plain(struct: _Struct) -> dict[str, Any]:
    """Return a part's own keys and values, without the lists of tables below it."""
    fields = {
        field.encode_name: getattr(struct, field.name) for field in msgspec.structs.fields(struct)
    }
    return {key: value for key, value in fields.items() if key != "wheel"}


def _date(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
