"""The files of a new project, and what an older repository is; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import tomli_w

FOLDERS = ("code", "data", "environment", "results")
"""Folders that a new project begins with; git keeps none that is empty, so each says what it is for."""

ATTRIBUTES = """\
# Which files git-annex takes: all data, and whatever is large. The rest is in git.
* annex.backend=SHA256E
* annex.largefiles=largerthan=1MiB
data/** annex.largefiles=anything
README.md annex.largefiles=nothing
activity/blobs/** annex.largefiles=anything
activity/*/** -text
"""
"""Git's and git-annex's rules of a project, in ``.gitattributes``."""

IGNORED = """\
# Never kept: what programs make again, and what is only for this machine.
__pycache__/
.ipynb_checkpoints/
*.pyc
.venv/
untracked/
"""

_SAYS = {
    "code": "Programs and notebooks, in git.\n",
    "data": "What the analysis reads, in git-annex: content can be dropped, and got again.\n",
    "environment": "What proves the lock: 'branchline environment lock' writes it. The files that say\n"
    "what is wanted (requirements.txt, apt.txt, environment.yml, install.R) stand beside this folder.\n",
    "results": "What the analysis wrote.\n",
}
_MARK = "annex.largefiles"


def new_files(
    present: Collection[str], name: str, project_id: str, about: str, *, folders: bool
) -> dict[str, str]:
    """Return the files that a project lacks, by path.

    Args:
        present: The paths that the repository has; none of them is changed.
        name: The project's name.
        project_id: Its identifier.
        about: One line on it.
        folders: Whether it gets the usual folders, too; a repository with a history has its own.
    """
    described = {"name": name, "id": project_id, "schema": 1, "description": about}
    files = {"branchline.toml": tomli_w.dumps({"project": described})}
    if folders:
        there = {path.partition("/")[0] for path in present}
        files |= {f"{folder}/README.md": _SAYS[folder] for folder in FOLDERS if folder not in there}
    if ".gitignore" not in present:
        files[".gitignore"] = IGNORED
    return {path: text for path, text in files.items() if path not in present}


def attributes_after(text: str | None) -> str | None:
    """Return what ``.gitattributes`` becomes; None where it has rules for git-annex already.

    Args:
        text: What it holds now; None where there is none.
    """
    if text is None:
        return ATTRIBUTES
    if _MARK in text:
        return None
    return text.rstrip("\n") + "\n\n" + ATTRIBUTES


def recognise(present: Collection[str], settings: Mapping[str, str]) -> list[str]:
    """Return in words what a repository is, beside git.

    Args:
        present: The paths that it has.
        settings: Its own git settings.
    """
    paths = set(present)
    found = []
    if ".datalad/config" in paths:
        found.append("a DataLad dataset: its run records can be read and run again")
    elif "annex.uuid" in settings:
        found.append("a git-annex repository")
    if any(path.startswith(".dvc/") for path in paths):
        found.append("a DVC repository: its .dvc files stay as they are, their data stay with DVC")
    if ".gitmodules" in paths:
        found.append("submodules: they are left as they are, and never entered")
    if ".gigantum/project.yaml" in paths:
        found.append("a Gigantum project: its activity stays in its commits")
    return found
