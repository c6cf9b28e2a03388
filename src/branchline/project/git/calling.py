"""Call a program: what it reads, what it prints, and its failure as one sentence."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from branchline.foundation.errors import BranchlineError, Refused, Unavailable

_FULL = ("no space left on device", "disk quota exceeded", "out of diskspace")
_LONGEST_COMPLAINT = 400


class GitFailed(BranchlineError):
    """Git (or git-annex) did not do what it was asked to."""

    code = "git"


def call(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    feed: bytes = b"",
    accept: Sequence[int] = (0,),
    held: Sequence[int] = (),
) -> bytes:
    """Run a program and return what it printed; see `call_both`."""
    return call_both(words, folder, environment, feed, accept, held)[0]


def call_both(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    feed: bytes = b"",
    accept: Sequence[int] = (0,),
    held: Sequence[int] = (),
) -> tuple[bytes, bytes]:
    """Run a program and return what it printed, and what it said on standard error.

    Raises:
        GitFailed: It failed, or is not installed.
        Unavailable: The disk is full.
    """
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=dict(environment),
            input=feed,
            capture_output=True,
            pass_fds=held,
            check=False,
        )
    except FileNotFoundError as error:
        raise _missing(words) from error
    if done.returncode not in accept:
        raise _failure(words, done.returncode, done.stderr.decode(errors="replace"))
    return done.stdout, done.stderr


def pour_into(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    feed: Iterable[bytes],
    held: Sequence[int] = (),
) -> None:
    """Run a program on what is fed to it piece by piece; nothing that it prints is kept.

    Raises:
        GitFailed: It failed, or is not installed.
        Unavailable: The disk is full.
    """
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                words,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=held,
            )
        except FileNotFoundError as error:
            raise _missing(words) from error
        with process:
            assert process.stdin is not None
            # Where it ended early, it has said why.
            with suppress(BrokenPipeError), process.stdin as stdin:
                for piece in feed:
                    stdin.write(piece)
        if process.returncode != 0:
            complaints.seek(0)
            said = complaints.read().decode(errors="replace")
            raise _failure(words, process.returncode, said)


def _missing(words: Sequence[str]) -> GitFailed:
    return GitFailed(f"{words[0]} was not found", advice=f"Install {words[0]}")


def _failure(words: Sequence[str], code: int, said: str) -> BranchlineError:
    if any(sign in said.lower() for sign in _FULL):
        return Unavailable("The disk is full", advice="Free some space, then do the same again")
    if "dubious ownership" in said:
        return Refused(
            "The repository belongs to another user of this machine",
            advice="Clone it with 'branchline clone', or take it over with 'chown -R'",
        )
    complaint = " ".join(said.split())[:_LONGEST_COMPLAINT] or f"exit code {code}"
    name = " ".join((Path(words[0]).name, *words[1:2]))
    return GitFailed(f"'{name}' failed: {complaint}")
