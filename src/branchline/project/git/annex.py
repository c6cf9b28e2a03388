"""Run git-annex in one repository, as clean as git; a program of its own (AGPL), never linked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import Refused, Unavailable
from branchline.project.git.calling import call, call_both
from branchline.project.git.command import Git, annex_filter, annex_program, user
from branchline.project.git.environment import clean_environment

OLDEST = (10, 20250101)
"""The oldest git-annex whose formats and options are the ones relied on."""

_VERSION = re.compile(r"^([0-9]+)\.([0-9]{8})")
_ADVICE = "Install it with \"pip install 'branchline[project]'\""


class Annex:
    """Git-annex in one repository.

    Args:
        git: The repository's git.
    """

    def __init__(self, git: Git) -> None:
        self._git = git
        self._program = ""

    @property
    def uuid(self) -> str | None:
        """The repository's own name among those that hold content; None before `begin`."""
        return self._git.own.get("annex.uuid")

    @property
    def program(self) -> str:
        """Where git-annex is, once its version has been looked at.

        Raises:
            Unavailable: There is none, or it is too old.
        """
        if not self._program:
            self._program = _checked(self._git.root)
        return self._program

    def begin(self, description: str) -> None:
        """Make the repository one that holds content; one that does already is left as it is.

        Special remotes that its branch names are not set up by themselves.
        """
        if self.uuid is None:
            self.run("init", "--quiet", "--no-autoenable", description)
            if shutil.which("git-annex") is None:
                # Where it is installed for Branchline alone, plain git finds it, too.
                for name, value in annex_filter(self.program).items():
                    self._git.run("config", "--local", f"filter.annex.{name}", value)
            self._git.forget()

    def run(
        self, *words: str, feed: bytes = b"", accept: Sequence[int] = (0,), network: bool = False
    ) -> bytes:
        """Run one git-annex command and return what it printed.

        Args:
            words: The command after ``git annex``.
            feed: Its standard input.
            accept: Exit codes that are no failure.
            network: Whether the person's own ways to other machines count.

        Raises:
            Refused: The repository has hooks that git-annex would run.
            GitFailed: It failed; its own first words are in the sentence.
            Unavailable: There is no git-annex, or the disk is full.
        """
        return self.hear(*words, feed=feed, accept=accept, network=network)[0]

    def hear(
        self, *words: str, feed: bytes = b"", accept: Sequence[int] = (0,), network: bool = False
    ) -> tuple[bytes, bytes]:
        """Run one git-annex command; return what it printed, and what it said on standard error.

        Args and errors are those of `run`.
        """
        environment = self._environment({}, network=network)
        held = self._git.held
        return call_both((self.program, *words), self._git.root, environment, feed, accept, held)

    def stream(
        self, words: Sequence[str], names: Sequence[str], settings: Mapping[str, str]
    ) -> Iterator[dict[str, Any]]:
        """Run a git-annex command that reaches other places, and yield what it says, as it says it.

        Args:
            words: The command after ``git annex``, with ``--json``, ``--batch`` and ``-z``.
            names: What it is fed.
            settings: More settings.

        Raises:
            Refused: The repository has hooks that git-annex would run.
            Unavailable: There is no git-annex.
        """
        import tempfile

        environment = self._environment(settings, network=True)
        with tempfile.TemporaryFile() as feed:
            feed.write(b"".join(os.fsencode(name) + b"\0" for name in names))
            feed.seek(0)
            with subprocess.Popen(
                (self.program, *words),
                cwd=self._git.root,
                env=environment,
                stdin=feed,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=self._git.held,
            ) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith(b"{"):
                        yield decode_json(line, dict[str, Any])

    def _environment(self, settings: Mapping[str, str], *, network: bool) -> dict[str, str]:
        program = self.program
        self._check_hooks()
        known = {name: value for name, value in user().items() if name not in self._git.own}
        environment = clean_environment({**known, **settings}, network=network)
        # It finds the program behind our own backend beside this Python.
        beside = (str(Path(program).parent), str(Path(sys.executable).parent))
        environment["PATH"] = os.pathsep.join((*beside, environment.get("PATH", os.defpath)))
        # It takes paths as they are, and asks git for patterns of its own.
        environment.pop("GIT_LITERAL_PATHSPECS")
        return environment

    def add(self, paths: Sequence[str], *, backend: str = "") -> None:
        """Take files in as git-annex itself does.

        Args:
            paths: Relative to the repository.
            backend: Have all of them in git-annex, named by this backend, whatever the repository's
                own rules say.
        """
        names = b"".join(os.fsencode(path) + b"\0" for path in paths)
        more = ("--force-large", f"--backend={backend}") if backend else ()
        self.run("add", "--quiet", *more, "--batch", "-z", feed=names)

    def _check_hooks(self) -> None:
        """Refuse git-annex's own hooks: unlike git's, no setting switches them off."""
        found = sorted((self._git.root / ".git" / "hooks").glob("*-annex"))
        if found:
            raise Refused(
                f"The repository has a hook that git-annex would run (.git/hooks/{found[0].name})",
                advice="Look at it, and remove it",
            )


def _checked(folder: Path) -> str:
    program = annex_program()
    if program is None:
        raise Unavailable("git-annex is not installed", advice=_ADVICE)
    printed = call((program, "version", "--raw"), folder, clean_environment({})).decode()
    found = _VERSION.match(printed)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        needed = ".".join(str(part) for part in OLDEST)
        raise Unavailable(
            f"git-annex {printed.strip()[:40]} is too old; {needed} or later is needed",
            advice=_ADVICE,
        )
    return program
