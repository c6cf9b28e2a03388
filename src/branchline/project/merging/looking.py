"""Look through what is about to be laid out: names and links that other systems cannot hold."""

from __future__ import annotations

import os

from branchline.project.adding import check_link
from branchline.project.git.command import Git
from branchline.project.git.landing import differences
from branchline.project.git.objects import read_objects
from branchline.project.names import check_names

_LINK = "120000"


def check_new(git: Git, here: str | None, tree: str) -> None:
    """Refuse a tree with new paths or links that cannot be laid out everywhere.

    Args:
        git: The repository's git.
        here: The commit that is laid out now.
        tree: The tree or commit that shall be.

    Raises:
        Refused: The sentence names the first one.
    """
    empty = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    found = differences(git, here or empty, tree)
    new = [each.path for each in found if each.letter == "A"]
    gone = {each.path for each in found if each.letter == "D"}
    present = git.lines("ls-tree", "-r", "-z", "--name-only", here) if here and new else []
    check_names(new, [path for path in present if path not in gone])
    links = [each for each in found if each.mode == _LINK]
    asked = "".join(f"{each.name}\n" for each in links).encode()
    targets = read_objects(git, asked, len(links)) if links else []
    for each, target in zip(links, targets, strict=True):
        check_link(each.path, os.fsdecode(target))
