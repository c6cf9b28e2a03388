"""A file that two lines of work changed in different ways, and what can become of it; pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from branchline.project.merging.pending import How

_LINK = "120000"
_LONGEST_LABEL = 40


@dataclass(frozen=True)
class Version:
    """What one side has at a path.

    Args:
        mode: Git's mode of it.
        name: Git's name of its content.
    """

    mode: str
    name: str


@dataclass(frozen=True)
class Clash:
    """One path in conflict.

    Args:
        path: Where.
        before: What both began with; None where there was nothing.
        mine: What is here; None where it was removed.
        theirs: What the other side has.
        folder: Which side has a folder of this name, ``mine`` or ``theirs``, where one has.
    """

    path: str
    before: Version | None
    mine: Version | None
    theirs: Version | None
    folder: str = ""

    @property
    def said(self) -> str:
        """Say what happened, in words."""
        if self.folder:
            side = "here" if self.folder == "mine" else "there"
            return f"a folder {side}, a file on the other side"
        if self.mine is None:
            return "removed here, changed there"
        if self.theirs is None:
            return "changed here, removed there"
        return "added on both sides" if self.before is None else "changed on both sides"

    @property
    def ways(self) -> tuple[How, ...]:
        """What can become of it."""
        whole = self.mine is not None and self.theirs is not None and not self.folder
        regular = whole and all(
            v.mode.startswith("100") or v.mode == _LINK for v in (self.mine, self.theirs) if v
        )
        return ("mine", "theirs", "both", "hand") if regular else ("mine", "theirs", "both")


Entries = Mapping[str, Version | None]
"""What a tree gets at each path; None where it gets nothing."""


def resolved(
    clash: Clash, how: How, label: str, taken: Collection[str], inside: Sequence[str] = ()
) -> dict[str, Version | None]:
    """Return what a tree gets for a conflict once somebody chose.

    Args:
        clash: The conflict.
        how: What was chosen; not by hand.
        label: What the other side is called.
        taken: Paths that are in the tree otherwise: what is kept beside them gets another name.
        inside: The paths below, where one side has a folder.
    """
    file = clash.theirs if clash.folder == "mine" else clash.mine
    if clash.folder:
        if how == "both":
            suffix = label_of(label) if clash.folder == "mine" else "mine"
            return {beside(clash.path, suffix, taken): file}
        if how == clash.folder:
            return {}
        return {**dict.fromkeys(inside), clash.path: file}
    if how == "mine":
        return {clash.path: clash.mine}
    if how == "theirs":
        return {clash.path: clash.theirs}
    if clash.mine is None or clash.theirs is None:
        return {clash.path: clash.mine or clash.theirs}
    return {clash.path: clash.mine, beside(clash.path, label_of(label), taken): clash.theirs}


def label_of(name: str) -> str:
    """Return what stands in a file's name for a branch or a remote."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:_LONGEST_LABEL]
    return f"from-{plain or 'there'}"


def beside(path: str, label: str, taken: Collection[str]) -> str:
    """Return a path for the other version of a file: its name, the label, and its extension."""
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    folded = {each.casefold() for each in taken}
    number = 1
    while True:
        mark = label if number == 1 else f"{label}-{number}"
        found = f"{folder}{slash}{stem}.{mark}{dot}{extension}"
        if found.casefold() not in folded:
            return found
        number += 1
