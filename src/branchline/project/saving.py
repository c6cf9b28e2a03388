"""Save: files added, what changed put on record, one commit for all of it.

The order is such that a kill leaves nothing lost: all is added before the commit that needs it, the
record is written before the commit that holds it. What a killed save has done already, the next one
finds done.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from branchline.foundation.keys import Identity
from branchline.project.activity.files import BLOBS, FOLDER, Recorder, last_record
from branchline.project.activity.record import Detail, Signed
from branchline.project.adding import add
from branchline.project.git.intake import Progress
from branchline.project.manifest import Entry, kind_of, manifest
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
    added = add(project, paths, progress, apart=apart)
    head = project.git.head()
    entries = manifest(project, head, {each.path: each.key for each in added.taken})
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
