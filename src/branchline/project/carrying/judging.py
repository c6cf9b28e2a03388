"""Judge an export without making a project of it: history, activity, contents, and what it says.

The history is laid out in a folder that is removed again, and nothing of it is run. Contents are read
through and not written, but for what records name; so an export of any size needs little room.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from branchline.foundation.digest import digest_of
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import BranchlineError, Corrupt, Refused, Unavailable
from branchline.foundation.zips import DAMAGED_ZIP
from branchline.project.activity.files import BLOBS
from branchline.project.activity.verify import Checked, verify
from branchline.project.carrying.crate import described
from branchline.project.carrying.form import CRATE, FILES, Content, Manifest
from branchline.project.carrying.held import blob_in, paths_in, plain_files
from branchline.project.carrying.reading import check_named, opened_export, take, take_history
from branchline.project.carrying.statements import beyond, problems, read_graph
from branchline.project.cloning import remove_clone
from branchline.project.git.intake import Progress
from branchline.project.git.keys import digest_of_key, object_place
from branchline.project.names import shown
from branchline.project.place import Project

_SPARE = 64 << 20


@dataclass(frozen=True)
class Judgement:
    """One thing that was judged.

    Args:
        says: What holds, if it does.
        problems: What does not; empty if it does.
    """

    says: str
    problems: tuple[str, ...] = ()


@dataclass
class Judged:
    """What came of judging an export.

    Args:
        manifest: What it says it holds.
        judgements: What was judged, in order; the first that fails may be the last.
        checked: What verification of its activity found; None where it was not come to.
        unnamed: Contents whose names hold no SHA-256: they are what the export says, and whether
            that is what was once added is told by nobody without the project's data key.
        beyond: What the crate describes and no record vouches for.
    """

    manifest: Manifest
    judgements: list[Judgement] = field(default_factory=list)
    checked: Checked | None = None
    unnamed: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether everything holds."""
        return not any(each.problems for each in self.judgements)


@contextmanager
def judged(file: Path, progress: Progress) -> Iterator[tuple[Judged, Project | None]]:
    """Judge an export, and give what came of it with its history, laid out for as long as it is looked at.

    Args:
        file: The export.
        progress: Told what is done.

    Raises:
        NotFound: There is no such file.
        Refused: It is no export.
        Corrupt: It is damaged, or no zip.
        Unavailable: There is not enough space for its history.
    """
    with opened_export(file) as (archive, manifest):
        found = Judged(manifest)
        waiting = Path(tempfile.mkdtemp(prefix="branchline-verify-"))
        try:
            whole = _judge(archive, found, waiting, progress)
            yield found, Project(waiting) if whole else None
        finally:
            remove_clone(waiting)


def _judge(archive: zipfile.ZipFile, found: Judged, waiting: Path, progress: Progress) -> bool:
    manifest = found.manifest
    needed = 2 * manifest.history.size + _SPARE
    if needed > shutil.disk_usage(waiting).free:
        raise Unavailable(
            f"There is not enough space in {waiting.parent}: {needed >> 20} MiB are needed",
            advice="Free some, or name another folder with TMPDIR",
        )
    try:
        take_history(archive, manifest, waiting, progress)
    except (Corrupt, Refused) as error:
        found.judgements.append(Judgement("The history is whole", (error.refused,)))
        return False
    project = Project(waiting)
    project.git.run("read-tree", "-m", "-u", "HEAD")
    count = project.git.word("rev-list", "--count", *manifest.refs.values())
    says = f"The history is whole: {count} commits of {len(manifest.refs)} branches"
    found.judgements.append(Judgement(says))
    known = paths_in(project, manifest.refs)
    found.judgements.append(_contents(archive, found, project, known, progress))
    progress("verifying its activity")
    checked = found.checked = verify(project)
    says = f"{checked.records} records of {len(checked.clones)} clones are whole and signed"
    faults = [fault.sentence for fault in checked.faults]
    if checked.records != manifest.records:
        faults.append(f"The export says that it has {manifest.records} records")
    found.judgements.append(Judgement(says, tuple(faults)))
    if CRATE in archive.NameToInfo:
        progress("holding the crate against the records")
        found.judgements += _crate(archive, found, project, known)
    return True


def _contents(
    archive: zipfile.ZipFile,
    found: Judged,
    project: Project,
    known: dict[str, set[str]],
    progress: Progress,
) -> Judgement:
    """Read every content through; what records name is put in its place, to be verified with them."""
    faults = []
    every = found.manifest.contents
    for number, each in enumerate(every):
        progress(f"reading contents: {number} of {len(every)}")
        place = None
        if any(path.startswith(f"{BLOBS}/") for path in known.get(each.key, ())):
            place = project.root / ".git/annex/objects" / object_place(each.key)
            make_folder(place.parent, 0o755)
        try:
            check_named(each, known)
            take(archive, each, place)
        except (Corrupt, Refused) as error:
            faults.append(error.refused)
        if digest_of_key(each.key) is None:
            found.unnamed.append(each.key)
    return Judgement(f"All {len(every)} contents are what their names say", tuple(faults))


def _crate(
    archive: zipfile.ZipFile, found: Judged, project: Project, known: dict[str, set[str]]
) -> Iterator[Judgement]:
    """Judge what other programs see: the files as they were saved, and what is said of them."""
    manifest = found.manifest
    plain = plain_files(project.git)
    files = {
        path: Content(f"git:{name}", FILES + path, len(text), digest_of(text))
        for path, (name, text) in plain.items()
    }
    faults = list(_files(archive, files))
    yield Judgement(
        f"All {len(files)} files of the crate are as the history has them", tuple(faults)
    )
    blobs = partial(blob_in, project, {each.key for each in manifest.contents})
    try:
        due = described(project, manifest, files, known, blobs)
        said = read_graph(archive.read(CRATE))
    except (BranchlineError, *DAMAGED_ZIP) as error:
        yield Judgement("The crate can be read", (str(error),))
        return
    found.beyond += beyond(said, due)
    runs = sum(each["@type"] == "CreateAction" for each in due)
    says = f"The crate says of {runs} runs and {len(due) - runs} other things what is on record"
    yield Judgement(says, tuple(problems(said, due)))


def _files(archive: zipfile.ZipFile, files: dict[str, Content]) -> Iterator[str]:
    there = {name for name in archive.NameToInfo if name.startswith(FILES)}
    for path, content in sorted(files.items()):
        if content.file not in there:
            yield f"The crate lacks the file {shown(path)}"
            continue
        try:
            take(archive, content, None)
        except Corrupt:
            yield f"The file {shown(path)} in the crate is another one than the history has"
    for name in sorted(there - {content.file for content in files.values()}):
        yield f"The crate has a file {shown(name.removeprefix(FILES))}, and the history has none"
