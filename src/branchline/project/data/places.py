"""Places in a project: described for its rules, and found again by what git and git-annex call them."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path

import tomli_w

from branchline.foundation.durable import write_durably
from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.foundation.ids import check_name
from branchline.foundation.keys import Identity
from branchline.project.data.guard import check_push
from branchline.project.data.rules import FILE, Place, Rules, read_rules
from branchline.project.git.intake import Progress
from branchline.project.git.objects import read_objects
from branchline.project.place import Project, check_inside
from branchline.project.saving import save

_NONE = re.compile(r"^0+$")
_COMMIT = re.compile(r"^[0-9a-f]{40,64}$")
_ANNEX = re.compile(r"^refs/heads/(synced/)?git-annex$")


def describe(
    project: Project, identity: Identity, name: str, remote: str, about: str, progress: Progress
) -> Place:
    """Write a place into ``branchline.toml``, and save that.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign the record.
        name: What rules call it.
        remote: A remote of git; empty for this clone.
        about: One line on it.
        progress: Told what is done.

    Raises:
        Refused: The name is none.
        NotFound: There is no such remote.
        Conflict: The place, or the repository under another name, is described already.
    """
    check_name(name, "place")
    if name in project.rules.places:
        raise Conflict(f"There is a place {name!r} already", advice=f"Change it in {FILE}")
    made = _remote(project, remote, about) if remote else _here(project, about)
    known = project.rules.place_of(annex=next(iter(made.annex), None), address=made.address)
    if known is not None:
        raise Conflict(f"That is the place {known!r} already", advice=f"Change it in {FILE}")
    file = check_inside(project.root, FILE)
    said = {"address": made.address, "annex": list(made.annex), "about": about}
    table = tomli_w.dumps({"places": {name: {key: value for key, value in said.items() if value}}})
    text = file.read_bytes().rstrip(b"\n") + b"\n\n" + table.encode()
    read_rules(text)
    write_durably(file, text)
    save(project, identity, progress, paths=[FILE], message=f"The place {name}")
    return made


def place_of_remote(project: Project, remote: str, address: str = "") -> str | None:
    """Return what the rules call a remote; None where they do not know it.

    Args:
        project: The project.
        remote: Git's name of it, or an address.
        address: Where git sends to, if it said so.
    """
    own = project.git.own
    uuid = own.get(f"remote.{remote}.annex-uuid")
    at = address or _address(project, own.get(f"remote.{remote}.pushurl", ""))
    at = at or _address(project, own.get(f"remote.{remote}.url", "")) or _address(project, remote)
    by_address = project.rules.place_of(address=at)
    if uuid is None:
        return by_address
    by_uuid = project.rules.place_of(annex=uuid)
    # Two words about one place that contradict each other are no answer.
    return by_uuid if by_address in (None, by_uuid) else None


def here(project: Project) -> str | None:
    """Return what the rules call this clone; None where they do not know it."""
    uuid = project.annex.uuid
    return None if uuid is None else project.rules.place_of(annex=uuid)


def check_lines(project: Project, remote: str, address: str, text: str, today: date) -> int:
    """Hold what git tells a ``pre-push`` hook against the rules; return how many branches it names.

    Args:
        project: The project.
        remote: Git's name of where to, or its address.
        address: Its address.
        text: Lines of local name, commit, name there, and commit there.
        today: The day.

    Raises:
        NotAllowed: Something may not go there.
        Refused: These are no such lines.
    """
    tips, known = [], []
    lines = [line.split() for line in text.splitlines() if line.strip()]
    for words in lines:
        if len(words) != 4 or not _COMMIT.match(words[1]) or not _COMMIT.match(words[3]):
            raise Refused("Standard input is not what git tells a pre-push hook")
        if _NONE.match(words[1]) or _ANNEX.match(words[2]):
            continue
        tips.append(words[1])
        if not _NONE.match(words[3]) and _has(project, words[3]):
            known.append(words[3])
    where = place_of_remote(project, remote, address)
    check_push(project.git, project.rules, where, tips, known, today)
    for tip in dict.fromkeys(tips):
        # A branch may have stricter rules than the one that is checked out.
        rules = rules_at(project, tip)
        named = where if where in rules.places else None
        check_push(project.git, rules, named, [tip], known, today)
    return len(lines)


def rules_at(project: Project, commit: str) -> Rules:
    """Return the rules as a commit has them; none where it has no ``branchline.toml``.

    Raises:
        Refused: They are not acceptable.
    """
    (text,) = read_objects(project.git, f"{commit}:{FILE}\n".encode(), 1)
    return read_rules(text)


def _here(project: Project, about: str) -> Place:
    uuid = project.annex.uuid
    if uuid is None:
        raise NotFound("This clone has no git-annex yet", advice="Adopt it with 'branchline init'")
    return Place(annex=(uuid,), about=about)


def _remote(project: Project, remote: str, about: str) -> Place:
    own = project.git.own
    url = own.get(f"remote.{remote}.pushurl") or own.get(f"remote.{remote}.url")
    uuid = own.get(f"remote.{remote}.annex-uuid")
    if url is None and uuid is None:
        raise NotFound(f"There is no remote {remote[:80]!r}", advice="See 'git remote -v'")
    return Place(_address(project, url or ""), (uuid,) if uuid else (), about)


def _address(project: Project, text: str) -> str:
    """Return an address as rules compare it: a folder by its whole path, others as they are."""
    if not text or "://" in text or re.match(r"^[^/]+:", text):
        return text
    return os.path.realpath(Path(project.root, text))


def _has(project: Project, commit: str) -> bool:
    words = ("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    return bool(project.git.run(*words, accept=(0, 1, 128)))
