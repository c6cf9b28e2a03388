"""What this machine's apt is configured to do: read from apt itself, never assumed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from branchline.environment.lock.debian.sources import Source, parse_list, parse_sources
from branchline.foundation.errors import Refused, Unavailable

_SECONDS = 60
_FOLDERS = {
    "list": "Dir::Etc::sourcelist/f",
    "parts": "Dir::Etc::sourceparts/d",
    "trusted": "Dir::Etc::trusted/f",
    "trusted_parts": "Dir::Etc::trustedparts/d",
    "netrc": "Dir::Etc::netrc/f",
    "netrc_parts": "Dir::Etc::netrcparts/d",
    "architecture": "APT::Architecture",
}
# How to reach mirrors, and how their dates are judged; nothing that would let unsigned lists in.
_SETTINGS = re.compile(
    r"Acquire::(?:https?::.*|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date|Max-ValidTime)"
    r"(?:::.*)? \".*\";"
)
_NOWHERE = (Path("/nonexistent"), Path("/nonexistent.d"))


@dataclass(frozen=True)
class Machine:
    """A machine's apt.

    Args:
        architecture: Debian's name of it, such as ``amd64``.
        sources: Every signed source with the component ``main``.
        settings: Lines of apt.conf(5) on how mirrors are reached.
        trusted: The keyrings that count where a source names none: a file, and a folder of such.
        netrc: Where credentials for mirrors are kept: a file, and a folder of such.
    """

    architecture: str
    sources: tuple[Source, ...]
    settings: tuple[str, ...] = ()
    trusted: tuple[Path, Path] = _NOWHERE
    netrc: tuple[Path, Path] = _NOWHERE

    @property
    def keyrings(self) -> tuple[Path, ...]:
        """The keyrings that count where a source names none."""
        file, folder = self.trusted
        return (file, *_files(folder, ".gpg", ".asc"))

    @property
    def checks_dates(self) -> bool:
        """Tell whether apt refuses release files that are out of date."""
        off = 'Acquire::Check-Valid-Until "false";', 'Acquire::Check-Date "false";'
        return not any(line in off for line in self.settings)


def read_machine() -> Machine:
    """Read the configuration of this machine's apt.

    Raises:
        Refused: There is no apt here, or its lists of sources cannot be read.
    """
    if shutil.which("apt-get") is None or shutil.which("apt-config") is None:
        raise Refused(
            "Debian packages are resolved by apt, and there is none on this machine",
            advice="Lock on a machine with Debian",
        )
    places = dict(_places())
    lists = [Path(places["list"]), *_files(Path(places["parts"]), ".list")]
    every = [
        source
        for file in lists
        if file.is_file()
        for source in parse_list(_text(file), places["architecture"])
    ]
    for file in _files(Path(places["parts"]), ".sources"):
        every += parse_sources(_text(file), str(file), places["architecture"])
    dumped = _config("dump").splitlines()
    return Machine(
        architecture=places["architecture"],
        sources=tuple(every),
        settings=tuple(line for line in dumped if _SETTINGS.fullmatch(line)),
        trusted=(Path(places["trusted"]), Path(places["trusted_parts"])),
        netrc=(Path(places["netrc"]), Path(places["netrc_parts"])),
    )


def _places() -> Iterator[tuple[str, str]]:
    words = [word for name, key in _FOLDERS.items() for word in (name, key)]
    for line in _config("shell", *words).splitlines():
        name, _, value = line.partition("=")
        yield name, "".join(shlex.split(value))


def _config(*words: str) -> str:
    try:
        done = subprocess.run(
            ["apt-config", *words],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable("apt-config does not tell how this machine's apt is set up") from error
    return done.stdout


def _files(folder: Path, *suffixes: str) -> list[Path]:
    """Return a configuration folder's files, in apt's order; a folder that is missing has none."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(file for file in found if file.suffix in suffixes and file.is_file())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from error
