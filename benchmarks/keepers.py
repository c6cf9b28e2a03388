"""Who keeps files, beside whom Branchline is measured, and how each is asked to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import make_environment

GIT_ANNEX = "git-annex==10.20261026"
DATALAD = "datalad==1.7.1"
DVC = "dvc==3.67.1"
DATA, CODE = "branchline data", "branchline code"
GIT = "git"

Words = tuple[str, ...]


@dataclass(frozen=True)
class Keeper:
    """Something that keeps files.

    Args:
        name: What the table calls it.
        folder: Where in the repository the files go.
        begin: Commands that make a repository.
        save: Commands that add and save what is in it.
        status: The command that says whether anything changed.
        clone: The command that makes a copy without content, ``{root}`` and ``{to}`` standing for whence and
            where to.
        get: Commands that bring the content into such a copy.
        drop: Commands that remove it there.
        send: Commands that let others get the content, where that is a step of its own.
        path: Folder of its programs; empty for the system's.
        data_apart: Whether large files stay out of git's own history.
        slow: Whether it takes so long that one run of it must do.
    """

    name: str
    folder: str
    begin: Sequence[Words]
    save: Sequence[Words]
    status: Words
    clone: Words
    get: Sequence[Words] = ()
    drop: Sequence[Words] = ()
    send: Sequence[Words] = ()
    path: str = ""
    data_apart: bool = True
    slow: bool = False

    def environment(self, cache: Path) -> dict[str, str]:
        """Return the variables it runs with, beside this process's own."""
        names = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "b"), ("EMAIL", "b@b"))
        }
        path = os.pathsep.join(part for part in (self.path, os.environ["PATH"]) if part)
        more = {"PATH": path, "DVC_NO_ANALYTICS": "1", "BRANCHLINE_HOME": str(cache / "home")}
        return {**names, **_NO_TIDYING, **more}


_NO_TIDYING = {
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "gc.auto",
    "GIT_CONFIG_VALUE_0": "0",
    "GIT_CONFIG_KEY_1": "maintenance.auto",
    "GIT_CONFIG_VALUE_1": "false",
}
"""Git does not tidy up behind the back of whoever is measured next, or take away what is copied."""

_COMMIT: Words = ("git", "commit", "-q", "-m", "x")
_STATUS: Words = ("git", "status", "--porcelain")
_CLONE: Words = ("git", "clone", "-q", "{root}", "{to}")
_EMPTY: Sequence[Words] = (
    ("git", "init", "-q"),
    ("git", "commit", "-q", "--allow-empty", "-m", "x"),
)
_QUIET: Words = ("datalad", "-l", "error")


def keepers(cache: Path, chosen: Sequence[str]) -> list[Keeper]:
    """Return those that are chosen, or all; their programs are installed where they are not yet.

    Args:
        cache: Where they are installed.
        chosen: Names in small letters, also in part; all if there are none.
    """
    known = (*_ours(), *_plain(), *_annex(), *_datalad(), *_dvc())
    found = [k for k in known if not chosen or any(each in k.name.lower() for each in chosen)]
    needed = {
        "git-annex": (GIT_ANNEX,),
        "DataLad": (DATALAD, GIT_ANNEX),
        "DVC": (DVC,),
    }
    return [
        _at(keeper, make_environment(cache, keeper.name.lower(), needed[keeper.name]))
        if keeper.name in needed
        else keeper
        for keeper in found
    ]


def _at(keeper: Keeper, place: Path) -> Keeper:
    return Keeper(**{**vars(keeper), "path": str(place)})


def _ours() -> list[Keeper]:
    place = str(Path(sys.executable).parent)
    begin: Sequence[Words] = (("branchline", "init", "."),)
    save: Sequence[Words] = (("branchline", "save"),)
    own = (("branchline", "status"), ("branchline", "clone", "{root}", "{to}"))
    get, drop = (("branchline", "get", "data"),), (("branchline", "drop", "data"),)
    return [
        Keeper(DATA, "data", begin, save, *own, get, drop, path=place),
        Keeper(CODE, "code", begin, save, *own, path=place, data_apart=False),
    ]


def _plain() -> list[Keeper]:
    save = (("git", "add", "."), _COMMIT)
    return [Keeper(GIT, "data", _EMPTY, save, _STATUS, _CLONE, data_apart=False)]


def _annex() -> list[Keeper]:
    return [
        Keeper(
            "git-annex",
            "data",
            (*_EMPTY, ("git-annex", "init", "-q", "x")),
            (("git-annex", "add", "-q", "."), _COMMIT),
            _STATUS,
            _CLONE,
            (("git-annex", "init", "-q", "y"), ("git-annex", "get", "-q", "-J2", ".")),
            (("git-annex", "drop", "-q", "."),),
            slow=True,
        )
    ]


def _datalad() -> list[Keeper]:
    return [
        Keeper(
            "DataLad",
            "data",
            ((*_QUIET, "create", "--force", "."),),
            ((*_QUIET, "save", "-m", "x"),),
            ("datalad", "status"),
            (*_QUIET, "clone", "{root}", "{to}"),
            ((*_QUIET, "get", "."),),
            ((*_QUIET, "drop", "."),),
            slow=True,
        )
    ]


def _dvc() -> list[Keeper]:
    remote = ("dvc", "remote", "add", "-q", "-d", "r", "{root}-remote")
    return [
        Keeper(
            "DVC",
            "data",
            (*_EMPTY, ("dvc", "init", "-q"), remote),
            (("dvc", "add", "-q", "data"), ("git", "add", "."), _COMMIT),
            ("dvc", "status", "-q"),
            _CLONE,
            (("dvc", "pull", "-q"),),
            send=(("dvc", "push", "-q"),),
            slow=True,
        )
    ]
