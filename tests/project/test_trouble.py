"""What git says of another place becomes one sentence, without anybody's secret in it."""

from __future__ import annotations

import pytest

from branchline.foundation.errors import (
    BranchlineError,
    NotAllowed,
    NotFound,
    Refused,
    Unavailable,
)
from branchline.project.git.calling import GitFailed
from branchline.project.git.trouble import trouble

CASES: list[tuple[str, type[BranchlineError]]] = [
    ("fatal: unable to access 'https://h/': Could not resolve host: h", Unavailable),
    ("error: RPC failed; curl 18 transfer closed\nfatal: early EOF", Unavailable),
    ("ssh: connect to host h port 22: Connection timed out", Unavailable),
    ("fatal: expected flush after ref listing", Unavailable),
    ("fatal: protocol error: bad line length 12", Unavailable),
    ("ssh: gone\nfatal: Could not read from remote repository.\n\nPlease", Unavailable),
    ("remote: Not for you.\nfatal: Could not read from remote repository.", Refused),
    ("remote: fatal: write error: No space left on device", Unavailable),
    ("fatal: Authentication failed for 'https://h/x.git/'", NotAllowed),
    ("git@h: Permission denied (publickey).\nfatal: Could not read from remote", NotAllowed),
    ("fatal: 'x.git' does not appear to be a git repository", NotFound),
    ("remote: Not on a Monday.\nerror: failed to push some refs", Refused),
    ("fatal: something that nobody has seen before", GitFailed),
]


@pytest.mark.parametrize(("said", "kind"), CASES)
def test_what_git_says_is_told_in_a_sentence(said: str, kind: type[BranchlineError]) -> None:
    """Each kind of trouble has its exit code, and what to do."""
    found = trouble("hub", said)
    assert type(found) is kind
    assert "hub" in found.refused


def test_no_secret_of_an_address_is_told() -> None:
    """Neither in what git says nor in what the other side says."""
    for said in (
        "fatal: unable to access 'https://me:s3cret@h/x.git/': strange",
        "remote: No, https://me:s3cret@h/x.git is closed\nerror: failed",
    ):
        assert "s3cret" not in str(trouble("hub", said))
