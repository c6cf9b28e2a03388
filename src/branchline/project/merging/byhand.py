"""Files that a person merges: laid out with both versions, taken in again when they are done."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from branchline.foundation.durable import write_durably
from branchline.foundation.errors import Conflict, Refused
from branchline.project.adding import add
from branchline.project.git.command import Git
from branchline.project.git.intake import Progress
from branchline.project.git.landing import put_aside
from branchline.project.merging.clash import Clash, Version
from branchline.project.merging.explaining import text_of
from branchline.project.merging.notebooks import notebook_with_both
from branchline.project.merging.weighing import Weighed, contents
from branchline.project.names import shown
from branchline.project.place import Project, check_inside

_MARK = re.compile(rb"<{7} (mine|local)\b")
_MOST_CONFLICTS = range(128)


def lay_both(project: Project, clashes: Sequence[Clash], label: str) -> None:
    """Lay files out with both versions in them, to be edited.

    Raises:
        Refused: One is no text, or its content is not here.
    """
    texts = {clash.path: _both(project.git, clash, label) for clash in clashes}
    for path, text in texts.items():
        # A link into the annex gives way; its content stays there.
        place = check_inside(project.root, path.rpartition("/")[0]) if "/" in path else project.root
        write_durably(place / path.rpartition("/")[2], text)


def put_back(project: Project, paths: Sequence[str]) -> Path | None:
    """Lay files out as they were last saved; return where the edited ones are now."""
    there = [path for path in paths if (project.root / path).is_file()]
    aside = put_aside(project.root, there) if there else None
    if paths:
        project.git.run("checkout", "--quiet", "HEAD", "--", *paths, unlocked=True)
    return aside


def taken_by_hand(
    project: Project, paths: Sequence[str], weighed: Weighed, progress: Progress
) -> dict[str, Version | None]:
    """Take in files that were merged by hand, and return what git has of them.

    Raises:
        Conflict: One still holds both versions, or was not touched at all.
    """
    if not paths:
        return {}
    for path in paths:
        file = project.root / path
        if file.is_file() and _MARK.search(file.read_bytes()):
            raise Conflict(
                f"{shown(path)} still holds both versions",
                advice="Edit it until the lines that begin with <<<<<<< and >>>>>>> are gone",
            )
    add(project, paths, progress, apart=())
    staged: dict[str, Version | None] = dict.fromkeys(paths)
    for line in project.git.lines("ls-files", "-s", "-z", "--", *paths):
        meta, _, path = line.partition("\t")
        mode, name, _ = meta.split()
        staged[path] = Version(mode, name)
    for path in paths:
        if staged[path] == weighed.clashes[path].mine:
            raise Conflict(
                f"{shown(path)} is as it was here before",
                advice=f"Edit it, or choose 'branchline merge --mine {path}'",
            )
    return staged


def _both(git: Git, clash: Clash, label: str) -> bytes:
    if clash.path.endswith(".ipynb") and clash.mine and clash.theirs:
        before, mine, theirs = contents(
            git, [v.name if v else None for v in (clash.before, clash.mine, clash.theirs)]
        )
        both = notebook_with_both(before or None, mine, theirs)
        if both is not None:
            return both
    mine_text, theirs_text = text_of(git, clash.mine), text_of(git, clash.theirs)
    if mine_text is None or theirs_text is None:
        raise Refused(
            f"{shown(clash.path)} cannot be merged by hand: it is no text, or not all of it is here",
            advice="Keep both versions with --both, and put them together with a program that can",
        )
    before_text = text_of(git, clash.before) or ""
    with tempfile.TemporaryDirectory(dir=git.root / ".git" / "branchline") as folder:
        texts = {"mine": mine_text, "before": before_text, "theirs": theirs_text}
        for name, text in texts.items():
            (Path(folder) / name).write_bytes(text.encode())
        labels = ("-L", "mine", "-L", "before", "-L", f"theirs ({label})")
        files = [str(Path(folder) / name) for name in texts]
        return git.run("merge-file", "-p", *labels, *files, accept=_MOST_CONFLICTS)
