"""Add and save: names judged, data taken in, what changed put on record, one commit for all of it.

The order is such that a kill leaves nothing lost: content is in its place before a link names it,
links and locations are told before the commit that needs them, the record is written before the
commit that holds it. What a killed save has done already, the next one finds done.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from branchline.foundation.errors import Conflict, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.files import BLOBS, FOLDER, Recorder, last_record
from branchline.project.activity.record import Detail, Signed
from branchline.project.changes import MODULE, Change
from branchline.project.choosing import chooser, exposed, is_closed
from branchline.project.data.naming import needed
from branchline.project.differing import changes_of, unlocked_among
from branchline.project.git.intake import WAITING, Progress, Taken, take_in
from branchline.project.git.keyed import BACKEND
from branchline.project.git.keys import key_in_link, object_place
from branchline.project.git.telling import register
from branchline.project.manifest import Entry, kind_of, manifest
from branchline.project.merging.pending import read_pending
from branchline.project.names import check_names, shown
from branchline.project.place import Project

_MESSAGE_FILES = 3


@dataclass(frozen=True)
class Saved:
    """What one save did.

    Args:
        commit: The commit it made; None where there was nothing to save.
        entries: What changed.
        records: What was put on record.
    """

    commit: str | None
    entries: Sequence[Entry] = ()
    records: Sequence[Signed] = ()


def add(
    project: Project,
    paths: Sequence[str],
    progress: Progress,
    *,
    apart: Collection[str] | None = None,
    filters: bool = True,
) -> int:
    """Take files in, so that the next save keeps them; return how many.

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
    _check(project, todo)
    taken, rest = _take_in(project, todo, progress)
    progress("telling git")
    removed = [change.path for change in todo if change.unstaged == "D"]
    if removed:
        # First, since a link may now stand where a folder was, and git looks into none.
        gone = b"".join(b"0 %s\t%s\0" % (b"0" * 40, os.fsencode(path)) for path in removed)
        project.git.run("update-index", "-z", "--index-info", feed=gone)
    if rest:
        names = b"".join(os.fsencode(path) + b"\0" for path in rest)
        # Not 'git add', which holds each path against all that it was given.
        words = ("--add", "--remove", "--replace", "-z", "--stdin")
        project.git.run("update-index", *words, feed=names)
    uuid = project.annex.uuid
    if taken and uuid is not None:
        register(project.git, uuid, taken)
    return len(todo)


def save(
    project: Project,
    identity: Identity,
    progress: Progress,
    *,
    paths: Sequence[str] = (),
    message: str = "",
    apart: Collection[str] | None = None,
) -> Saved:
    """Keep everything that changed, in one commit, and put it on record.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign the record.
        progress: Told what is done.
        paths: Only these and what was added before; all by default.
        message: One line on why; by default it says what changed.
        apart: Paths that are left out: somebody merges them by hand.

    Raises:
        Refused: A name or a file that cannot be kept; nothing was saved, nothing is lost.
        Conflict: A file changed while it was read, or a conflict is not resolved.
    """
    add(project, paths, progress, apart=apart)
    head = project.git.head()
    entries = manifest(project, head)
    own = [entry for entry in entries if not entry.path.startswith(f"{FOLDER}/")]
    if not entries:
        return Saved(None)
    progress("writing the record")
    records = _records(project, identity, own, message, head) if own else []
    return Saved(commit(project, message or _said(own)), own, records)


def commit_record(
    project: Project, recorder: Recorder, record: Mapping[str, object], details: Sequence[Detail]
) -> Signed:
    """Write one record, and commit it with all that is staged.

    Args:
        project: The project, held by its lock.
        recorder: Writes it.
        record: See `Recorder.write`.
        details: Its parts.
    """
    signed, paths = recorder.write(dict(record), *details)
    _stage_records(project, paths)
    commit(project, str(record.get("message", "")))
    return signed


def commit_only(project: Project, paths: Sequence[str], message: str) -> None:
    """Commit these paths by themselves; what else is staged stays staged."""
    _stage_records(project, paths)
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    project.git.run(
        *("commit", "--quiet", "--no-verify", "--cleanup=verbatim", f"--message={message}"),
        *("--only", "--pathspec-from-file=-", "--pathspec-file-nul"),
        feed=names,
    )


def commit(project: Project, message: str) -> str:
    """Commit what is staged, and return the commit."""
    project.git.run(
        *("commit", "--quiet", "--no-verify", "--allow-empty-message", "--cleanup=verbatim"),
        *("--file=-",),
        feed=message.encode() + b"\n",
    )
    return project.git.word("rev-parse", "HEAD")


