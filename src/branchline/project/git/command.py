"""Run git in one repository: nothing of it is executed, nothing of the caller's shell leaks in."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from branchline.project.git.calling import call, pour_into
from branchline.project.git.environment import KEPT, clean_environment
from branchline.project.git.heads import read_head
from branchline.project.git.settings import LIST_OWN, check_settings, read_own

_SETTLED = int(0.1 * 1e9)
"""Nanoseconds after which the time of a file tells a later change from an earlier one."""


class Git:
    """Git in one repository.

    Args:
        root: The folder with ``.git`` in it; where calls are made.
        held: Descriptors that every call inherits: a lock lasts until the last of them ended.
    """

    def __init__(self, root: Path, held: Sequence[int] = ()) -> None:
        self.root = root
        self.held = tuple(held)
        self._own: dict[str, str] | None = None
        self._stamp: tuple[tuple[int, ...], ...] | None = None

    @property
    def own(self) -> Mapping[str, str]:
        """The repository's own settings, judged when they are first read.

        Raises:
            Refused: One of them would run a program or look elsewhere.
        """
        if self._own is None:
            self._stamp = _stamp(self.root)
            self._own = self._read_settings()
            check_settings(self._own)
        return self._own

    def forget(self) -> None:
        """Read the repository's own settings anew when they are next asked for."""
        self._own = None

    def take_over(self, other: Git) -> None:
        """Take over the repository's own settings from a call before, if no byte of them changed."""
        known = other._own
        # What other files bring in may change without this one.
        whole = known is not None and not any(name.startswith("include") for name in known)
        if whole and other._stamp is not None and other._stamp == _stamp(self.root):
            self._own, self._stamp = known, other._stamp

    def where(self) -> tuple[str | None, str | None]:
        """Return the commit and the branch that are checked out, without a program if that can be.

        The commit is what the branch names; that git still has it is not looked into.
        """
        found = read_head(self.root / ".git") if "extensions.refstorage" not in self.own else None
        return found if found is not None else (self.head(), self.branch())

    def run(
        self,
        *words: str,
        feed: bytes = b"",
        unlocked: bool = False,
        accept: Sequence[int] = (0,),
        variables: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run one git command and return what it printed.

        Args:
            words: The command after ``git``.
            feed: Its standard input.
            unlocked: Whether git-annex's filter may work, for files that are unlocked.
            accept: Exit codes that are no failure.
            variables: More variables of the environment.

        Raises:
            GitFailed: It failed; its own first words are in the sentence.
            Unavailable: The disk is full.
        """
        environment = self._environment(unlocked) | dict(variables or {})
        return call(("git", *words), self.root, environment, feed, accept, self.held)

    def pour(self, *words: str, feed: Iterable[bytes]) -> None:
        """Run one git command that reads while what it is fed is still being made.

        Args:
            words: The command after ``git``.
            feed: Its standard input, in pieces.

        Raises:
            GitFailed: It failed; its own first words are in the sentence.
            Unavailable: The disk is full.
        """
        pour_into(("git", *words), self.root, self._environment(unlocked=False), feed, self.held)

    def lines(self, *words: str, feed: bytes = b"") -> list[str]:
        """Run a git command and return the NUL-separated names it printed."""
        printed = self.run(*words, feed=feed)
        return [os.fsdecode(part) for part in printed.split(b"\0") if part]

    def word(self, *words: str) -> str:
        """Run a git command and return the one word it printed."""
        return self.run(*words).decode().strip()

    def head(self) -> str | None:
        """Return the commit that is checked out; None before the first."""
        found = self.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", accept=(0, 1, 128))
        return found.decode().strip() or None

    def branch(self) -> str | None:
        """Return the branch that is checked out; None for a detached head."""
        found = self.run("symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1))
        return found.decode().strip() or None

    def _environment(self, unlocked: bool) -> dict[str, str]:
        return clean_environment(self._annex_filter(unlocked) | self._who())

    def _who(self) -> dict[str, str]:
        return {name: value for name, value in user().items() if name not in self.own}

    def _annex_filter(self, unlocked: bool) -> dict[str, str]:
        program = annex_program() if unlocked and "annex.uuid" in self.own else None
        if program is None:
            ways = dict.fromkeys(("clean", "smudge", "process"), "")
        else:
            ways = annex_filter(program)
        return {f"filter.annex.{name}": value for name, value in ways.items()}

    def _read_settings(self) -> dict[str, str]:
        environment = clean_environment({})
        return read_own(call(("git", *LIST_OWN), self.root, environment, b"", (0,), self.held))


def _stamp(root: Path) -> tuple[tuple[int, ...], ...] | None:
    """Return what changes with every writing of a repository's own settings; None if not sure yet."""
    found: list[tuple[int, ...]] = []
    for name in ("config", "config.worktree"):
        try:
            at = os.lstat(root / ".git" / name)
        except FileNotFoundError:
            found.append((0,))
            continue
        if not stat.S_ISREG(at.st_mode) or time.time_ns() - at.st_ctime_ns < _SETTLED:
            return None
        # The time of the last change of anything about the file cannot be set back.
        found.append((at.st_ctime_ns, at.st_mtime_ns, at.st_size, at.st_ino, at.st_dev))
    return tuple(found)


_user: dict[str, str] = {}


def user() -> Mapping[str, str]:
    """Return who commits, by the person's own git settings, or by his name on this machine."""
    if not _user:
        _user.update(_read_user())
    return _user


def _read_user() -> dict[str, str]:
    kept = {name: os.environ[name] for name in (*KEPT, "GIT_CONFIG_GLOBAL") if name in os.environ}
    words = ("git", "config", "--global", "-z", "--get-regexp", r"^(user\.|safe\.directory)")
    printed = call(words, Path("/"), kept, accept=(0, 1, 128))
    found = {}
    for part in printed.split(b"\0"):
        name, _, value = part.partition(b"\n")
        if name in (b"user.name", b"user.email", b"safe.directory") and value:
            found[name.decode()] = os.fsdecode(value)
    login = os.environ.get("USER") or os.environ.get("LOGNAME") or "researcher"
    found["user.name"] = os.environ.get("GIT_AUTHOR_NAME") or found.get("user.name") or login
    email = os.environ.get("GIT_AUTHOR_EMAIL") or found.get("user.email")
    found["user.email"] = email or f"{login}@localhost"
    return found


def annex_program() -> str | None:
    """Return where git-annex is: the one installed beside this Python, or else on the path."""
    return shutil.which("git-annex", path=_search_path())


def annex_filter(program: str) -> dict[str, str]:
    """Return the settings by which git passes unlocked files through git-annex."""
    own = shlex.quote(program)
    return {
        "clean": f"{own} smudge --clean -- %f",
        "smudge": f"{own} smudge -- %f",
        "process": f"{own} filter-process",
    }


def _search_path() -> str:
    import sys

    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
