"""Debian's apt in a root of its own: its lists, its solver and its downloads, and no system.

The root has an empty dpkg status, the sources given and nothing of the machine's configuration but
how mirrors are reached. Release files are verified by apt, with the sources' own keys.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from branchline.environment.lock.debian.complaints import why_no_lists, why_unsolved
from branchline.environment.lock.debian.deb822 import Index
from branchline.environment.lock.debian.machine import Machine
from branchline.environment.lock.debian.sources import COMPONENT, Source
from branchline.environment.lock.leftovers import IN_USE, held_file
from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import short
from branchline.foundation.disk import need_room
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import Unavailable

_UPDATE_SECONDS = 900
_SOLVE_SECONDS = 300
_LOOK_SECONDS = 1.0
_URI = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) \d+ ?\S*")
_FILE = re.compile(r"(?P<name>[^_]+)_(?P<version>[^_]+)_(?P<architecture>[^_]+)\.deb")
_TARGETS = (
    *("--no-release-info", "--format", "$(REPO_URI)\t$(RELEASE)\t$(ARCHITECTURE)\t$(FILENAME)"),
    "Created-By: Packages",
)


@dataclass(frozen=True)
class Listed:
    """The verified lists of one source: its indexes of packages, and the release file over them.

    Some mirrors have an index apart for what is the same on all architectures. An index that lists
    nothing is not there.
    """

    source: Source
    packages: tuple[Path, ...]
    release: Path

    def index(self) -> Index:
        """Read the indexes as one."""
        data = b"\n\n".join(path.read_bytes() for path in self.packages if path.exists())
        return Index(data, f"the package list of {self.source.suite}")


@dataclass(frozen=True)
class Chosen:
    """A package as apt's solver names it."""

    name: str
    version: str
    architecture: str


