"""Work out a merge in git's database: what goes together by itself, and what is in conflict."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from branchline.project.activity.files import FOLDER
from branchline.project.git.command import Git
from branchline.project.git.landing import Difference, differences
from branchline.project.git.objects import read_objects
from branchline.project.merging.building import blob_of, tree_with
from branchline.project.merging.clash import Clash, Version

_NOTEBOOK = ".ipynb"
_REGULAR = ("100644", "100755")
_EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@dataclass
class Weighed:
    """What a merge comes to.

    Args:
        mine: The commit here.
        theirs: The other one.
        base: Where both began; None where they have nothing in common.
        tree: The tree of what goes together; at a path in conflict it holds nothing of use.
        clashes: The conflicts, by path.
        notebooks: Those that were merged by cell.
        kept: Records of the activity that the other side had changed or removed, kept as they were.
        inside: The paths below a conflict's, where one side has a folder there.
    """

    mine: str
    theirs: str
    base: str | None
    tree: str
    clashes: dict[str, Clash] = field(default_factory=dict)
    notebooks: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    inside: dict[str, list[str]] = field(default_factory=dict)


def is_within(git: Git, older: str, newer: str) -> bool:
    """Tell whether a commit is part of another's history."""
    if older == newer:
        return True
    # As a count rather than an exit code: an unknown commit must not pass for "no".
    return git.word("rev-list", "--count", "--max-count=1", older, f"^{newer}") == "0"


def base_of(git: Git, mine: str, theirs: str) -> str | None:
    """Return the newest commit that both have; None if there is none."""
    return git.run("merge-base", mine, theirs, accept=(0, 1)).decode().strip() or None


def weigh(git: Git, mine: str, theirs: str) -> Weighed:
    """Work out what merging a commit into another comes to.

    Files go together as git has it, with renames; notebooks by cell. The activity is united: what
    either side has on record, the merge has.

    Args:
        git: The repository's git.
        mine: The commit here.
        theirs: The other one.
    """
    base = base_of(git, mine, theirs)
    tree, stages = _merge_tree(git, mine, theirs)
    gone: dict[str, Version | None] = {p: None for p, v in stages.items() if v.keys() == {1}}
    tree = tree_with(git, tree, gone)
    weighed = Weighed(mine, theirs, base, tree, _clashes(mine, theirs, stages))
    _notebooks(git, weighed)
    _unite_activity(git, weighed)
    for path, clash in weighed.clashes.items():
        if clash.folder:
            weighed.inside[path] = git.lines(
                "ls-tree", "-r", "-z", "--name-only", weighed.tree, "--", f"{path}/"
            )
    return weighed


_Stages = dict[str, dict[int, Version]]


def _merge_tree(git: Git, mine: str, theirs: str) -> tuple[str, _Stages]:
    words = ("merge-tree", "--write-tree", "-z", "--no-messages", "--allow-unrelated-histories")
    printed = git.run(*words, mine, theirs, accept=(0, 1))
    tree, *lines = printed.split(b"\0")
    stages: _Stages = {}
    for line in lines:
        meta, tab, path = line.partition(b"\t")
        if not tab:
            break
        mode, name, stage = meta.decode().split()
        stages.setdefault(os.fsdecode(path), {})[int(stage)] = Version(mode, name)
    return tree.decode(), stages


def _clashes(mine: str, theirs: str, stages: _Stages) -> dict[str, Clash]:
    """Return the conflicts by path.

    Where a file has two new names, each is a path of its own; its old one is nobody's any more. A file
    that cannot stand beside a folder of its name has the commit it is from behind its name.
    """
    found = {}
    for path, versions in stages.items():
        real, folder = path, ""
        for side, label in (("theirs", mine), ("mine", theirs)):
            if path.endswith(f"~{label}"):
                real, folder = path.removesuffix(f"~{label}"), side
        if versions.keys() != {1}:
            found[real] = Clash(real, versions.get(1), versions.get(2), versions.get(3), folder)
    return found


def versions_at(git: Git, commit: str, *paths: str) -> dict[str, Version]:
    """Return what a commit has, by path."""
    found = {}
    for line in git.lines("ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths):
        meta, _, path = line.partition("\t")
        mode, _, name = meta.split()
        found[path] = Version(mode, name)
    return found


def _notebooks(git: Git, weighed: Weighed) -> None:
    """Merge by cell what notebooks both sides changed, whatever git made of their lines."""
    base, tree = weighed.base or _EMPTY, weighed.tree
    changed = [
        {d.path: d for d in differences(git, base, side) if d.path.endswith(_NOTEBOOK)}
        for side in (weighed.mine, weighed.theirs)
    ]
    both = [
        path
        for path in changed[0].keys() & changed[1].keys()
        if _regular(changed[0][path], changed[1][path])
    ]
    if not both:
        return
    from branchline.project.merging.notebooks import merged_notebook

    at = [p for path in sorted(both) for p in (changed[0][path], changed[1][path])]
    befores = versions_at(git, base, *sorted(both)) if weighed.base else {}
    entries: dict[str, Version | None] = {}
    for path, ours, other in zip(sorted(both), at[::2], at[1::2], strict=True):
        before = befores.get(path)
        texts = contents(git, [before.name if before else None, ours.name, other.name])
        merged = merged_notebook(texts[0] if before else None, texts[1], texts[2])
        if merged is None:
            mine, theirs = Version(ours.mode, ours.name), Version(other.mode, other.name)
            weighed.clashes.setdefault(path, Clash(path, before, mine, theirs))
            continue
        weighed.clashes.pop(path, None)
        entries[path] = blob_of(git, merged, ours.mode)
        weighed.notebooks.append(path)
    weighed.tree = tree_with(git, tree, entries)


def _regular(one: Difference, other: Difference) -> bool:
    return one.name != other.name and one.mode in _REGULAR and other.mode in _REGULAR


def contents(git: Git, names: Sequence[str | None]) -> list[bytes]:
    """Return contents by git's names; empty where there is no name."""
    asked = "".join(f"{name or 'none'}\n" for name in names).encode()
    return read_objects(git, asked, len(names))


def _unite_activity(git: Git, weighed: Weighed) -> None:
    """Have the merge hold every record that either side has, each as it was written.

    Records never change and never go. Where the other side changed one of ours, ours stays, and the
    path is told; verification then says whose chain is at fault.
    """
    entries: dict[str, Version | None] = {}
    here = versions_at(git, weighed.mine, FOLDER)
    there = versions_at(git, weighed.theirs, FOLDER)
    merged = versions_at(git, weighed.tree, FOLDER)
    united: Mapping[str, Version] = {**there, **here}
    for path, version in united.items():
        if merged.get(path) != version:
            entries[path] = version
        if path in here and path in there and here[path] != there[path]:
            weighed.kept.append(path)
    for path in merged.keys() - united.keys():
        entries[path] = None
    for path in [path for path in weighed.clashes if path.startswith(f"{FOLDER}/")]:
        del weighed.clashes[path]
    weighed.tree = tree_with(git, weighed.tree, entries)