def content_tree(project: Project) -> str:
    """Return the git tree of what is staged, without the activity."""
    return without_activity(project, project.git.word("write-tree"))


def without_activity(project: Project, tree: str) -> str:
    """Return a commit's or tree's tree without the activity."""
    listed = project.git.run("ls-tree", "-z", tree).split(b"\0")
    kept = [line for line in listed if line and not line.endswith(f"\t{FOLDER}".encode())]
    made = project.git.run("mktree", "-z", "--missing", feed=b"".join(k + b"\0" for k in kept))
    return made.decode().strip()


def _records(
    project: Project, identity: Identity, entries: Sequence[Entry], message: str, head: str | None
) -> list[Signed]:
    tree = content_tree(project)
    pending = last_record(project, project.clone_id())
    if pending is not None and (pending.record.tree, pending.record.commit) == (tree, head):
        # A save that was killed after its record was written: only the commit is missing.
        return [pending]
    recorder = Recorder(project, identity)
    made, paths = [], []
    kinds: dict[str, list[Entry]] = {}
    for entry in entries:
        kinds.setdefault(kind_of(entry.path), []).append(entry)
    for kind, several in kinds.items():
        detail = recorder.keep_json("manifest", [entry.as_json() for entry in several])
        signed, written = recorder.write(
            {
                "type": kind,
                "action": _action(kind, several),
                "message": message or _said(several),
                "commit": head,
                "tree": tree,
                "branch": project.git.where()[1],
            },
            detail,
        )
        made.append(signed)
        paths += written
    _stage_records(project, paths)
    return made


def _stage_records(project: Project, paths: Sequence[str]) -> None:
    blobs = [p for p in paths if p.startswith(f"{BLOBS}/")]
    if blobs:
        # They are new, or links as we made them: no program has to look into any.
        add(project, blobs, lambda _: None, filters=False)
    names = b"".join(os.fsencode(p) + b"\0" for p in paths if p not in blobs)
    project.git.run(
        *("add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul"), feed=names
    )


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


def _check(project: Project, changes: Sequence[Change]) -> None:
    """Refuse what cannot be kept, before anything is taken in."""
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
    for change in changes:
        file = f"{root}/{change.path}"
        if change.mode == MODULE or change.unstaged == "D":
            continue
        try:
            found = os.lstat(file)
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(found.st_mode):
            check_link(change.path, os.readlink(file))
        elif not stat.S_ISREG(found.st_mode):
            raise Refused(
                f"{shown(change.path)} is neither a file nor a folder",
                advice="Name it in .gitignore",
            )


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
    project: Project, changes: Sequence[Change], progress: Progress
) -> tuple[list[Taken], list[str]]:
    """Bring what git-annex takes in; return that, and the paths that are git's."""
    root, uuid = project.root, project.annex.uuid
    if uuid is None:
        return [], [change.path for change in changes if change.unstaged != "D"]
    sizes: dict[str, int] = {}
    links: list[str] = []
    for change in changes:
        found = _found(f"{root}/{change.path}") if change.unstaged != "D" else None
        if found is not None and stat.S_ISLNK(found.st_mode):
            links.append(change.path)
        elif found is not None:
            sizes[change.path] = found.st_size
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


def _found(file: str) -> os.stat_result | None:
    try:
        return os.lstat(file)
    except OSError:
        return None


def _known_links(project: Project, paths: Sequence[str]) -> list[Taken]:
    """Return links into the annex whose content is here: a killed save may not have told of them."""
    found = []
    for path in paths:
        target = os.readlink(project.root / path)
        key = key_in_link(target)
        if key and (project.root / ".git/annex/objects" / object_place(key)).exists():
            found.append(Taken(path, key, target))
    return found


def _action(kind: str, entries: Sequence[Entry]) -> str:
    if kind == "environment":
        return "change"
    changes = {entry.change for entry in entries}
    if changes == {"new"}:
        return "add" if kind == "data" else "create"
    return "delete" if changes == {"removed"} else "edit"


def _said(entries: Sequence[Entry]) -> str:
    parts = []
    for word in ("new", "changed", "removed"):
        names = [entry.path for entry in entries if entry.change == word]
        if names:
            told = ", ".join(names[:_MESSAGE_FILES])
            more = f" and {len(names) - _MESSAGE_FILES} more" if len(names) > _MESSAGE_FILES else ""
            parts.append(f"{word}: {told}{more}")
    return ("; ".join(parts) or "Records")[:1000]
