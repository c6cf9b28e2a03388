"""What people answered to conflicts: which answers hold, and what the merged tree gets by them."""

from __future__ import annotations

from collections.abc import Mapping

from branchline.foundation.errors import NotFound, Refused
from branchline.project.git.intake import Progress
from branchline.project.merging.byhand import taken_by_hand
from branchline.project.merging.clash import Clash, Version, resolved
from branchline.project.merging.pending import Choice, How, Pending
from branchline.project.merging.weighing import Weighed
from branchline.project.names import shown
from branchline.project.place import Project


def entries_of(
    project: Project, pending: Pending, weighed: Weighed, progress: Progress
) -> dict[str, Version | None]:
    """Return what the tree gets where there were conflicts."""
    git = project.git
    entries: dict[str, Version | None] = {}
    taken = set(git.lines("ls-tree", "-r", "-z", "--name-only", weighed.tree))
    for path, choice in pending.choices.items():
        clash = weighed.clashes[path]
        if clash.folder:
            # Git has laid the file beside the folder, under a name of its own.
            side = weighed.mine if clash.folder == "theirs" else weighed.theirs
            entries[f"{path}~{side}"] = None
        if choice.how != "hand":
            got = resolved(clash, choice.how, pending.name, taken, weighed.inside.get(path, ()))
            entries |= got
            taken |= got.keys()
    return entries | taken_by_hand(project, pending.by_hand, weighed, progress)


def choices_of(weighed: Weighed, pending: Pending, wanted: Mapping[str, How]) -> dict[str, Choice]:
    """Return all choices that hold, old and new; what has changed since is asked again."""
    found = {
        path: choice
        for path, choice in pending.choices.items()
        if path in weighed.clashes and choice == _choice(weighed.clashes[path], choice.how)
    }
    chosen: dict[str, How] = {}
    # What is said of a file itself counts more than what is said of its folder.
    for where, how in sorted(wanted.items(), key=lambda item: (item[0] != ".", len(item[0]))):
        paths = [p for p in weighed.clashes if where in (p, ".") or p.startswith(f"{where}/")]
        if not paths and where != ".":
            raise NotFound(
                f"There is no conflict at {shown(where)}",
                advice="'branchline merge' lists the conflicts" if weighed.clashes else "",
            )
        chosen |= dict.fromkeys(paths, how)
    for path, how in chosen.items():
        clash = weighed.clashes[path]
        if how not in clash.ways:
            ways = ", ".join(f"--{way}" for way in clash.ways)
            raise Refused(f"{shown(path)} cannot be merged by hand", advice=f"Choose {ways}")
        found[path] = _choice(clash, how)
    return found


def _choice(clash: Clash, how: How) -> Choice:
    mine, theirs = (version.name if version else None for version in (clash.mine, clash.theirs))
    return Choice(how, mine, theirs)


def counted(how: Mapping[str, How]) -> str:
    """Return for a record's message how many conflicts were resolved."""
    return (
        f", {len(how)} conflicts resolved"
        if len(how) > 1
        else ", 1 conflict resolved"
        if how
        else ""
    )
