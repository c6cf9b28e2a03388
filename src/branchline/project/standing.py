"""Where a project stands: its name, its branch, and what differs from the last save.

People ask it often, and in large projects. So git is set to work before anything is loaded that git
does not need, in one call; what is unusual is left to `Project`, which has the words for it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from branchline.project.finding import FILE, LOCK, repository_of
from branchline.project.git.asking import Asked
from branchline.project.git.environment import clean_environment
from branchline.project.git.heads import read_head
from branchline.project.git.settings import LIST_OWN, check_settings, read_own

if TYPE_CHECKING:
    from branchline.project.changes import Change

_WORDS = (
    *("status", "--porcelain=v2", "-z", "--no-renames", "--ignore-submodules=all"),
    "--untracked-files=normal",
)
_KNOWN = ".git/branchline/known"
_ASIDE = {"GIT_OPTIONAL_LOCKS": "0"}
_LIST_OF_NEW = "core.untrackedCache"
"""Git then keeps what is new in each folder, and looks only into folders that changed since."""


class Standing(NamedTuple):
    """Where a project stands.

    Args:
        project: Its identifier.
        name: Its name.
        root: Its folder.
        branch: The branch that is checked out; None for a commit by itself.
        changes: What differs from the last save; a folder that is new as a whole is one.
    """

    project: str
    name: str
    root: str
    branch: str | None
    changes: list[Change]


def standing_of(folder: str) -> Standing:
    """Return where the project stands that a folder is in.

    Raises:
        NotFound: It is in none.
        Refused: Its repository's configuration would run programs, or look elsewhere.
    """
    return _quickly(folder) or _with_all(folder)


def _quickly(folder: str) -> Standing | None:
    root = repository_of(folder)
    if root is None or os.stat(root).st_uid != os.geteuid():
        return None
    listed = Asked(LIST_OWN, root, clean_environment({})).answer()
    if listed is None:
        return None
    own = read_own(listed)
    check_settings(own)
    if "extensions.refstorage" in own:
        return None
    settings = {f"filter.annex.{name}": "" for name in ("clean", "smudge", "process")}
    if _LIST_OF_NEW.lower() not in own:
        settings[_LIST_OF_NEW] = "true"
    with _alone(root) as alone:
        asked = Asked(_WORDS, root, clean_environment(settings) | ({} if alone else _ASIDE))
        try:
            # Meanwhile git is at work.
            named, head = _named(root), read_head(os.path.join(root, ".git"))
        finally:
            printed = asked.answer()
    if printed is None or named is None or head is None:
        return None
    return Standing(*named, root, head[1], _changes(root, printed, own))


def _changes(root: str, printed: bytes, own: Mapping[str, str]) -> list[Change]:
    if not printed:
        return []
    from branchline.project.changes import read_changes

    changes = read_changes(printed)
    if "annex.uuid" in own and any(change.may_be_unlocked for change in changes):
        from pathlib import Path

        from branchline.project.differing import through_filter
        from branchline.project.place import Project

        changes = through_filter(Project.open(Path(root)), changes)
    return changes


def _with_all(folder: str) -> Standing:
    from pathlib import Path

    from branchline.project.differing import changes_of
    from branchline.project.place import Project

    project = Project.open(Path(folder))
    changes = changes_of(project, each=False)
    said = project.described
    return Standing(said.id, said.name, str(project.root), project.git.where()[1], changes)


def _named(root: str) -> tuple[str, str] | None:
    """Return the project's identifier and name; None if it is no project.

    As long as not a byte of its description changes, what was read of it is known.
    """
    try:
        with open(os.path.join(root, FILE), "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    known = os.path.join(root, _KNOWN)
    try:
        with open(known, "rb") as file:
            identifier, name, read = file.read().split(b"\n", 2)
            if read == text:
                return identifier.decode(), name.decode()
    except (OSError, ValueError):
        pass  # not known yet, or cut off
    from branchline.project.description import read_description

    described = read_description(text)
    if "\n" not in described.name:
        with suppress(OSError), open(known, "wb") as file:
            file.write(f"{described.id}\n{described.name}\n".encode() + text)
    return described.id, described.name


@contextmanager
def _alone(root: str) -> Iterator[bool]:
    """Tell whether nobody is at work in the project, and keep it so for a moment.

    Git takes the index's lock to write down what it learned; whoever comes meanwhile waits for
    ours, and never meets git's.
    """
    try:
        descriptor = os.open(os.path.join(root, LOCK), os.O_RDWR)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A git that outlives its killed caller holds it, too.
        os.set_inheritable(descriptor, True)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
