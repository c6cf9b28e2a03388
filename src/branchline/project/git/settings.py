"""What a repository's own configuration may say; pure.

A repository that came from elsewhere can name programs in ``.git/config``, and git would run them.
Those that git can do without are switched off for every call (`SAFE`). Where content itself would
pass through a program of the repository, it is refused instead: without the program, other bytes
would be stored.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping

from branchline.foundation.errors import Refused
from branchline.project.git.program import OURS

SAFE: Mapping[str, str] = {
    # Programs.
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.pager": "cat",
    "core.editor": "false",
    "core.askPass": "",
    "core.sshCommand": "ssh",
    "core.gitProxy": "",
    "credential.helper": "",
    "core.alternateRefsCommand": "false",
    "core.attributesFile": "/dev/null",
    "diff.external": "",
    "gpg.program": "false",
    "gpg.ssh.program": "false",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "protocol.ext.allow": "never",
    "uploadpack.packObjectsHook": "",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    # Names that other systems read as .git.
    "core.protectNTFS": "true",
    "core.protectHFS": "true",
    # A background process would hold the project's lock.
    "gc.auto": "0",
    "maintenance.auto": "false",
    # Durable objects, with one flush for many.
    "core.fsync": "committed,index",
    "core.fsyncMethod": "batch",
    "core.quotePath": "false",
    # git-annex: no special remote that a repository's branch asks for is set up by itself.
    "annex.autoenable": "false",
    "annex.autoupgraderepository": "false",
    "annex.synccontent": "false",
}
"""Settings that every call of git is given; they win over the repository's own."""

ALLOWED_PROTOCOLS = "file:http:https:ssh"
"""What git may speak; ``ext::`` would run any program."""

LIST_OWN = ("config", "--list", "-z", "--includes", "--show-scope")
"""The call of git whose answer `read_own` reads."""

_RUNS_A_PROGRAM = re.compile(
    r"^(filter\..+\.(clean|smudge|process)"
    r"|annex\..*(command|hook)"
    r"|remote\..+\.annex-.*(command|hook)"
    r"|remote\..+\.(uploadpack|receivepack|vcs))$",
    re.I,
)
_OWN_FILTER = re.compile(r"^filter\.annex\.(clean|smudge|process)$", re.I)
_ELSEWHERE = ("core.worktree",)


def read_own(printed: bytes) -> dict[str, str]:
    """Read the repository's own settings out of git's answer to `LIST_OWN`."""
    parts = printed.split(b"\0")
    found: dict[str, str] = {}
    for scope, text in zip(parts[::2], parts[1::2], strict=False):
        if scope in (b"local", b"worktree"):
            raw, _, value = text.partition(b"\n")
            name = os.fsdecode(raw)
            if name.endswith(".helper") and found.get(name):
                # Git calls all of them.
                value = b"\n".join((os.fsencode(found[name]), value))
            found[name] = os.fsdecode(value)
    return found


def check_settings(found: Mapping[str, str]) -> None:
    """Refuse a repository whose own configuration would have programs run or files read elsewhere.

    Args:
        found: The repository's own settings, names in lower case but for what stands in the middle.

    Raises:
        Refused: One such setting is there; the sentence names it.
    """
    for name in sorted(found):
        if name.lower() in _ELSEWHERE:
            raise Refused(
                f"The repository's .git/config says that its files are elsewhere ({name})",
                advice=f"Look at it, and take it out with 'git config --unset {name}'",
            )
        if not _RUNS_A_PROGRAM.match(name) or _OWN_FILTER.match(name):
            continue
        if name.lower().startswith("filter.lfs."):
            raise Refused(
                "The repository keeps files with Git LFS, through a program named in .git/config",
                advice="Bring the files into git or git-annex first, then 'git lfs uninstall --local'",
            )
        raise Refused(
            f"The repository's .git/config names a program to run ({name})",
            advice=f"Look at it, and take it out with 'git config --unset {name}'",
        )


_REACHES = re.compile(
    r"^(credential\.(.+\.)?helper|core\.(sshcommand|askpass|gitproxy)"
    r"|(remote\..+\.)?annex[.-].*(options|transport|shell))$",
    re.I,
)


def check_network(found: Mapping[str, str]) -> None:
    """Refuse a repository whose own configuration names programs by which others are reached.

    Those of a person's own, global settings are his. The helper that gets tokens for a hub is ours.

    Args:
        found: The repository's own settings.

    Raises:
        Refused: One such setting is there; the sentence names it.
    """
    for name, value in sorted(found.items()):
        if not _REACHES.match(name) or all(map(_gets_tokens, filter(None, value.split("\n")))):
            continue
        raise Refused(
            f"The repository's .git/config names a program by which others are reached ({name})",
            advice=f"If it is yours, move it to your own settings ('git config --global {name} …')",
        )


def _gets_tokens(helper: str) -> bool:
    """Tell whether a credential helper is ours, and does nothing beside: git hands it to a shell."""
    try:
        words = shlex.split(helper.removeprefix("!"))
    except ValueError:
        return False
    ours = [*OURS, "hub", "credential"]
    return words[: len(ours)] == ours and f"!{shlex.join(words)}" == helper
