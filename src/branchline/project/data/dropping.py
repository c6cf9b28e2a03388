"""Remove contents from this clone, each with git-annex's proof that enough copies stand elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from branchline.foundation.errors import Conflict, NotAllowed, NotFound, Unavailable
from branchline.foundation.keys import Identity
from branchline.project.data.contents import GIT, place_of
from branchline.project.data.guard import paths_of_keys
from branchline.project.data.listing import items_at
from branchline.project.data.lists import Item
from branchline.project.data.places import here
from branchline.project.data.receipts import (
    Dropped,
    Gone,
    answers_of,
    begun,
    claimed_elsewhere,
    reason_of,
    record_gap,
    write_receipt,
)
from branchline.project.data.rules import Handling
from branchline.project.git.calling import GitFailed
from branchline.project.git.intake import Progress
from branchline.project.git.objects import read_objects
from branchline.project.git.proofs import DEBUG, read_proofs, trusted_uuids
from branchline.project.git.telling import BRANCH
from branchline.project.names import shown
from branchline.project.place import Project
from branchline.project.saving import save

_NUMBER = re.compile(rb"^([0-9]{1,4})\b")


def drop(
    project: Project, identity: Identity, paths: Sequence[str], reason: str, progress: Progress
) -> Dropped:
    """Remove the contents at paths from this clone, each once enough other copies were looked at.

    No word of git-annex's branch is taken for a copy: repositories that it calls trusted are asked
    like all others, and at least one copy has to be locked while this one goes.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign the receipt.
        paths: Files and folders.
        reason: Why, for the receipt.
        progress: Told what is done.

    Raises:
        NotFound: Nothing is saved there, or nothing that git-annex keeps.
        NotAllowed: A rule wants a copy here.
        Conflict: A place that has to have a copy does not.
        Unavailable: It cannot be asked.
    """
    record_gap(project, identity)
    save(project, identity, progress, message="As it was before data were dropped")
    items = [i for i in items_at(project, paths) if not i.content.startswith(GIT)]
    if not items:
        raise NotFound(
            "Git itself keeps what is there, in every clone and for good",
            advice="Only contents in git-annex can be dropped",
        )
    present = [item for item in items if place_of(project, item) is not None]
    stood = paths_of_keys(project.git)
    _check_required(project, present, stood, progress)
    found = Dropped()
    if present:
        progress(f"asking for copies of {len(present)} contents")
        with begun(project, {item.content: item.path for item in present}, reason):
            _drop(project, present, stood, found)
            if found.gone:
                found.record = write_receipt(project, identity, found, reason)
    return found


def _drop(
    project: Project, items: Sequence[Item], stood: Mapping[str, set[str]], found: Dropped
) -> None:
    keys = {item.content: item.path for item in items}
    claimed = claimed_elsewhere(project, list(keys))
    words = (
        *("drop", "--json", "--json-error-messages", *DEBUG, *_distrust(project)),
        *(
            f"--numcopies={_least(project, 'numcopies')}",
            f"--mincopies={_least(project, 'mincopies')}",
        ),
        *("--batch", "-z"),
    )
    # By path, so that what a person told git-annex to keep there is kept.
    feed = b"".join(os.fsencode(path) + b"\0" for path in keys.values())
    printed, said = project.annex.hear(*words, feed=feed, accept=(0, 1), network=True)
    proofs = read_proofs(said.decode(errors="replace"))
    for told in answers_of(printed):
        key = told["key"]
        path = keys.get(key, key)
        if not told.get("success"):
            found.kept[path] = reason_of(told)
            continue
        proof = proofs.get(key)
        if proof is None or not proof.good:
            found.alarms.append(key)
        paths = tuple(sorted(stood.get(key, {path})))
        found.gone.append(Gone(key, paths, proof, claimed[key]))


def _check_required(
    project: Project, items: Sequence[Item], stood: Mapping[str, set[str]], progress: Progress
) -> None:
    """Refuse to remove what has to be here, or is not where else it has to be."""
    mine = here(project)
    remotes: dict[str, str] = {}
    for name, uuid in project.git.own.items():
        if name.startswith("remote.") and name.endswith(".annex-uuid"):
            remotes[uuid] = name.removeprefix("remote.").removesuffix(".annex-uuid")
    for item in items:
        handling: Handling = project.rules.rule_for(*stood.get(item.content, {item.path}))
        for place in handling.required:
            if place == mine:
                raise NotAllowed(
                    f"{shown(item.path)} has to be kept at {place}, which is this clone",
                    advice="Its rule is in branchline.toml, under 'required'",
                )
            progress(f"asking {place}")
            known = [u for u in project.rules.places[place].annex if u in remotes]
            if not known:
                raise Unavailable(
                    f"{shown(item.path)} has to be kept at {place}, and no remote leads there",
                    advice=f"Tell git of it, and git-annex's name of it under [places.{place}]",
                )
            asked = ("checkpresentkey", item.content)
            if not any(_present(project, *asked, remotes[uuid]) for uuid in known):
                raise Conflict(
                    f"{shown(item.path)} has to be kept at {place}, and is not there",
                    advice=f"Bring it there: 'git annex copy --to {remotes[known[0]]} PATH'",
                )


def _present(project: Project, *words: str) -> bool:
    try:
        project.annex.run(*words, network=True)
    except GitFailed:
        return False
    return True


def _distrust(project: Project) -> list[str]:
    """Return the options by which nobody's mere word stands for a copy."""
    (log,) = read_objects(project.git, f"{BRANCH}:trust.log\n".encode(), 1)
    uuids = trusted_uuids(log.decode(errors="replace"))
    for name, value in project.git.own.items():
        if name.endswith(".annex-trustlevel") and value == "trusted":
            uuid = project.git.own.get(name.removesuffix("trustlevel") + "uuid")
            uuids += [uuid] if uuid else []
    return [f"--semitrust={uuid}" for uuid in sorted(set(uuids))]


def _least(project: Project, what: str) -> int:
    """Return how many copies are wanted; no branch can say fewer than one."""
    found = _NUMBER.match(project.annex.run(what))
    return max(1, int(found[1]) if found else 1)
