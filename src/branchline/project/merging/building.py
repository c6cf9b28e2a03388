"""Make trees and commits in git's database; neither the folder nor its index is touched."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from branchline.foundation.durable import make_folder
from branchline.project.git.command import Git
from branchline.project.merging.clash import Version

_GONE = "0" * 40
_REGULAR = "100644"


def tree_with(git: Git, tree: str, entries: Mapping[str, Version | None]) -> str:
    """Return a tree with other entries at some paths.

    Args:
        git: The repository's git.
        tree: The tree to begin with.
        entries: What it gets, by path; None where it gets nothing.
    """
    if not entries:
        return tree
    gone = [f"0 {_GONE}\t{path}" for path, version in entries.items() if version is None]
    new = [f"{v.mode} {v.name}\t{path}" for path, v in entries.items() if v is not None]
    feed = b"".join(os.fsencode(line) + b"\0" for line in (*gone, *new))
    folder = make_folder(git.root / ".git" / "branchline")
    index = folder / f"index.{secrets.token_hex(4)}"
    variables = {"GIT_INDEX_FILE": str(index)}
    try:
        git.run("read-tree", tree, variables=variables)
        git.run("update-index", "--replace", "-z", "--index-info", feed=feed, variables=variables)
        return git.run("write-tree", variables=variables).decode().strip()
    finally:
        index.unlink(missing_ok=True)
        Path(f"{index}.lock").unlink(missing_ok=True)


def blob_of(git: Git, content: bytes, mode: str = _REGULAR) -> Version:
    """Put content into git's database."""
    name = git.run("hash-object", "-w", "--no-filters", "--stdin", feed=content)
    return Version(mode, name.decode().strip())


def commit_of_tree(git: Git, tree: str, parents: Sequence[str], message: str) -> str:
    """Make a commit that no branch has yet."""
    named = [word for parent in parents for word in ("-p", parent)]
    made = git.run("commit-tree", tree, *named, "-F", "-", feed=message.encode() + b"\n")
    return made.decode().strip()
