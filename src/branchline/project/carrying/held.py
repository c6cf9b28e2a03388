"""What an export holds of a project, by its history: whoever has one finds the same as who made it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from branchline.foundation.digest import Digest
from branchline.foundation.errors import Corrupt, NotFound
from branchline.project.activity.files import BLOBS, FOLDER, blob_name, read_blob
from branchline.project.data.guard import paths_of_keys
from branchline.project.git.command import Git
from branchline.project.git.keys import key_in_link, key_in_pointer
from branchline.project.merging.weighing import contents, versions_at
from branchline.project.place import Project

_LINK, _MODULE = "120000", "160000"
_ANNEX = "refs/heads/git-annex"


def plain_files(git: Git) -> dict[str, tuple[str, bytes]]:
    """Return git's name and the content of every file at the head that git itself keeps.

    Links, what git-annex keeps, submodules and the activity are not among them.
    """
    versions = {
        path: version
        for path, version in versions_at(git, "HEAD").items()
        if not path.startswith(f"{FOLDER}/") and version.mode not in (_LINK, _MODULE)
    }
    texts = contents(git, [version.name for version in versions.values()])
    return {
        path: (version.name, text)
        for (path, version), text in zip(versions.items(), texts, strict=True)
        if key_in_pointer(text) is None
    }


def paths_in(project: Project, refs: Mapping[str, str]) -> dict[str, set[str]]:
    """Return where each content of git-annex ever stood, in the history of an export's branches."""
    tips = [commit for ref, commit in refs.items() if ref != _ANNEX]
    return paths_of_keys(project.git, tips)


def blob_in(project: Project, held: Collection[str], digest: Digest) -> bytes | None:
    """Return what a record names, if an export holds it: in its history, or among its contents.

    Args:
        project: The project, at the export's head.
        held: Git-annex's names of the contents that the export holds.
        digest: The blob's name.
    """
    place = project.root / BLOBS / blob_name(digest)
    if place.is_symlink() and key_in_link(os.readlink(place)) not in held:
        return None
    try:
        return read_blob(project, digest)
    except (NotFound, Corrupt):
        return None
