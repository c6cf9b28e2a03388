"""Use this machine's own /usr and Python environment as an environment.

It is the quickest environment there is and not a reproducible one: its digest names the Debian
release and every installed Python distribution, but nobody can build it again from that.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Refused

LABEL = "not reproducible: this machine's own /usr and Python environment"

_PROBE = """
import json, site, sys
paths = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
print(json.dumps([sys.version.split()[0], sys.prefix, sys.base_prefix, paths]))
"""
_PROBE_SECONDS = 30
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:==([^\s;]+))?")
_FORBIDDEN = {Path(p) for p in ("/", "/etc", "/home", "/mnt", "/root", "/srv", "/tmp", "/var")}
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_CONFIGURATION = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/fonts", "/etc/R")
_FILES = (
    ("/etc/passwd", "train:x:1000:1000:train:/tmp:/bin/sh\n"),
    ("/etc/group", "train:x:1000:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
)


class EnvironmentRefused(Refused):
    """An environment that does not exist or lacks what a train needs."""


@dataclass(frozen=True)
class HostEnvironment:
    """Describe this machine's environment; `digest` covers the versions, never any paths."""

    digest: Digest
    python: str
    distributions: tuple[tuple[str, str], ...]
    debian: str
    prefix: Path
    base_prefix: Path
    reproducible: bool = False
    label: str = LABEL


@dataclass(frozen=True)
class HostMount:
    """Say how a sandbox shows the environment; see the sandbox's `EnvironmentMount`."""

    root: Sequence[tuple[Path, str]]
    python: str
    env: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()
    files: Sequence[tuple[str, str]] = ()
    before: Sequence[str] = ()

    def verify(self) -> None:
        """Do nothing: nobody knows what this machine's own files should be."""


def describe_host(python_prefix: Path = Path(sys.prefix)) -> HostEnvironment:
    """Describe the Python environment at a prefix: a virtual environment, or /usr itself.

    Raises:
        EnvironmentRefused: there is no working Python at the prefix.
    """
    python, prefix, base_prefix, paths = _probe(python_prefix)
    for folder in (prefix, base_prefix):
        if folder in _FORBIDDEN:
            raise EnvironmentRefused(
                f"the Python prefix {folder} holds more than Python, so trains must not see it",
                advice="Make a virtual environment from a Python in a folder of its own",
            )
    installed = tuple(sorted({(_normal(d.name), d.version) for d in distributions(path=paths)}))
    debian = _debian_version()
    described = {"python": python, "debian": debian, "distributions": [list(i) for i in installed]}
    digest = digest_of_json(described)
    return HostEnvironment(digest, python, installed, debian, prefix, base_prefix)


def missing(environment: HostEnvironment, requirements: Iterable[str]) -> list[str]:
    """Return those requirements ("name" or "name==version") that the environment does not meet.

    Raises:
        EnvironmentRefused: a requirement of another form, which nobody could check here.
    """
    versions = dict(environment.distributions)
    return [text for text in requirements if not _met(text, versions)]


def mounts(environment: HostEnvironment) -> HostMount:
    """Return the mounts: /usr, the Python prefixes at the same paths, and a minimal /etc."""
    root = [(Path("/usr"), "/usr"), *_prefixes(environment)]
    links = []
    for name in _MERGED:
        folder = Path("/") / name
        if folder.is_symlink():
            links.append((str(folder.readlink()), str(folder)))
        elif folder.is_dir():
            root.append((folder, str(folder)))
    root += [(Path(path), path) for path in _CONFIGURATION if Path(path).exists()]
    binaries = environment.prefix / "bin"
    python = binaries / "python" if (binaries / "python").exists() else binaries / "python3"
    path = "/usr/local/bin:/usr/bin:/bin"
    env = {"PATH": path if binaries == Path("/usr/bin") else f"{binaries}:{path}"}
    return HostMount(root, str(python), env, links, _FILES)


def _probe(prefix: Path) -> tuple[str, Path, Path, list[str]]:
    """Ask the prefix's interpreter, as only it knows where it looks for packages."""
    for name in ("python", "python3"):
        interpreter = prefix / "bin" / name
        if interpreter.exists():
            break
    else:
        raise EnvironmentRefused(
            f"there is no Python at {prefix}/bin", advice="Name the folder of an environment"
        )
    try:
        done = subprocess.run(
            [interpreter, "-I", "-c", _PROBE],
            capture_output=True,
            check=True,
            timeout=_PROBE_SECONDS,
        )
        version, found, base, paths = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise EnvironmentRefused(f"the Python at {prefix}/bin does not work") from error
    return version, Path(found), Path(base), paths


def _prefixes(environment: HostEnvironment) -> Iterator[tuple[Path, str]]:
    """Return the folders outside /usr that Python needs, under every name it uses for them."""
    named = (environment.base_prefix, environment.prefix)
    interpreter = (environment.prefix / "bin" / "python3").resolve().parent.parent
    for folder in dict.fromkeys((*(f.resolve() for f in named), interpreter, *named)):
        if not folder.is_relative_to("/usr"):
            yield folder, str(folder)


def _met(text: str, versions: Mapping[str, str]) -> bool:
    match = _REQUIREMENT.fullmatch(text.strip())
    if match is None:
        raise EnvironmentRefused(
            f"{text[:80]!r} is not a requirement that a host environment can be checked for",
            advice='Write "name" or "name==version"',
        )
    version = versions.get(_normal(match[1]))
    return version is not None and match[2] in (None, version)


def _normal(name: str) -> str:
    """Return a distribution's normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _debian_version() -> str:
    file = Path("/etc/debian_version")
    return file.read_text(encoding="ascii").strip() if file.exists() else "unknown"
