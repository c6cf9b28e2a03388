"""What may be kept no longer by its rule: found at every path where it ever stood, and removed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from branchline.foundation.keys import Identity
from branchline.project.data.contents import GIT, place_of
from branchline.project.data.guard import paths_of_keys
from branchline.project.data.listing import items_at
from branchline.project.data.lists import Item
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
from branchline.project.git.intake import Progress
from branchline.project.place import Project

_ENDED = "Its time had ended"


@dataclass(frozen=True)
class Expired:
    """One content whose time has ended.

    Args:
        key: Git-annex's name of it; git's for a file that git keeps.
        paths: Where it stands, or stood.
        since: The last day on which it might be kept.
        present: Whether it is in this clone.
    """

    key: str
    paths: tuple[str, ...]
    since: date
    present: bool


def expired(project: Project, today: date) -> list[Expired]:
    """Return what may not be kept any more, by every path at which it ever stood.

    Args:
        project: The project.
        today: The day.
    """
    rules = project.rules
    found = []
    for key, paths in paths_of_keys(project.git).items():
        until = rules.rule_for(*paths).expires
        if until is not None and today > until:
            there = place_of(project, Item("", key)) is not None
            found.append(Expired(key, tuple(sorted(paths)), until, there))
    for item in items_at(project, project.git.lines("ls-files", "-z")):
        until = rules.rule_for(item.path).expires
        if item.content.startswith(GIT) and until is not None and today > until:
            found.append(Expired(item.content, (item.path,), until, True))
    return sorted(found, key=lambda each: each.paths)


def drop_expired(
    project: Project, identity: Identity, found: Sequence[Expired], progress: Progress
) -> Dropped:
    """Remove from this clone what may not be kept any more, the last copy, too.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign the receipt.
        found: What `expired` named.
        progress: Told what is done.
    """
    record_gap(project, identity)
    done = Dropped()
    for each in found:
        if each.key.startswith(GIT):
            done.kept[each.paths[0]] = "git itself keeps it, in every clone and for good"
    keys = {e.key: e.paths for e in found if e.present and not e.key.startswith(GIT)}
    if not keys:
        return done
    progress(f"removing {len(keys)} contents")
    with begun(project, {key: paths[0] for key, paths in keys.items()}, _ENDED):
        _remove(project, keys, done)
        if done.gone:
            done.record = write_receipt(project, identity, done, _ENDED)
    return done


def _remove(project: Project, keys: Mapping[str, tuple[str, ...]], done: Dropped) -> None:
    claimed = claimed_elsewhere(project, list(keys))
    feed = "".join(f"{key}\n" for key in keys).encode()
    words = ("dropkey", "--force", "--json", "--json-error-messages", "--batch")
    printed, _ = project.annex.hear(*words, feed=feed, accept=(0, 1))
    for told in answers_of(printed):
        key = told["key"]
        if told.get("success") and place_of(project, Item("", key)) is None:
            done.gone.append(Gone(key, keys[key], None, claimed[key]))
        else:
            done.kept[keys[key][0]] = reason_of(told)
