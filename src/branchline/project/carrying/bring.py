"""Make a project of an export again, once every byte of it was held against what it says."""

from __future__ import annotations

import os
import secrets
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from branchline.foundation.durable import make_folder
from branchline.foundation.errors import Conflict, Unavailable
from branchline.project.activity.verify import Checked, verify
from branchline.project.carrying.form import Manifest
from branchline.project.carrying.reading import check_named, opened_export, take, take_history
from branchline.project.cloning import remove_clone
from branchline.project.data.guard import install_hook, paths_of_keys
from branchline.project.git.intake import Progress, sync_file_system
from branchline.project.git.keys import object_place
from branchline.project.git.telling import tell_locations
from branchline.project.place import Project

_SPARE = 64 << 20


@dataclass(frozen=True)
class Brought:
    """What `bring` did.

    Args:
        project: The project.
        manifest: What the export said it holds.
        modules: Submodules that were left out.
        checked: What verification of its activity found.
    """

    project: Project
    manifest: Manifest
    modules: list[str]
    checked: Checked


def bring(file: Path, folder: Path | None, progress: Progress) -> Brought:
    """Make a project of an export, in a new folder.

    Refused or killed, it leaves nothing at the folder.

    Args:
        file: The export.
        folder: Where it goes; must be new or empty. By default it has the project's name.
        progress: Told what is done.

    Raises:
        NotFound: There is no such file.
        Refused: It is no export, or one that cannot be laid out everywhere.
        Corrupt: Something in it is not what it says; the sentence names it.
        Conflict: There is something at the folder.
        Unavailable: There is not enough space.
    """
    with opened_export(file) as (archive, manifest):
        where = folder or Path(manifest.name)
        if where.exists() and (not where.is_dir() or any(where.iterdir())):
            raise Conflict(f"There is something at {where}", advice="Choose a new folder")
        return _bring(archive, manifest, where, progress)


def _bring(
    archive: zipfile.ZipFile, manifest: Manifest, folder: Path, progress: Progress
) -> Brought:
    parent = make_folder(folder.absolute().parent, 0o755)
    needed = 2 * manifest.history.size + sum(each.size for each in manifest.contents) + _SPARE
    if needed > shutil.disk_usage(parent).free:
        raise Unavailable(f"There is not enough space: {needed >> 20} MiB are needed")
    waiting = parent / f".{folder.name}.{secrets.token_hex(4)}.import"
    try:
        make_folder(waiting)
        modules = take_history(archive, manifest, waiting, progress)
        project = Project(waiting)
        progress("laying out")
        project.git.run("read-tree", "-m", "-u", "HEAD", unlocked=True)
        progress("preparing git-annex")
        project.annex.begin(f"{folder.name} at {os.uname().nodename}")
        install_hook(waiting)
        _contents(archive, manifest, project, progress)
        if folder.exists():
            folder.rmdir()
        waiting.rename(folder)
    except BaseException:
        remove_clone(waiting)
        raise
    made = Project(folder.resolve())
    progress("verifying its activity")
    return Brought(made, manifest, modules, verify(made))


def _contents(
    archive: zipfile.ZipFile, manifest: Manifest, project: Project, progress: Progress
) -> None:
    """Put contents into their places, each held against its name, and tell git-annex of them."""
    known = paths_of_keys(project.git)
    for number, each in enumerate(manifest.contents):
        if number % 100 == 0:
            progress(f"taking contents in: {number} of {len(manifest.contents)}")
        check_named(each, known)
        place = project.root / ".git/annex/objects" / object_place(each.key)
        make_folder(place.parent, 0o755)
        take(archive, each, place)
        place.chmod(0o444)
        place.parent.chmod(0o555)
    sync_file_system(project.root)
    uuid = project.annex.uuid
    assert uuid is not None
    tell_locations(project.git, uuid, [each.key for each in manifest.contents])
