"""A mirror of Debian in a folder: small packages, real indexes, signed by a key made for the test."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from branchline.environment.lock.debian.machine import Machine
from branchline.environment.lock.debian.sources import Source
from branchline.environment.lock.suites import BASE_PACKAGES
from branchline.environment.lock.suites import SUITES as KNOWN_SUITES

BOOKWORM = KNOWN_SUITES["bookworm"]
SUITES = ("bookworm", "bookworm-updates", "bookworm-security")
BASE = ("base-files", *BASE_PACKAGES, *BOOKWORM.base)
DATE = "Wed, 01 Jan 2025 08:00:00 UTC"
NEXT_DAY = "Thu, 02 Jan 2025 08:00:00 UTC"


@dataclass
class Key:
    """A signing key in a folder of its own."""

    home: Path

    @classmethod
    def new(cls, home: Path) -> Key:
        home.mkdir(mode=0o700, parents=True)
        key = cls(home)
        key.gpg("--quick-generate-key", "Throw-away key <test@example.org>", "ed25519", "sign", "0")
        key.public.write_bytes(key.gpg("--export"))
        return key

    @property
    def public(self) -> Path:
        return self.home / "public.gpg"

    def armoured(self) -> str:
        return self.gpg("--armor", "--export").decode()

    def fingerprint(self) -> str:
        listed = self.gpg("--list-keys", "--with-colons").decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))

    def gpg(self, *words: str, data: bytes = b"") -> bytes:
        done = subprocess.run(
            [
                "gpg",
                "--batch",
                "--quiet",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
                *words,
            ],
            input=data,
            capture_output=True,
            check=True,
            env={"PATH": os.environ["PATH"], "GNUPGHOME": str(self.home), "LC_ALL": "C"},
        )
        return done.stdout


@dataclass
class Mirror:
    """A mirror; `add` packages, then `publish`."""

    folder: Path
    key: Key
    listed: dict[str, list[str]] = field(default_factory=lambda: {suite: [] for suite in SUITES})

    def add(
        self,
        name: str,
        version: str = "1.0-1",
        *,
        suite: str = "bookworm",
        fields: str = "",
        content: bytes = b"",
    ) -> Path:
        """Build a package that holds one file, or two where a content is given; list it in a suite."""
        path = Path("pool/main") / name[0] / name / f"{name}_{version.replace(':', '%3a')}_all.deb"
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
            f"Maintainer: Nobody <nobody@example.org>\nDescription: a package for tests\n{fields}"
        )
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        tree = self.folder / "tree" / name
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (tree / "DEBIAN/control").write_text(control)
        copyright_file = tree / "usr/share/doc" / name / "copyright"
        copyright_file.parent.mkdir(parents=True, exist_ok=True)
        copyright_file.write_text(COPYRIGHT)
        if content:
            (tree / "usr/content").write_bytes(content)
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, file],
            check=True,
            capture_output=True,
        )
        data = file.read_bytes()
        self.listed[suite].append(
            f"{control}Filename: {path}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
        return file

    def copy(self, folder: Path) -> Mirror:
        """Return a mirror with the same packages, to be changed apart."""
        shutil.copytree(self.folder, folder)
        return Mirror(folder, self.key, {suite: list(said) for suite, said in self.listed.items()})

    def forget(self, name: str, version: str) -> None:
        """Take a version out of the lists, as mirrors do when there is a newer one."""
        for suite, stanzas in self.listed.items():
            start = f"Package: {name}\nVersion: {version}\n"
            self.listed[suite] = [text for text in stanzas if not text.startswith(start)]
        for file in self.folder.glob(f"pool/main/*/{name}/{name}_{version}_all.deb"):
            file.unlink()

    def publish(self, date: str = DATE, *, until: str = "", key: Key | None = None) -> None:
        """Write indexes and signed release files."""
        for suite, stanzas in self.listed.items():
            folder = self.folder / "dists" / suite
            index = folder / "main/binary-amd64/Packages"
            index.parent.mkdir(parents=True, exist_ok=True)
            index.write_text("\n".join(stanzas))
            index.with_suffix(".gz").write_bytes(gzip.compress(index.read_bytes(), mtime=0))
            sums = "".join(
                f" {hashlib.sha256(file.read_bytes()).hexdigest()} {file.stat().st_size} "
                f"{file.relative_to(folder)}\n"
                for file in (index, index.with_suffix(".gz"))
            )
            release = (
                f"Origin: Debian\nLabel: Debian\nSuite: {suite}\nCodename: {suite}\nDate: {date}\n"
                + (f"Valid-Until: {until}\n" if until else "")
                + f"Architectures: amd64 all\nComponents: main\nSHA256:\n{sums}"
            )
            signed = (key or self.key).gpg("--clearsign", data=release.encode())
            (folder / "InRelease").write_bytes(signed)

    def machine(self, uri: str = "", settings: Sequence[str] = ()) -> Machine:
        """Return a machine whose apt has this mirror alone."""
        place = uri or f"copy:{self.folder}/"
        sources = tuple(Source(place, suite, str(self.key.public)) for suite in SUITES)
        return Machine("amd64", sources, tuple(settings))


def small_mirror(folder: Path, key: Key) -> Mirror:
    """Return a published mirror with a base, and a few packages beside it."""
    mirror = Mirror(folder, key)
    for name in BASE:
        mirror.add(name, fields="Essential: yes\n" if name == "base-files" else "")
    mirror.add("python3.11-minimal", "3.11.2-6+deb12u6")
    mirror.add("tool", fields="Depends: libtool-data (= 1.0-1)\n")
    mirror.add("libtool-data", fields="Source: tool (0.9-1)\n")
    mirror.add("other", fields="Conflicts: tool\n")
    mirror.add("needy", fields="Depends: nowhere\n")
    mirror.add("one", fields="Provides: virtual-alone, virtual-many\n")
    mirror.add("two", fields="Provides: virtual-many\n")
    mirror.publish()
    return mirror


COPYRIGHT = """\
Format: https://example.org/copyright-format/1.0/
Upstream-Name: tests

Files: *
Copyright: nobody
License: Expat

Files: debian/*
Copyright: nobody
License: GPL-2+
 On Debian systems the text can be found elsewhere.

License: Expat
 Permission is hereby granted to everybody.
"""
