"""Add: names judged, data taken into the annex, the rest given to git; nothing is committed.

The order is such that a kill leaves nothing lost: content is in its place before a link names it,
links and locations are told before a commit needs them. What a killed call has done already, the next
one finds done.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from branchline.foundation.errors import Conflict, Refused
from branchline.project.changes import MODULE, Change
from branchline.project.choosing import chooser, exposed, is_closed
from branchline.project.data.naming import needed
from branchline.project.differing import changes_of, unlocked_among
from branchline.project.git.intake import WAITING, Progress, Taken, take_in
from branchline.project.git.keyed import BACKEND
from branchline.project.git.keys import key_in_link, object_place
from branchline.project.git.packing import pack
from branchline.project.git.telling import register
from branchline.project.merging.pending import read_pending
from branchline.project.names import check_names, shown
from branchline.project.place import Project


@dataclass(frozen=True)
class Added:
    """What was added.

    Args:
        count: How many paths.
        taken: Those that are links into the annex now.
    """

    count: int
    taken: Sequence[Taken]


def add(
    project: Project,
    paths: Sequence[str],
    progress: Progress,
    *,
    apart: Collection[str] | None = None,
    filters: bool = True,
) -> Added:
    """Take files in, so that the next save keeps them.

    Args:
        project: The project, held by its lock.
        paths: Relative to it.
        progress: Told what is done.
        apart: Left out; those that are merged by hand may then be among the rest.
        filters: Whether unlocked files of git-annex are looked into.

    Raises:
        Refused: A name or a file that cannot be kept; the sentence names it, nothing was taken in.
        Conflict: A file changed while it was read, or a conflict is not resolved.
    """
    progress("looking for changes")
    found = _without_remains(project, changes_of(project, paths, filters=filters))
    conflicts = [change for change in found if change.staged == "U"]
    if conflicts:
        raise Conflict(
            f"{shown(conflicts[0].path)} holds two versions of a merge that is not done",
            advice="Edit it, then 'git add' it, and save",
        )
    todo = [change for change in found if change.unstaged != "."]
    todo += exposed(project, paths, {change.path for change in todo})
    if apart is None:
        _check_by_hand(project, todo)
    else:
        todo = [change for change in todo if change.path not in apart]
    taken, rest = _take_in(project, todo, _looked_at(project, todo), progress)
    progress("telling git")
    removed = [change.path for change in todo if change.unstaged == "D"]
    if removed:
        # First, since a link may now stand where a folder was, and git looks into none.
        gone = b"".join(b"0 %s\t%s\0" % (b"0" * 40, os.fsencode(path)) for path in removed)
        project.git.run("update-index", "-z", "--index-info", feed=gone)
    if rest:
        pack(project.git, rest)
        names = b"".join(os.fsencode(path) + b"\0" for path in rest)
        # Not 'git add', which holds each path against all that it was given.
        words = ("--add", "--remove", "--replace", "-z", "--stdin")
        project.git.run("update-index", *words, feed=names)
    uuid = project.annex.uuid
    if taken and uuid is not None:
        register(project.git, uuid, taken)
    return Added(len(todo), taken)


def _check_by_hand(project: Project, changes: Sequence[Change]) -> None:
    """Refuse a file with both versions of a merge in it."""
    pending = read_pending(project)
    both = () if pending is None else pending.by_hand
    for change in changes:
        if change.path in both:
            raise Conflict(
                f"{shown(change.path)} is being merged by hand",
                advice="Finish with 'branchline merge --done', or leave the merge with 'branchline merge --abandon'",
            )


def _without_remains(project: Project, changes: Sequence[Change]) -> list[Change]:
    """Clear away what a killed save left behind, and leave it out."""
    remains = {c.path for c in changes if c.staged == "?" and c.path.endswith(WAITING)}
    for path in remains:
        (project.root / path).unlink(missing_ok=True)
    return [change for change in changes if change.path not in remains]


def _looked_at(project: Project, changes: Sequence[Change]) -> dict[str, os.stat_result]:
    """Return what the system says of what is there; refuse what cannot be kept, before it is taken in."""
    new = [change.path for change in changes if change.staged == "?"]
    nested = [path for path in new if path.endswith("/")]
    if nested:
        raise Refused(
            f"{shown(nested[0])} is a git repository of its own",
            advice="Move it out of the project, or name it in .gitignore",
        )
    if new:
        check_names(new, project.git.lines("ls-files", "-z"))
    root = str(project.root)
    there: dict[str, os.stat_result] = {}
    for change in changes:
        file = f"{root}/{change.path}"
        if change.unstaged == "D":
            continue
        try:
            found = there[change.path] = os.lstat(file)
        except OSError:
            continue
        if change.mode == MODULE:
            continue
        if stat.S_ISLNK(found.st_mode):
            check_link(change.path, os.readlink(file))
        elif not stat.S_ISREG(found.st_mode):
            raise Refused(
                f"{shown(change.path)} is neither a file nor a folder",
                advice="Name it in .gitignore",
            )
    return there


def check_link(path: str, target: str) -> None:
    """Refuse a link that leads out of the project: elsewhere it would mean another thing.

    Raises:
        Refused: It does.
    """
    if key_in_link(target) is not None:
        return
    depth = path.count("/")
    inside = not target.startswith("/") and "\0" not in target
    for part in target.split("/") if inside else ():
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        inside = inside and depth >= 0 and part.casefold() != ".git"
    if not inside:
        raise Refused(
            f"{shown(path)} is a link that leads out of the project",
            advice="Bring what it leads to into the project, or name the link in .gitignore",
        )


def _take_in(
    project: Project,
    changes: Sequence[Change],
    there: Mapping[str, os.stat_result],
    progress: Progress,
) -> tuple[list[Taken], list[str]]:
    """Bring what git-annex takes in; return that, and the paths that are git's."""
    root = project.root
    if project.annex.uuid is None:
        return [], [change.path for change in changes if change.unstaged != "D"]
    links = [path for path, found in there.items() if stat.S_ISLNK(found.st_mode)]
    sizes = {p: found.st_size for p, found in there.items() if not stat.S_ISLNK(found.st_mode)}
    files = [change for change in changes if change.path in sizes]
    unlocked = unlocked_among(project, [c for c in files if c.staged != "?"])
    choose = chooser(project, [c.path for c in files])
    chosen: dict[str, list[str]] = {"annex": [], "keyed": [], "ask": [], "force": [], "git": []}
    for change in files:
        if change.path in unlocked:
            choice = "force" if is_closed(project.rules, change.path) else "ask"
        else:
            choice = choose(change.path, sizes[change.path])
        chosen[choice].append(change.path)
    closed = chosen["keyed"] + chosen["force"]
    secret = needed(root, closed[0]) if closed else None
    theirs = chosen["ask"] + chosen["force"]
    if theirs:
        progress(f"git-annex takes {len(theirs)} files in")
    if chosen["ask"]:
        project.annex.add(chosen["ask"])
    if chosen["force"]:
        project.annex.add(chosen["force"], backend=BACKEND)
    taken = take_in(root, {path: sizes[path] for path in chosen["annex"]}, progress)
    taken += take_in(root, {path: sizes[path] for path in chosen["keyed"]}, progress, secret)
    taken += _known_links(project, links)
    done = {*theirs, *(each.path for each in taken)}
    return taken, [c.path for c in changes if c.unstaged != "D" and c.path not in done]


def _known_links(project: Project, paths: Sequence[str]) -> list[Taken]:
    """Return links into the annex whose content is here: a killed save may not have told of them."""
    found = []
    for path in paths:
        target = os.readlink(project.root / path)
        key = key_in_link(target)
        if key and (project.root / ".git/annex/objects" / object_place(key)).exists():
            found.append(Taken(path, key, target))
    return found
