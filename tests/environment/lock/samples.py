"""Locks drawn by Hypothesis, and one small lock to look at."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from branchline.environment.lock.model import (
    DebianPackage,
    DebianPart,
    Lock,
    PythonPart,
    Release,
    Sha256,
    SpecPart,
    Wheel,
)
from branchline.foundation.digest import Digest

_HEX = "0123456789abcdef"
_NAMES = st.from_regex(r"\A[a-z0-9][a-z0-9+.-]{0,20}\Z")
_SHA = st.text(_HEX, min_size=64, max_size=64).map(Sha256)
_DIGESTS = _SHA.map(lambda text: Digest(f"sha256:{text}"))
# What people write: paths, sentences, requirements.
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
_VERSIONS = st.from_regex(r"\A[0-9][A-Za-z0-9.+:~-]{0,20}\Z")
_DATES = st.integers(0, 4_000_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))
_COUNTS = st.integers(0, 1 << 53)

_PACKAGES = st.builds(
    DebianPackage,
    name=_NAMES,
    version=_VERSIONS,
    architecture=st.sampled_from(["all", "amd64"]),
    part=st.sampled_from(["base", "extra"]),
    requested=st.booleans(),
    sha256=_SHA,
    size=_COUNTS,
    path=st.from_regex(r"\Apool/[a-z0-9]{1,9}/[a-z0-9+.~_-]{1,9}deb\Z").filter(
        lambda path: "/." not in path
    ),
    suite=st.sampled_from(["bookworm", "bookworm-security"]),
    source=st.none() | _NAMES,
    source_version=st.none() | _VERSIONS,
)
_RELEASES = st.builds(
    Release,
    suite=st.sampled_from(["bookworm", "bookworm-security", "trixie-updates"]),
    date=_DATES,
    inrelease_sha256=_SHA,
    signed_by=st.lists(st.text("0123456789ABCDEF", min_size=40, max_size=40), max_size=3).map(
        tuple
    ),
)
_WHEELS = st.builds(
    Wheel,
    name=st.from_regex(r"\A[a-z0-9]{1,9}(-[a-z0-9]{1,9})?\Z"),
    version=st.from_regex(r"\A[0-9][A-Za-z0-9.+!]{0,9}\Z"),
    file=st.from_regex(r"\A[A-Za-z0-9_.+-]{1,20}[.]whl\Z").filter(lambda name: name[0].isalnum()),
    sha256=_SHA,
    size=_COUNTS,
    requested=st.booleans(),
)

LOCKS = st.builds(
    Lock,
    recipe=st.integers(1, 9),
    epoch=st.integers(0, 253_402_300_799),
    spec=st.builds(
        SpecPart,
        winner=_TEXTS,
        files=st.dictionaries(_TEXTS, _DIGESTS, max_size=3),
        debian=st.lists(_TEXTS, max_size=3).map(tuple),
        python=st.lists(_TEXTS, max_size=3).map(tuple),
        python_version=st.none() | _TEXTS,
        runtime=st.booleans(),
        lab=st.sampled_from([None, True]),
        differences=st.lists(_TEXTS, max_size=3).map(tuple),
    ),
    debian=st.builds(
        DebianPart,
        suite=st.sampled_from(["bookworm", "trixie"]),
        architecture=st.just("amd64"),
        releases=st.lists(_RELEASES, max_size=3, unique_by=lambda r: r.inrelease_sha256).map(tuple),
        packages=st.lists(_PACKAGES, max_size=5, unique_by=lambda p: (p.name, p.architecture)).map(
            tuple
        ),
    ),
    python=st.none()
    | st.builds(
        PythonPart,
        version=st.sampled_from(["3.11", "3.13"]),
        pylock_sha256=_SHA,
        uv=st.just("0.13.8"),
        wheels=st.lists(_WHEELS, max_size=4, unique_by=lambda w: w.name).map(tuple),
    ),
    image=st.none() | _DIGESTS,
)
"""Any lock."""

SMALL = Lock(
    recipe=1,
    epoch=1763000000,
    spec=SpecPart(
        winner="Python",
        files={"requirements.txt": Digest("sha256:" + "a" * 64)},
        debian=("jq",),
        python=("six>=1",),
        differences=("python 3.10 asked for, 3.11 used on purpose",),
    ),
    debian=DebianPart(
        suite="bookworm",
        architecture="amd64",
        releases=(
            Release(
                suite="bookworm",
                date=datetime(2025, 11, 13, 2, 13, 20, tzinfo=UTC),
                inrelease_sha256=Sha256("b" * 64),
                signed_by=("C" * 40,),
            ),
        ),
        packages=(
            DebianPackage(
                name="jq",
                version="1.6-2.1+deb12u1",
                architecture="amd64",
                part="extra",
                requested=True,
                sha256=Sha256("d" * 64),
                size=64000,
                path="pool/main/j/jq/jq_1.6-2.1+deb12u1_amd64.deb",
                suite="bookworm",
            ),
            DebianPackage(
                name="libc6",
                version="2.36-9+deb12u13",
                architecture="amd64",
                part="base",
                sha256=Sha256("e" * 64),
                size=2759320,
                path="pool/main/g/glibc/libc6_2.36-9+deb12u13_amd64.deb",
                suite="bookworm",
                source="glibc",
            ),
        ),
    ),
    python=PythonPart(
        version="3.11",
        pylock_sha256=Sha256("f" * 64),
        uv="0.13.8",
        wheels=(
            Wheel(
                name="six",
                version="1.17.0",
                file="six-1.17.0-py2.py3-none-any.whl",
                sha256=Sha256("0" * 64),
                size=11050,
                requested=True,
            ),
        ),
    ),
)
"""One of each kind."""