class AptRoot:
    """A private root of apt.

    Args:
        cache: The folder that holds such roots, one for each set of sources.
        machine: How mirrors are reached from here.
        sources: What to ask.
    """

    def __init__(self, cache: Path, machine: Machine, sources: Sequence[Source]) -> None:
        said = [machine.architecture, *machine.settings]
        said += [
            text for source in sources for text in (source.uri, source.suite, source.signed_by)
        ]
        self.folder = cache / short(digest_of_json(said))
        self._machine = machine
        self._sources = tuple(sources)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the root to one program at a time; it is set up when first used."""
        with held_file(self.folder / IN_USE):
            self._set_up()
            yield

    def update(self) -> None:
        """Fetch and verify the lists.

        Raises:
            Corrupt: A release file is not signed as it must be.
            Refused: A release file is out of date, or a mirror has no such suite.
            Unavailable: A mirror cannot be reached, or is being updated.
        """
        done = self._run("apt-get", "-q", "--error-on=any", "update", seconds=_UPDATE_SECONDS)
        if done.returncode != 0:
            raise why_no_lists(done.stdout + done.stderr, self._suite)

    def lists(self) -> tuple[Listed, ...]:
        """Return the lists there are, in the sources' order.

        Raises:
            Unavailable: Those of a source are missing: there was no update yet.
        """
        done = self._run("apt-get", "indextargets", *_TARGETS)
        targets = [line.split("\t") for line in done.stdout.splitlines() if line]
        found = [self._listed(source, targets) for source in self._sources]
        for listed in found:
            if not listed.release.is_file():
                raise Unavailable(
                    f"No package list of {listed.source.suite} is at hand",
                    advice="Lock once without --offline",
                )
        return tuple(found)

    def solve(
        self, packages: Sequence[str], pins: Mapping[str, str], more: Path | None = None
    ) -> tuple[Chosen, ...]:
        """Let apt choose what has to be installed for some packages, from nothing.

        Args:
            packages: Each ``name`` or ``name=version``; all exist in the lists.
            pins: Versions to prefer to all others, by name.
            more: An index of further packages.

        Raises:
            Refused: They cannot be installed together.
        """
        write_durably(self.folder / "etc/preferences", _preferences(pins).encode())
        words = ["-q", "-y", "--print-uris", *(["--with-source", str(more)] if more else [])]
        done = self._run("apt-get", *words, "install", "--", *packages, seconds=_SOLVE_SECONDS)
        if done.returncode != 0:
            raise why_unsolved(done.stdout, done.stderr, packages, self._suite)
        matches = (_URI.fullmatch(line.strip()) for line in done.stdout.splitlines())
        return tuple(_chosen(match["file"]) for match in matches if match)

    def download(self, wanted: Sequence[tuple[str, str, Path]]) -> str:
        """Fetch files through apt's own transports.

        Args:
            wanted: (URI, SHA-256, where to) of each. What was refused is not at its place.

        Returns:
            What apt said: nothing of it is to be parsed but to explain what is missing.
        """
        words = [word for uri, sha256, to in wanted for word in (uri, str(to), f"SHA256:{sha256}")]
        helper = "/usr/lib/apt/apt-helper"
        done = self._run(helper, "download-file", *words, seconds=_UPDATE_SECONDS)
        return done.stdout + done.stderr

    @property
    def _suite(self) -> str:
        return self._sources[0].suite

    def _listed(self, source: Source, targets: Iterable[Sequence[str]]) -> Listed:
        said = [
            (Path(file), architecture)
            for uri, suite, architecture, file in targets
            if (uri, suite) == (source.uri, source.suite)
        ]
        if not said:
            raise Unavailable(f"apt knows no index of {source.suite} at {source.uri}")
        file, architecture = said[0]
        end = f"_{COMPONENT}_binary-{architecture}_Packages"
        release = file.with_name(file.name.removesuffix(end) + "_InRelease")
        return Listed(source, tuple(file for file, _ in said), release)

    def _set_up(self) -> None:
        for name in ("etc/apt.conf.d", "etc/sources.list.d", "etc/preferences.d", "state/lists"):
            make_folder(self.folder / name)
        for name in ("state/lists/partial", "cache/archives/partial", "log"):
            make_folder(self.folder / name)
        for name, text in (
            ("apt.conf", self._configuration()),
            ("status", ""),
            ("etc/sources.list.d/these.sources", "\n".join(map(self._entry, self._sources))),
        ):
            path = self.folder / name
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                write_durably(path, text.encode())

    def _entry(self, source: Source) -> str:
        lines = [
            "Types: deb",
            f"URIs: {source.uri}",
            f"Suites: {source.suite}",
            f"Components: {COMPONENT}",
            f"Architectures: {self._machine.architecture}",
        ]
        if source.signed_by:
            lines.append("Signed-By: " + source.signed_by.replace("\n", "\n "))
        return "\n".join(lines) + "\n"

    def _configuration(self) -> str:
        netrc, netrc_parts = self._machine.netrc
        trusted, trusted_parts = self._machine.trusted
        own = {
            "Dir": f"{self.folder}/",
            "Dir::State": "state/",
            "Dir::State::status": f"{self.folder}/status",
            "Dir::Cache": "cache/",
            "Dir::Etc": "etc/",
            "Dir::Etc::netrc": netrc,
            "Dir::Etc::netrcparts": f"{netrc_parts}/",
            "Dir::Etc::trusted": trusted,
            "Dir::Etc::trustedparts": f"{trusted_parts}/",
            "Dir::Log": "log/",
            "APT::Architecture": self._machine.architecture,
            "APT::Install-Recommends": "false",
            "APT::Install-Suggests": "false",
            "APT::Get::AutomaticRemove": "false",
            "Acquire::Languages": "none",
            "Acquire::GzipIndexes": "false",
            "Acquire::AllowInsecureRepositories": "false",
            "Acquire::AllowWeakRepositories": "false",
            "Acquire::AllowDowngradeToInsecureRepositories": "false",
            "Acquire::PDiffs": "false",
            # The private root is closed to apt's own user; only files below it are written.
            "APT::Sandbox::User": "root",
        }
        lines = [
            *self._machine.settings,
            f'APT::Architectures {{ "{self._machine.architecture}"; }};',
        ]
        return "\n".join([*lines, *(f'{key} "{value}";' for key, value in own.items())]) + "\n"

    def _run(
        self, *words: str, seconds: float = _SOLVE_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=self.folder,
            # English, as the answers are read; nothing else of apt's configuration counts.
            env={
                **{key: value for key, value in os.environ.items() if key != "LANGUAGE"},
                "APT_CONFIG": f"{self.folder}/apt.conf",
                "LC_ALL": "C.UTF-8",
            },
        ) as apt:
            try:
                said, errors = self._answer(apt, time.monotonic() + seconds)
            except BaseException:
                apt.kill()
                raise
        if apt.returncode != 0:
            # Before anything is tidied up: apt's words are of many kinds when it cannot write.
            need_room(self.folder)
        return subprocess.CompletedProcess(words, apt.returncode, said, errors)

    def _answer(self, apt: subprocess.Popen[str], end: float) -> tuple[str, str]:
        """Wait for what apt says; some of its transports wait for ever where the disk is full."""
        while True:
            try:
                return apt.communicate(timeout=_LOOK_SECONDS)
            except subprocess.TimeoutExpired as error:
                need_room(self.folder)
                if time.monotonic() > end:
                    raise Unavailable(
                        "apt did not come to an end in time", advice="Try again, or another mirror"
                    ) from error


def _preferences(pins: Mapping[str, str]) -> str:
    """Write apt_preferences(5): 1001 and more count even where they mean a step back."""
    return "\n".join(
        f"Package: {name}\nPin: version {pins[name]}\nPin-Priority: 1001\n" for name in sorted(pins)
    )


def _chosen(file: str) -> Chosen:
    match = _FILE.fullmatch(unquote(file))
    if match is None:
        raise Unavailable(f"apt names a package in a way that is not understood: {file[:120]}")
    return Chosen(match["name"], match["version"], match["architecture"])
