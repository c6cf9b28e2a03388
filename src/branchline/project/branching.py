"""Branches and going back: what is not saved is saved first, so nothing can be lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from branchline.foundation.errors import Conflict, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.files import Recorder, find_record
from branchline.project.activity.record import Detail, Signed
from branchline.project.activity.where import commit_of
from branchline.project.cloning import look_through
from branchline.project.git.intake import Progress
from branchline.project.git.landing import land
from branchline.project.names import check_names
from branchline.project.place import Project
from branchline.project.saving import commit_only, save

_LONGEST = 100
_ANNEX_OWN = ("adjusted/", "synced/", "views/")


@dataclass(frozen=True)
class Switched:
    """What was done.

    Args:
        branch: The branch that is checked out now.
        made: Whether it is new.
        saved: The commit that kept what was not saved yet; None where all was.
        record: What was put on record; None for a mere change of branch.
    """

    branch: str
    made: bool
    saved: str | None
    record: Signed | None


def branches(project: Project) -> list[str]:
    """Return the names of the project's branches; git-annex's own is none of them."""
    printed = project.git.word("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
    own = ("synced/", "adjusted/")
    names = [name for name in printed.split("\n") if name and name != "git-annex"]
    return [name for name in names if not name.startswith(own)]


def elsewhere(project: Project) -> dict[str, dict[str, str]]:
    """Return what is known of branches of other places: the commit, by branch and by remote."""
    form = "--format=%(refname:lstrip=2) %(objectname)"
    printed = project.git.word("for-each-ref", form, "refs/remotes")
    found: dict[str, dict[str, str]] = {}
    for line in filter(None, printed.split("\n")):
        full, _, commit = line.rpartition(" ")
        remote, _, name = full.partition("/")
        if name not in ("HEAD", "git-annex") and not name.startswith(_ANNEX_OWN):
            found.setdefault(name, {})[remote] = commit
    return found


def switch(project: Project, identity: Identity, name: str, progress: Progress) -> Switched:
    """Change to a branch; one that is neither here nor elsewhere is made from what is here.

    One that another place has begins here as it is there, once it has been looked through.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign.
        name: The branch.
        progress: Told what is done.

    Raises:
        Refused: It cannot be a branch's name; or the other place's cannot be laid out everywhere.
        Conflict: A file that is not kept is in the way; or several places have it, each another one.
    """
    known, there = branches(project), None
    if name not in known:
        _check_name(project, name, known)
        there = _commit_elsewhere(project, name)
    saved = save(project, identity, progress, message=f"As it was before the change to {name}")
    if name in known:
        land(project.git, project.git.word("rev-parse", f"refs/heads/{name}"), name)
        return Switched(name, False, saved.commit, None)
    if there is not None:
        look_through(project.git, there)
        land(project.git, there, name)
        return Switched(name, False, saved.commit, None)
    land(project.git, project.git.word("rev-parse", "HEAD"), name)
    return Switched(name, True, saved.commit, _record(project, identity, "create", name, None))


def rollback(
    project: Project, identity: Identity, which: str, progress: Progress, *, name: str = ""
) -> Switched:
    """Go back to what was saved with a record, on a new branch; all else stays on the old one.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign.
        which: The record's name.
        progress: Told what is done.
        name: The new branch; by default made from the record's name.

    Raises:
        NotFound: There is no such record, or no commit has it.
        Refused: The name cannot be a branch's.
        Conflict: The branch exists, or a file that is not kept is in the way.
    """
    _, signed = find_record(project, which)
    name = name or f"back-to-{signed.digest[7:19]}"
    known = branches(project)
    if name in known:
        raise Conflict(f"There is a branch {name!r} already", advice="Give another with --branch")
    _check_name(project, name, known)
    saved = save(project, identity, progress, message="As it was before a rollback")
    commit = commit_of(project, signed)
    progress("laying out")
    land(project.git, commit, name)
    made = _record(project, identity, "rollback", name, signed, commit)
    return Switched(name, True, saved.commit, made)


def _commit_elsewhere(project: Project, name: str) -> str | None:
    places = elsewhere(project).get(name, {})
    if len(set(places.values())) > 1:
        raise Conflict(
            f"{' and '.join(sorted(places))} each have another branch {name!r}",
            advice=f"Begin one of another name, and merge both: 'branchline merge {min(places)}/{name}'",
        )
    return next(iter(places.values()), None)


def _check_name(project: Project, name: str, known: Sequence[str]) -> None:
    if not name.strip() or len(name) > _LONGEST or name.startswith("-") or name == "git-annex":
        raise Refused(f"{name[:80]!r} is no name for a branch")
    if name.startswith(_ANNEX_OWN):
        raise Refused(f"{name[:80]!r}: git-annex has branches of such names for itself")
    if not project.git.run("check-ref-format", "--branch", name, accept=(0, 1, 128)):
        raise Refused(f"{name[:80]!r} is no name for a branch")
    # On some systems a branch is a file, and two that differ by case are one.
    check_names([name], known)


def _record(
    project: Project,
    identity: Identity,
    action: str,
    name: str,
    about: Signed | None,
    commit: str | None = None,
) -> Signed:
    back = f" to {about.digest[7:19]}: {about.record.message}" if about else ""
    message = f"Went back{back}"[:1000] if about else f"New branch {name}"
    record = {
        "type": "branch",
        "action": action,
        "message": message,
        "commit": project.git.head(),
        "branch": name,
        "about": about.digest if about else None,
    }
    detail = Detail("ref", {"branch": name, "commit": commit or project.git.head()})
    signed, paths = Recorder(project, identity).write(record, detail)
    commit_only(project, paths, message)
    return signed
