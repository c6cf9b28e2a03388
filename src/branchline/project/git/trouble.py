"""What git says when another place cannot be reached, as a sentence for people; pure."""

from __future__ import annotations

import re

from branchline.foundation.errors import (
    BranchlineError,
    NotAllowed,
    NotFound,
    Refused,
    Unavailable,
)
from branchline.project.git.calling import GitFailed

_SECRET = re.compile(r"//[^/@\s]+@")
_LONGEST = 400
_FULL = ("no space left on device", "disk quota exceeded")
_CLOSED = (
    *("authentication failed", "permission denied", "could not read username", "access denied"),
    *("could not read password", "error: 401", "error: 403", "invalid username or password"),
)
_MISSING = (
    *("does not appear to be a git repository", "repository not found", "error: 404"),
    *("no such file or directory", "does not exist", "not a git repository"),
)
_BROKEN = (
    *("could not resolve host", "connection refused", "failed to connect", "timed out"),
    *(
        "connection reset",
        "early eof",
        "rpc failed",
        "the remote end hung up",
        "unexpected disconnect",
    ),
    *("connection closed", "network is unreachable", "no route to host", "couldn't connect"),
    *("operation too slow", "transfer closed", "broken pipe", "the remote hung up", "empty reply"),
    *(
        "error: 502",
        "error: 503",
        "error: 504",
        "unpack-objects abnormal exit",
        "index-pack failed",
    ),
)
_CUT = (
    *("could not read from remote repository", "expected flush after", "bad line length"),
    *("protocol error", "unexpected end of", "bad pack header", "invalid index-pack output"),
    *("unable to read", "bad band", "inflate", "did not send all necessary objects"),
)
"""What is said of a line that ended somewhere, if the other side had nothing to say before."""


def scrubbed(text: str) -> str:
    """Return what git said without the secrets that an address may hold."""
    return _SECRET.sub("//", text)


def trouble(remote: str, said: str, *, known: bool = True) -> BranchlineError:
    """Return the error for what git said of another place.

    Args:
        remote: What git calls it; or its address, if git does not know it yet.
        said: All that git printed on standard error.
        known: Whether git has spoken with it before, as with a remote that is synced with.
    """
    again = "Sync again" if known else "Try again"
    low = said.lower()
    if any(sign in low for sign in _FULL):
        return Unavailable(
            f"There is no space left, here or at {remote}",
            advice=f"Free some. {again}: what arrived is kept" if known else f"Free some. {again}",
        )
    refused = from_there(said)
    if any(sign in low for sign in _CLOSED):
        return NotAllowed(
            f"{remote} does not let you in{f': {refused}' if refused else ''}",
            advice="Look at your key or token for it",
        )
    if any(sign in low for sign in _MISSING):
        if not known:
            return NotFound(
                f"There is no repository at {remote}, or not for you",
                advice="Look at the address: a project's folder, https or ssh",
            )
        return NotFound(
            f"There is no repository at {remote} any more, or not for you",
            advice=f"Look at its address with 'git remote get-url {remote}'",
        )
    if any(sign in low for sign in _BROKEN) or (not refused and any(s in low for s in _CUT)):
        return Unavailable(
            f"The connection to {remote} failed or broke",
            advice=f"{again}; nothing is lost{', and what arrived is kept' if known else ''}",
        )
    if refused:
        return Refused(f"{remote} refused: {refused}")
    complaint = " ".join(scrubbed(said).split())[:_LONGEST]
    return GitFailed(f"Git could not talk to {remote}: {complaint}")


def from_there(said: str) -> str:
    """Return what the other side itself said, in one line."""
    lines = [
        line.removeprefix("remote:").strip()
        for line in scrubbed(said).splitlines()
        if line.startswith("remote:")
    ]
    return " ".join(line for line in lines if line)[:_LONGEST].rstrip(". ")
