"""The hosted projects' repositories on central's disk: bare, made by us, run with nothing of theirs."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from branchline.central.hub.rights import Standing
from branchline.foundation.durable import make_folder, sync_file, sync_folder, write_durably
from branchline.foundation.errors import Unavailable
from branchline.project.git.calling import call
from branchline.project.git.command import Git
from branchline.project.git.environment import clean_environment
from branchline.project.git.keys import file_of_key, key_of_file, place_of
from branchline.project.git.objects import read_objects
from branchline.project.git.telling import BRANCH as ANNEX

_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
[annex]
\tuuid = {uuid}
\tversion = 10
"""
_HEAD = "ref: refs/heads/main\n"
_LEFT = ("HEAD.lock", "packed-refs.lock", "config.lock", "shallow.lock")
_WAIT = 10.0
_ABANDONED = 3600.0
"""Seconds after which what a killed push brought, and nobody judged, is nobody's any more."""


class Repositories:
    """The folder with all hosted repositories.

    Args:
        folder: Central's folder; they are in ``projects`` in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder / "projects")
        self._locks: dict[str, asyncio.Lock] = {}

    def path(self, hosted: str) -> Path:
        """Return the folder of a hosted project's repository."""
        return self.folder / hosted

    def git(self, hosted: str) -> Git:
        """Return git in a hosted project's repository."""
        return Git(self.path(hosted))

    def ensure(self, standing: Standing) -> Path:
        """Make a hosted project's repository if it is not there yet, and return its folder."""
        place = self.path(standing.hosted)
        if not place.is_dir():
            waiting = self._empty(standing)
            try:
                waiting.rename(place)
            except OSError:
                # Somebody else was faster.
                remove(waiting)
                if not place.is_dir():
                    raise
            sync_folder(self.folder)
        return place

    def _empty(self, standing: Standing) -> Path:
        waiting = self.folder / f".{standing.hosted}.{secrets.token_hex(4)}"
        waiting.mkdir(mode=0o700)
        words = ("git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", ".")
        call(words, waiting, clean_environment({}))
        write_durably(waiting / "config", _CONFIG.format(uuid=standing.annex).encode())
        write_durably(waiting / "HEAD", _HEAD.encode())
        return waiting

    def heads(self, hosted: str) -> dict[str, str]:
        """Return for each branch the commit it ends with."""
        if not self.path(hosted).is_dir():
            return {}
        form = "--format=%(refname) %(objectname)"
        printed = self.git(hosted).run("for-each-ref", form, "refs/heads", "refs/tags").decode()
        lines = [line.rpartition(" ") for line in printed.splitlines()]
        return {name.removeprefix("refs/heads/"): commit for name, _, commit in lines}

    def lock(self, hosted: str) -> int:
        """Open the lock of a repository, for children to inherit; who holds it closes it.

        A child that outlives a killed central keeps what was locked until it ends, too.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        return os.open(self.folder / f"{hosted}.lock", flags, 0o600)

    def has_content(self, hosted: str, key: str) -> bool:
        """Tell whether a content is at the hub, by the disk's word."""
        return self._content(hosted, key).is_file()

    def settle(self, hosted: str, key: str) -> None:
        """Make a content that is there durable, with its place; what is not there is left out."""
        file = self._content(hosted, key)
        if file.is_file():
            sync_file(file)
            for folder in list(file.parents)[:4]:
                sync_folder(folder)

    def settle_part(self, hosted: str, key: str) -> None:
        """Make what came of a content so far durable."""
        part = self.path(hosted) / "annex" / "tmp" / file_of_key(key)
        if part.is_file():
            sync_file(part)

    def _content(self, hosted: str, key: str) -> Path:
        name = file_of_key(key)
        return self.path(hosted) / "annex" / "objects" / place_of(key) / name / name

    @asynccontextmanager
    async def alone(self, hosted: str, descriptor: int | None = None) -> AsyncIterator[None]:
        """Let one at a time change a repository's branches.

        Args:
            hosted: Which.
            descriptor: Its lock, if it is open already; then it stays locked until that is closed.

        Raises:
            Unavailable: Somebody has been at it for too long.
        """
        lock = self._locks.setdefault(hosted, asyncio.Lock())
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_WAIT):
                    await stack.enter_async_context(lock)
                    if descriptor is None:
                        descriptor = self.lock(hosted)
                        stack.callback(os.close, descriptor)
                    while not _locked(descriptor):  # noqa: ASYNC110 - a child of an earlier central
                        await asyncio.sleep(0.05)
            except TimeoutError:
                raise Unavailable(
                    "Somebody else is changing this project", advice="Try again in a minute"
                ) from None
            self._clear_away(hosted)
            yield

    def _clear_away(self, hosted: str) -> None:
        """Remove what killed programs left: whoever holds the lock is the only one at work."""
        place = self.path(hosted)
        for file in (*(place / name for name in _LEFT), *(place / "refs").rglob("*.lock")):
            file.unlink(missing_ok=True)

    def copy(self, source: Standing, made: Standing) -> None:
        """Copy a repository with its branches and its content; done once, whole or not at all.

        Content is not stored twice: both have the same files. The original is held `alone`.
        """
        if self.path(made.hosted).is_dir():
            return
        origin = self.ensure(source)
        waiting = self._empty(made)
        try:
            words = ("git", "fetch", "--quiet", "--no-write-fetch-head", str(origin))
            refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            call((*words, *refs), waiting, clean_environment({}))
            shutil.copyfile(origin / "HEAD", waiting / "HEAD")
            content = origin / "annex" / "objects"
            if content.is_dir():
                shutil.copytree(content, waiting / "annex" / "objects", copy_function=_link)
                tell_of_copies(Git(waiting), made.annex, waiting / "annex" / "objects", time.time())
            waiting.rename(self.path(made.hosted))
        except BaseException:
            remove(waiting)
            raise
        sync_folder(self.folder)

    def remove(self, hosted: str) -> None:
        """Remove a hosted project's repository and its content."""
        place = self.path(hosted)
        if place.is_dir():
            gone = self.folder / f".{hosted}.{secrets.token_hex(4)}"
            place.rename(gone)
            sync_folder(self.folder)
            remove(gone)
        (self.folder / f"{hosted}.lock").unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> None:
        """Remove what no hosted project needs any more, and what a crash left half done."""
        for each in self.folder.iterdir():
            half_done = each.name.startswith(".hosted-")
            if not each.is_dir() or not (half_done or each.name.startswith("hosted-")):
                continue
            if half_done or each.name not in known:
                remove(each)
                continue
            for left in (each / "objects").glob("tmp_objdir-*"):
                if time.time() - left.stat().st_mtime > _ABANDONED:
                    remove(left)


