"""Begin a project: a new one, or in a repository that is there, whose history is not touched."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import Conflict, Refused
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.project.activity.files import Recorder
from branchline.project.adding import add
from branchline.project.data.guard import install_hook
from branchline.project.finding import FILE
from branchline.project.git.command import Git
from branchline.project.git.intake import Progress
from branchline.project.layout import attributes_after, new_files, recognise
from branchline.project.place import Project, check_inside, find_repository
from branchline.project.saving import commit_record, content_tree

_NAME = re.compile(r"[^a-z0-9]+")
_LONGEST = 100
_PACKS = {
    "Docker": "a Binder repository with a Dockerfile",
    "Conda": "a Binder repository for conda",
    "Pipfile": "a Binder repository with a Pipfile",
    "Python": "a Binder repository for Python",
    "R": "a Binder repository for R",
    "Nix": "a Binder repository for Nix",
    "JuliaProjectToml": "a Binder repository for Julia",
    "JuliaRequire": "a Binder repository for Julia",
}


@dataclass(frozen=True)
class Begun:
    """What `begin` did.

    Args:
        project: The project.
        adopted: Whether a repository was there before.
        found: In words, what was there.
        files: The files that were written.
        kept: How many files were there and are not saved yet.
    """

    project: Project
    adopted: bool
    found: Sequence[str]
    files: Sequence[str]
    kept: int


def begin(
    folder: Path, identity: Identity, progress: Progress, *, name: str = "", about: str = ""
) -> Begun:
    """Make a folder a project.

    A repository that is there keeps its history, its files and its settings; what a project needs
    beside them is added in one commit. Killed in between, the same call goes on.

    Args:
        folder: Where; made if missing.
        identity: Whose keys sign the first record.
        progress: Told what is done.
        name: The project's name; by default made from the folder's.
        about: One line on it.

    Raises:
        Conflict: It is a project already.
        Refused: The repository's configuration would run programs; it is bare; or the folder lies
            within another repository.
    """
    make_folder(folder, 0o755)
    root = find_repository(folder)
    if root is not None and root != folder.resolve():
        raise Refused(
            f"{folder} is within the repository {root}",
            advice=f"Adopt that one with 'branchline init {root}', or choose a folder outside it",
        )
    if root is None and (folder / "HEAD").is_file() and (folder / "objects").is_dir():
        raise Refused(f"{folder} is a bare repository", advice="Clone it, and begin in the clone")
    adopted = root is not None
    root = folder.resolve()
    if not adopted:
        progress("making a repository")
        Git(root).run("init", "--quiet", "--initial-branch=main", "--template=")
    project = Project(root)
    _ = project.git.own
    with project.working() as held:
        return _begin(held, identity, progress, adopted, name or name_of(root), about)


def _begin(
    project: Project, identity: Identity, progress: Progress, adopted: bool, name: str, about: str
) -> Begun:
    git, root = project.git, project.root
    tracked = git.lines("ls-files", "-z")
    if FILE in tracked and git.head() is not None and _committed(git, FILE):
        raise Conflict(f"{root} is a project already", advice="See 'branchline status'")
    staged = git.run("diff", "--cached", "--name-only", "-z", "--no-ext-diff")
    if git.head() is not None and staged and not (root / FILE).exists():
        raise Conflict(
            "The repository has staged changes that are not committed",
            advice="Commit them with 'git commit', or unstage them with 'git reset', first",
        )
    there = git.lines("ls-files", "-z", "--others", "--exclude-standard")
    found = recognise(tracked, git.own) + _binder(root)
    progress("preparing git-annex")
    if git.head() is None:
        # git-annex works slowly where there is no commit yet.
        git.run("commit", "--quiet", "--allow-empty", "--no-verify", "-m", "Begin")
    project.annex.begin(f"{name} at {os.uname().nodename}")
    install_hook(root)
    present = {*tracked, *there}
    files = new_files(present, name, new_id("project"), about, folders=not tracked)
    attributes = _attributes(root)
    if attributes is not None:
        files[".gitattributes"] = attributes
    for path, text in files.items():
        place = check_inside(root, path)
        make_folder(place.parent, 0o755)
        write_durably(place, text.encode())
    written = sorted({*files, FILE})
    add(project, written, progress)
    record = {
        "type": "project",
        "action": "adopt" if adopted else "create",
        "message": f"{'Adopted' if adopted else 'Began'} the project {project.described.name}",
        "commit": git.head(),
        "tree": content_tree(project),
        "branch": git.branch(),
    }
    commit_record(project, Recorder(project, identity), record, ())
    kept = len([path for path in there if path not in written])
    return Begun(Project(root), adopted, found, written, kept)


def name_of(root: Path) -> str:
    """Return a project's name made from a folder's."""
    return _NAME.sub("-", root.name.lower()).strip("-")[:_LONGEST] or "project"


def _committed(git: Git, path: str) -> bool:
    return bool(git.lines("ls-tree", "-z", "--name-only", "HEAD", "--", path))


def _attributes(root: Path) -> str | None:
    file = check_inside(root, ".gitattributes")
    return attributes_after(file.read_text() if file.exists() else None)


def _binder(root: Path) -> list[str]:
    """Return in words what Binder would see."""
    from branchline.environment.spec import detect, read_tree

    try:
        winner = detect(read_tree(root)).winner
    except Refused as error:
        return [f"spec files that cannot be read: {error.refused}"]
    return [_PACKS[winner]] if winner in _PACKS else []
