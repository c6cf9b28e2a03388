"""Which place a sync means, and talking to it."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.project.cloning import checked_source
from branchline.project.git.command import user
from branchline.project.git.environment import clean_environment
from branchline.project.git.intake import Progress
from branchline.project.git.settings import check_network
from branchline.project.git.trouble import scrubbed, trouble
from branchline.project.merging.clash import label_of
from branchline.project.place import Project

_STEP = re.compile(r"^(?:remote: )?([A-Z][a-z]+ing objects): +([0-9]+)%")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,60}$")
_PATIENCE = {"http.lowSpeedLimit": "1", "http.lowSpeedTime": "60"}
"""Seconds without a single byte after which a connection counts as broken."""


@dataclass(frozen=True)
class Talked:
    """What git said.

    Args:
        code: Its exit code.
        printed: Its standard output.
        said: Its standard error.
    """

    code: int
    printed: str
    said: str


def remotes(project: Project) -> dict[str, str]:
    """Return what git knows of other places: their addresses, by name, without secrets."""
    own = project.git.own
    found = {}
    for name, value in own.items():
        if name.startswith("remote.") and name.endswith(".url"):
            found[name.removeprefix("remote.").removesuffix(".url")] = scrubbed(value)
    return found


def remote_of(project: Project, wanted: str) -> str:
    """Return the remote that is meant; an address that is not known yet becomes one.

    Args:
        project: The project, held by its lock.
        wanted: A remote's name, an address, a folder, or nothing: then the usual one.

    Raises:
        NotFound: There is none.
        Refused: Several might be meant, or the address is of a kind that is not spoken.
    """
    known = remotes(project)
    if not wanted:
        return _usual(project, known)
    if wanted in known:
        return wanted
    if "/" not in wanted and ":" not in wanted:
        names = ", ".join(sorted(known)) or "none"
        raise NotFound(
            f"There is no remote {wanted[:80]!r}; known: {names}",
            advice="Give an address or a folder, and it will be known",
        )
    address = checked_source(wanted)
    for name in known:
        if project.git.own.get(f"remote.{name}.url") == address:
            return name
    return _remember(project, address, known)


def talk(project: Project, remote: str, words: Sequence[str], progress: Progress) -> Talked:
    """Run one git command that talks to another place, with the person's own ways to get there.

    Args:
        project: The project, held by its lock.
        remote: Where to, for the sentence.
        words: The command after ``git``.
        progress: Told how far it is.

    Raises:
        Refused: The repository's own configuration names a program for that.
    """
    own = project.git.own
    check_network(own)
    settings = {name: value for name, value in user().items() if name not in own} | _PATIENCE
    with (
        tempfile.TemporaryFile() as out,
        subprocess.Popen(
            ("git", *words),
            cwd=project.root,
            env=clean_environment(settings, network=True),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            pass_fds=project.git.held,
        ) as process,
    ):
        assert process.stderr is not None
        said = []
        for line in _lines(process.stderr):
            step = _STEP.match(line)
            if step:
                progress(f"{remote}: {step[1].lower()}, {step[2]} %")
            else:
                said.append(line)
        code = process.wait()
        out.seek(0)
        printed = out.read().decode("utf-8", "surrogateescape")
    return Talked(code, printed, "\n".join(said))


def fetch(project: Project, remote: str, progress: Progress) -> dict[str, str]:
    """Bring all branches of another place, apart from everything else; return them by name.

    Raises:
        Unavailable, NotFound, NotAllowed, Refused, GitFailed: It could not be reached.
    """
    progress(f"asking {remote}")
    apart = f"refs/branchline/there/{remote}"
    words = ("fetch", "--progress", "--prune", "--no-tags", "--no-recurse-submodules")
    more = ("--no-write-fetch-head", "--no-auto-maintenance")
    talked = talk(project, remote, (*words, *more, remote, f"+refs/heads/*:{apart}/*"), progress)
    if talked.code != 0:
        raise trouble(remote, talked.said)
    return refs_below(project, apart)


def refs_below(project: Project, place: str) -> dict[str, str]:
    """Return commits by the names of what leads to them below a place."""
    printed = project.git.word("for-each-ref", "--format=%(objectname) %(refname)", f"{place}/")
    lines = [line.split(" ", 1) for line in printed.splitlines()]
    return {name.removeprefix(f"{place}/"): commit for commit, name in lines}


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield lines as they come; git ends those of its progress with a carriage return."""
    waiting = b""
    while piece := stream.read1(4096):  # type: ignore[attr-defined]
        *lines, waiting = re.split(rb"[\r\n]", waiting + piece)
        yield from (line.decode(errors="replace") for line in lines if line)
    if waiting:
        yield waiting.decode(errors="replace")


def _usual(project: Project, known: dict[str, str]) -> str:
    branch = project.git.branch()
    own = project.git.own.get(f"branch.{branch}.remote")
    candidates = [own] if own in known else [n for n in ("hub", "origin") if n in known]
    if not candidates and len(known) == 1:
        candidates = list(known)
    if not known:
        raise NotFound(
            "This project is nowhere else yet",
            advice="Say where: 'branchline sync ADDRESS', with an address or an empty repository's folder",
        )
    if not candidates or candidates[0] is None:
        raise Refused(f"Say which is meant: {', '.join(sorted(known))}")
    return candidates[0]


def _remember(project: Project, address: str, known: dict[str, str]) -> str:
    place = Path(address.rstrip("/").removesuffix(".git")).name
    for name in ("origin", label_of(place).removeprefix("from-")):
        if name not in known and _NAME.match(name):
            project.git.run("config", "--local", f"remote.{name}.url", address)
            heads = f"+refs/heads/*:refs/remotes/{name}/*"
            project.git.run("config", "--local", f"remote.{name}.fetch", heads)
            project.git.forget()
            return name
    raise Conflict(
        f"Other places are known by the names that {address[:80]!r} would have",
        advice="Name it with 'git remote add NAME ADDRESS'",
    )