def tell_of_copies(git: Git, uuid: str, objects: Path, now: float) -> None:
    """Say on git-annex's branch which contents a repository has, in one commit.

    Args:
        git: The repository's git; one without that branch is left as it is.
        uuid: What git-annex calls it.
        objects: Where its contents are.
        now: The time, in seconds since 1970.
    """
    if not git.run("rev-parse", "--verify", "--quiet", ANNEX, accept=(0, 1)):
        return
    names = sorted({file.name for file in objects.glob("*/*/*/*")})
    places = [f"{place_of(key_of_file(name))}/{name}.log" for name in names]
    asked = "".join(f"{ANNEX}:{place}\n" for place in places).encode()
    texts = read_objects(git, asked, len(places)) if places else []
    stream = [f"commit {ANNEX}\ncommitter hub <hub@localhost> {int(now)} +0000\n".encode()]
    stream += [b"data 6\nupdate\n", f"from {ANNEX}^0\n".encode()]
    for place, text in zip(places, texts, strict=True):
        whole = text + f"{now:.6f}s 1 {uuid}\n".encode()
        stream.append(
            b"M 100644 inline %s\ndata %d\n%s\n" % (os.fsencode(place), len(whole), whole)
        )
    git.run(
        "fast-import", "--quiet", "--done", feed=b"".join((b"feature done\n", *stream, b"done\n"))
    )


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it; git-annex's are not writable."""
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _link(source: str, target: str) -> str:
    os.link(source, target, follow_symlinks=False)
    return target


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
