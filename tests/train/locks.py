"""Locks of environments that nobody has to build, for trains that name them."""

from __future__ import annotations

from datetime import UTC, datetime

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
from branchline.foundation.digest import Digest, digest_of, sha256_of

IMAGE = Digest("sha256:" + "1" * 64)
PYLOCK = b'lock-version = "1.0"\n'

_SHA = Sha256("2" * 64)


def lock(
    *wheels: str,
    debian: tuple[str, ...] = ("libc6",),
    image: Digest | None = IMAGE,
    pylock: bytes = PYLOCK,
) -> Lock:
    """Return a lock of these wheels (``name==version``) and extra Debian packages."""
    pairs = [text.split("==") for text in wheels]
    return Lock(
        recipe=1,
        epoch=1_700_000_000,
        spec=SpecPart(winner="requirements.txt"),
        debian=DebianPart(
            suite="bookworm",
            architecture="amd64",
            releases=(
                Release(
                    suite="bookworm",
                    date=datetime(2026, 11, 21, tzinfo=UTC),
                    inrelease_sha256=_SHA,
                    signed_by=("A" * 40,),
                ),
            ),
            packages=tuple(
                DebianPackage(
                    name=name,
                    version="1.0-1",
                    architecture="amd64",
                    part="extra",
                    sha256=_SHA,
                    size=1,
                    path=f"pool/main/{name}.deb",
                    suite="bookworm",
                )
                for name in debian
            ),
        ),
        python=PythonPart(
            version="3.11",
            pylock_sha256=Sha256(sha256_of(digest_of(pylock)).hex()),
            uv="0.13.8",
            wheels=tuple(
                Wheel(name=name, version=version, file=f"{name}-{version}.whl", sha256=_SHA, size=1)
                for name, version in pairs
            ),
        ),
        image=image,
    )
