"""Clone a project: looked through before a single file of it is laid out."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from branchline.foundation.durable import make_folder
from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.chain import Fault
from branchline.project.activity.verify import verify
from branchline.project.adding import check_link
from branchline.project.data.guard import install_hook
from branchline.project.finding import FILE
from branchline.project.git.calling import GitFailed, call
from branchline.project.git.command import Git
from branchline.project.git.environment import clean_environment
from branchline.project.git.intake import Progress
from branchline.project.git.objects import read_objects
from branchline.project.git.trouble import scrubbed, trouble
from branchline.project.names import check_names
from branchline.project.place import Project

if TYPE_CHECKING:
    from branchline.project.syncing.getting import Got

_LINK, _MODULE = "120000", "160000"
_SCHEMES = ("https://", "http://", "ssh://", "file://")


@dataclass(frozen=True)
class Cloned:
    """What `clone` did.

    Args:
        project: The project.
        modules: Submodules that were left out.
        records: How many records of its activity hold.
        faults: What of its activity should not be.
        got: What came of the data's content, if it was asked for.
    """

    project: Project
    modules: Sequence[str]
    records: int
    faults: Sequence[Fault]
    got: Got | None = None


@dataclass(frozen=True)
class Way:
    """How a project is reached where its address alone does not say it.

    Args:
        remote: What git is to call where it came from.
        settings: Settings of git's that hold while it is fetched; they may hold secrets.
        prepare: Makes the clone's own settings, before git-annex is asked for anything.
    """

    remote: str = "origin"
    settings: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Project], object] = lambda project: None


def clone(
    source: str,
    folder: Path,
    progress: Progress,
    *,
    bringing: Identity | None = None,
    way: Way = Way(),
) -> Cloned:
    """Clone a project into a new folder.

    Names, links and settings are judged before anything is laid out; nothing of it is run, and no
    submodule is entered. Refused or killed, it leaves nothing at the folder.

    Args:
        source: An address or a folder.
        folder: Where it goes; must be new or empty.
        progress: Told what is done.
        bringing: Whose keys sign what came of the data's content; None to bring none.
        way: How it is reached.

    Raises:
        Refused: The address is of a kind that runs programs; or something in the project cannot be
            laid out everywhere; or it is no project.
        Conflict: There is something at the folder.
        Unavailable, NotFound, NotAllowed, GitFailed: It cannot be reached.
    """
    source = checked_source(source)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"There is something at {folder}", advice="Choose a new folder")
    parent = make_folder(folder.absolute().parent, 0o755)
    waiting = parent / f".{folder.name}.{secrets.token_hex(4)}.clone"
    try:
        progress(f"fetching {scrubbed(source)}")
        words = ("clone", "--quiet", "--no-checkout", "--no-recurse-submodules", "--template=")
        environment = clean_environment(way.settings, network=True)
        where = (f"--origin={way.remote}", "--", source, str(waiting))
        try:
            call(("git", *words, *where), parent, environment)
        except GitFailed as error:
            raise trouble(scrubbed(source), error.refused, known=False) from None
        fetched = Project(waiting)
        if fetched.git.head() is None:
            raise NotFound("There is nothing in it yet", advice="Begin one with 'branchline init'")
        modules = look_through(fetched.git)
        project = Project(waiting)
        progress("laying out")
        project.git.run("read-tree", "-m", "-u", "HEAD", unlocked=True)
        progress("preparing git-annex")
        way.prepare(project)
        project.annex.begin(f"{folder.name} at {os.uname().nodename}")
        install_hook(waiting)
        if folder.exists():
            folder.rmdir()
        waiting.rename(folder)
    except BaseException:
        remove_clone(waiting)
        raise
    cloned = Project(folder.resolve())
    progress("verifying its activity")
    checked = verify(cloned)
    got = None if bringing is None else _bring(cloned, bringing, progress)
    return Cloned(cloned, modules, checked.records, checked.faults, got)


def _bring(cloned: Project, identity: Identity, progress: Progress) -> Got:
    """Bring all contents that rules let come here; the clone is there whatever becomes of it."""
    from branchline.project.syncing.getting import get

    with cloned.working() as project:
        return get(project, identity, ["."], progress, leave=True)


def checked_source(source: str) -> str:
    """Return an address, or a folder by its whole path.

    Raises:
        Refused: It is of a kind that runs programs, or that is not spoken here.
    """
    told = source.lower()
    if source.startswith("-") or "::" in source.partition("/")[0]:
        raise Refused(f"{source[:80]!r} is no address of a project")
    if "://" in told and not told.startswith(_SCHEMES):
        raise Refused(
            f"{source[:80]!r} is an address of a kind that is not spoken here",
            advice="Use https, ssh, or a folder",
        )
    return str(Path(source).absolute()) if Path(source).exists() else source


def look_through(git: Git, commit: str = "HEAD") -> list[str]:
    """Refuse a commit that cannot be laid out; return the submodules.

    Args:
        git: Its repository's git.
        commit: Which.

    Raises:
        Refused: A name or a link of it cannot be laid out everywhere; or it is no project.
    """
    lines = git.lines("ls-tree", "-r", "-z", "--full-tree", commit)
    entries = [(*line.partition("\t")[0].split(), line.partition("\t")[2]) for line in lines]
    paths = [path for *_, path in entries]
    check_names(paths)
    links = [(name, path) for mode, _, name, path in entries if mode == _LINK]
    asked = "".join(f"{name}\n" for name, _ in links).encode()
    targets = read_objects(git, asked, len(links)) if links else []
    for (_, path), target in zip(links, targets, strict=True):
        check_link(path, os.fsdecode(target))
    if FILE not in paths:
        raise Refused(
            "It is a repository, but no project",
            advice="Clone it with 'git clone', and adopt it with 'branchline init'",
        )
    return [path for mode, _, _, path in entries if mode == _MODULE]


def remove_clone(folder: Path) -> None:
    """Remove a clone that came to nothing; git-annex's folders are not writable."""
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o755)
    shutil.rmtree(folder, ignore_errors=True)
