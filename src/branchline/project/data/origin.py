"""Where a train comes from: what is written into its bundle when it is packed in a project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from branchline.foundation.errors import Conflict, Refused
from branchline.project.activity.feed import newest
from branchline.project.activity.files import FOLDER, last_record
from branchline.project.data.listing import in_use
from branchline.project.differing import changes_of
from branchline.project.finding import FILE
from branchline.project.names import shown
from branchline.project.place import Project, find_repository
from branchline.train.origin import Origin, UsedList


def origin_of(folder: Path, lists: Sequence[str] = ()) -> Origin | None:
    """Return where a train's folder comes from; None where it is in no project.

    Args:
        folder: The train's.
        lists: The data lists that it was made with, as people name them.

    Raises:
        Conflict: The folder is not saved as it is; or a list names other files than the project has.
        NotFound: There is no such list.
        Refused: Lists are named, and there is no project.
    """
    root = find_repository(folder)
    if root is None or not (root / FILE).is_file():
        if lists:
            raise Refused(f"{folder} is in no project, so there are no lists to name")
        return None
    project = Project.open(folder)
    here = folder.resolve().relative_to(project.root).as_posix()
    here = "" if here == "." else here
    open_changes = [c for c in changes_of(project, [here] if here else [])
                    if not c.path.startswith(f"{FOLDER}/")]  # fmt: skip
    commit = project.git.head()
    if open_changes or commit is None:
        path = shown(open_changes[0].path) if open_changes else str(folder)
        raise Conflict(
            f"{path} is not saved, so no commit has what would be packed",
            advice="Save it with 'branchline save', then do the same again",
        )
    last = last_record(project, project.clone_id()) or next(newest(project), None)
    if last is None:
        raise Conflict(
            "The project has no record of anything yet", advice="'branchline save' first"
        )
    used = tuple(UsedList(e.name, e.number, e.digest) for e in in_use(project, lists))
    record = last.record
    return Origin(project.described.id, commit, record.clone, record.seq, last.digest, here, used)
