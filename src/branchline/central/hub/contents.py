"""What the rules of a project say of content at the hub: may it be here, may it go there."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from branchline.central.hub.repositories import Repositories
from branchline.central.hub.rights import Standing
from branchline.foundation.clock import Clock
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Conflict, NotAllowed
from branchline.journey.acts import Visibility
from branchline.journey.hosting import digest_of_heads, path_of
from branchline.project.data.guard import check_push, judge_keys, paths_of_keys
from branchline.project.data.rules import FILE, Rules, read_rules
from branchline.project.git.command import Git
from branchline.project.names import shown

_KEPT = 64
_ANNEX = ("git-annex", "synced/git-annex")


@dataclass(frozen=True)
class _Known:
    heads: Digest
    rules: Rules
    stood: Mapping[str, set[str]]


class Contents:
    """Judges content by the rules of the branch that a hosted project begins with.

    Where nothing can be said of a content, the answer is no.

    Args:
        repositories: The hosted repositories.
        clock: The time.
    """

    def __init__(self, repositories: Repositories, clock: Clock) -> None:
        self._repositories, self._clock = repositories, clock
        self._known: dict[str, _Known] = {}
        self._working = threading.Lock()
        self.address = ""

    def place_of(self, rules: Rules, standing: Standing) -> str | None:
        """Return what a project's rules call the hub; None if they do not describe it."""
        address = self.address + path_of(standing.owner, standing.name) if self.address else None
        return rules.place_of(annex=standing.annex, address=address)

    def check(self, standing: Standing, key: str, clone: str | None = None) -> None:
        """Refuse content that may not be at the hub, or not at the clone it is to go to.

        Args:
            standing: The hosted project.
            key: Git-annex's name of the content.
            clone: Where it is to go, as git-annex calls it; None if it comes here.

        Raises:
            Conflict: No branch here has a file with it.
            NotAllowed: It may not; the sentence says why.
        """
        known, git = self._look(standing), self._repositories.git(standing.hosted)
        if key not in known.stood:
            raise Conflict(
                "No branch at the hub has a file with this content",
                advice="Push the branch first, then bring the content",
            )
        places = [("the hub", self.place_of(known.rules, standing))]
        if clone is not None:
            places.append(("this clone", known.rules.place_of(annex=clone)))
        for what, place in places:
            said = judge_keys(
                git,
                known.rules,
                [key],
                place,
                self._clock.now().date(),
                standing.visibility,
                stood=known.stood,
            )
            if said[key] is not None:
                raise NotAllowed(
                    f"The content of {_shown(known.stood[key])} may not be at {what}: {said[key]}",
                    advice="'branchline data rules' shows which rules hold",
                )

    def check_audience(self, standing: Standing, visibility: Visibility) -> None:
        """Refuse to show a project to more people than its rules let see what git keeps of it.

        Args:
            standing: The hosted project.
            visibility: Who is to read it.

        Raises:
            NotAllowed: A file of it is not for all of them.
        """
        heads = self._repositories.heads(standing.hosted)
        tips = [f"{tip}^{{commit}}" for name, tip in heads.items() if name not in _ANNEX]
        if visibility == "private" or not tips:
            return
        git, rules = self._repositories.git(standing.hosted), self._look(standing).rules
        place = self.place_of(rules, standing)
        check_push(git, rules, place, tips, [], self._clock.now().date(), visibility)

    def is_named(self, standing: Standing, key: str) -> bool:
        """Tell whether any branch has, or ever had, a file with a content."""
        return key in self._look(standing).stood

    def _look(self, standing: Standing) -> _Known:
        heads = digest_of_heads(self._repositories.heads(standing.hosted))
        with self._working:
            known = self._known.get(standing.hosted)
            if known is None or known.heads != heads:
                git = self._repositories.git(standing.hosted)
                known = _Known(heads, rules_at(git, "HEAD"), paths_of_keys(git))
                if len(self._known) >= _KEPT:
                    self._known.pop(next(iter(self._known)))
                self._known[standing.hosted] = known
            return known


def rules_at(git: Git, commit: str) -> Rules:
    """Return the rules of data that a commit holds; none where it has no such file.

    Raises:
        Refused: They are not acceptable.
    """
    found = git.run("rev-parse", "--verify", "--quiet", f"{commit}:{FILE}", accept=(0, 1, 128))
    return read_rules(git.run("cat-file", "blob", found.decode().strip())) if found else Rules()


def _shown(paths: set[str]) -> str:
    return shown(min(paths))
