"""What a change of git-annex's own branch may say, and whose word it must be; pure.

The branch is what every clone believes: where copies are, which repositories are trusted, how many
copies there must be. Git-annex merges whatever it finds there. So the hub lets in only what is added
by whom it concerns: each line about a repository by the person whose it is, each line about the hub
itself only if it is true, and what decides over other people's copies by owners, or by nobody.

Source: git-annex's page "internals", section "the git-annex branch".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from branchline.foundation.errors import NotAllowed, Refused
from branchline.journey.acts import Role
from branchline.project.git.keys import is_key, key_of_file, place_of
from branchline.project.names import shown

AHEAD = 300.0
"""Seconds that a line's time may lie before the hub's own: a later line always wins."""

_UUID = re.compile(r"^[0-9a-zA-Z-]{8,64}$")
_TIME = re.compile(r"^([0-9]{1,11}(?:\.[0-9]{1,12})?)s$")
_STAMP = re.compile(r" timestamp=([0-9]{1,11}(?:\.[0-9]{1,12})?)s$")
_HASHED = re.compile(r"^[0-9a-f]{3}/[0-9a-f]{3}/(?P<key>[^/]+)$")
_PLACE_STATES = ("0", "1", "X")
_LONGEST = 1 << 20

# One line for each repository, which begins with its name.
_PER_REPOSITORY = frozenset((
    *("uuid.log", "trust.log", "group.log", "preferred-content.log", "required-content.log"),
    *("activity.log", "difference.log", "multicast.log", "schedule.log", "maxsize.log"),
    *("remote.log", "proxy.log", "cluster.log"),
))  # fmt: skip
_OWNERS_ONLY = frozenset((
    *("numcopies.log", "mincopies.log", "config.log", "group-preferred-content.log"),
    *("remote.log", "schedule.log", "cluster.log", "proxy.log"),
))  # fmt: skip
_FORGETTING = "transitions.log"
_ADDED_ONLY = (".log.met", ".log.web")
_OF_A_REPOSITORY = (".log.rmt", ".log.cid", ".log.cnk", ".log.rmet")
_EVERYWHERE = frozenset(f"00000000-0000-0000-0000-00000000000{number}" for number in "12")
"""What git-annex calls the web and BitTorrent: remotes that everybody has."""
_FORGED = "What git-annex's branch says is believed by every clone"


@dataclass(frozen=True)
class Edit:
    """One file of the branch that a push changes.

    Args:
        path: Its name.
        old: What it held; empty for a new one.
        new: What it is to hold; None for one that is to go.
    """

    path: str
    old: bytes
    new: bytes | None


@dataclass(frozen=True)
class Judge:
    """Judges changes of the branch by one person.

    Args:
        party: Who pushes.
        role: What he may do.
        hub: The hub's own name among the repositories.
        clones: Whose the repositories are that were told of before.
        present: Tells whether the hub has a content.
        now: The hub's time, in seconds since 1970.
        first: Whether nothing was there before: the owner brings what he has.
        vouched: Gives the lines of a file that another hosted project, of which this is a copy, has
            taken in already.
    """

    party: str
    role: Role
    hub: str
    clones: Mapping[str, str]
    present: Callable[[str], bool]
    now: float
    first: bool = False
    vouched: Callable[[str], Collection[str]] = lambda path: ()
    claimed: set[str] = field(default_factory=set)

    def check(self, edits: Iterable[Edit]) -> list[str]:
        """Return the repositories that are told of for the first time: they are this person's.

        Raises:
            NotAllowed: A line is not this person's to write, or not true.
            Refused: A file is none of git-annex's, or malformed.
        """
        first = (_FORGETTING, "uuid.log")
        every = sorted(edits, key=lambda edit: (edit.path not in first, edit.path))
        for edit in every:
            if edit.new is None:
                raise NotAllowed(
                    f"{shown(edit.path)} would be taken from git-annex's branch",
                    advice=f"{_FORGED}; nothing on it is removed",
                )
            if len(edit.new) > _LONGEST:
                raise Refused(f"{shown(edit.path)} on git-annex's branch is too large")
            self._check_file(
                edit.path, lines_of(edit.old, edit.path), lines_of(edit.new, edit.path)
            )
        return sorted(self.claimed)

    def _check_file(self, path: str, old: list[str], new: list[str]) -> None:
        before, after = set(old), set(new)
        added = [line for line in new if line not in before]
        removed = [line for line in old if line not in after]
        if added:
            vouched = set(self.vouched(path))
            added = [line for line in added if line not in vouched]
        found = _HASHED.match(path)
        if path == _FORGETTING:
            raise NotAllowed(
                "History of git-annex's branch would be forgotten ('git annex forget')",
                advice="The hub keeps it: it is evidence",
            )
        if path in _OWNERS_ONLY and self.role != "own" and (added or removed):
            raise NotAllowed(
                f"{path} on git-annex's branch says what holds for everybody; {self.party} "
                "does not own the project",
                advice="Ask an owner to set it, and to push",
            )
        if path in ("numcopies.log", "mincopies.log"):
            self._check_copies(path, added)
        elif path in ("config.log", "group-preferred-content.log"):
            self._check_stamps(path, added)
        elif path in _PER_REPOSITORY:
            self._check_repositories(path, added, removed, new)
        elif found is not None:
            self._check_hashed(path, found["key"], added, removed, new)
        else:
            raise Refused(
                f"{shown(path)} is no file of git-annex's branch that is known here",
                advice="What cannot be judged is not taken in",
            )

    # For everybody

    def _check_copies(self, path: str, added: list[str]) -> None:
        for line in added:
            time, _, number = line.partition(" ")
            self._check_time(path, time)
            if not number.isdecimal() or int(number) < 1:
                raise NotAllowed(
                    f"{path} on git-annex's branch would ask for {shown(number)} copies",
                    advice="At least one copy is kept of everything",
                )

    def _check_stamps(self, path: str, added: list[str]) -> None:
        for line in added:
            first = line.partition(" ")[0]
            if _TIME.match(first):
                self._check_time(path, first)

    # About repositories

    def _check_repositories(
        self, path: str, added: list[str], removed: list[str], new: list[str]
    ) -> None:
        for line in added:
            uuid = line.partition(" ")[0]
            stamp = _STAMP.search(line)
            if not _UUID.match(uuid):
                raise Refused(f"{path} on git-annex's branch is malformed")
            if stamp is not None:
                self._check_time(path, f"{stamp[1]}s")
            if path == "uuid.log":
                self._claim(uuid)
            if path != "uuid.log" or uuid != self.hub:
                # git-annex itself writes down what a clone calls the hub: a mere label.
                self._check_own(path, uuid)
            word = _STAMP.sub("", line).partition(" ")[2].strip()
            if path == "trust.log" and word == "1":
                raise NotAllowed(
                    f"git-annex would trust the repository {uuid} unseen",
                    advice="Its copy would count without being there, and the last one could go; "
                    "no repository is trusted here",
                )
            if path == "remote.log" and _enables_itself(word):
                raise NotAllowed(
                    f"The special remote {uuid} would set itself up in every clone",
                    advice="Configure it with autoenable=false",
                )
        self._check_kept(path, _latest(removed, _of_repository), _latest(new, _of_repository))

    def _claim(self, uuid: str) -> None:
        if uuid != self.hub and uuid not in self.clones:
            self.claimed.add(uuid)

    def _check_own(self, path: str, uuid: str) -> None:
        if uuid == self.hub:
            raise NotAllowed(
                f"{shown(path)} on git-annex's branch speaks for the hub",
                advice="The hub's own is the hub's to say",
            )
        if self.first:
            self._claim(uuid)
        owner = self.clones.get(uuid) or (self.party if uuid in self.claimed else None)
        if owner == self.party:
            return
        whose = f"is {owner}'s" if owner else "was never told of here"
        raise NotAllowed(
            f"{shown(path)} on git-annex's branch speaks for the repository {uuid}, which {whose}",
            advice="Everybody pushes what his own clones have; fetch, and 'git annex merge', first",
        )

    # About contents

    def _check_hashed(
        self, path: str, name: str, added: list[str], removed: list[str], new: list[str]
    ) -> None:
        if name.endswith(".log"):
            key = key_of_file(name.removesuffix(".log"))
            if not is_key(name.removesuffix(".log")) or place_of(key) != path[:7]:
                raise Refused(f"{shown(path)} on git-annex's branch stands in a wrong place")
            for line in added:
                self._check_location(path, key, line)
            self._check_kept(path, _latest(removed, _of_content), _latest(new, _of_content))
        elif name.endswith(_ADDED_ONLY):
            for line in added:
                self._check_time(path, line.partition(" ")[0])
        elif name.endswith(_OF_A_REPOSITORY):
            for line in added:
                time, _, rest = line.partition(" ")
                self._check_time(path, time)
                self._check_own(path, rest.partition(" ")[0].partition(":")[0])
        else:
            raise Refused(
                f"{shown(path)} is no file of git-annex's branch that is known here",
                advice="What cannot be judged is not taken in",
            )

    def _check_location(self, path: str, key: str, line: str) -> None:
        words = line.split(" ")
        if len(words) != 3 or words[1] not in _PLACE_STATES or not _UUID.match(words[2]):
            raise Refused(f"{shown(path)} on git-annex's branch is malformed")
        self._check_time(path, words[0])
        state, uuid = words[1], words[2]
        if uuid in _EVERYWHERE:
            return
        if uuid != self.hub:
            self._check_own(path, uuid)
        elif (state == "1") != self.present(key):
            told, true = ("has", "has not") if state == "1" else ("has not", "has")
            raise NotAllowed(
                f"git-annex's branch would say that the hub {told} the content {shown(key)}, "
                f"which it {true}",
                advice="Bring the content with 'git annex copy --to hub', or ask for it with "
                "'git annex fsck --fast --from hub'",
            )

    # About time and history

    def _check_time(self, path: str, word: str) -> None:
        found = _TIME.match(word)
        if found is None:
            raise Refused(f"{shown(path)} on git-annex's branch is malformed")
        if float(found[1]) > self.now + AHEAD:
            raise NotAllowed(
                f"{shown(path)} on git-annex's branch is dated in the future, and would win over "
                "whatever is said until then",
                advice="Set this machine's clock",
            )

    def _check_kept(self, path: str, gone: Mapping[str, float], said: Mapping[str, float]) -> None:
        """Refuse to lose what was said of a repository; only a later word may take its place."""
        for uuid, time in gone.items():
            if said.get(uuid, -1.0) < time:
                raise NotAllowed(
                    f"What {shown(path)} on git-annex's branch says of the repository {uuid} "
                    "would be gone",
                    advice="Fetch, 'git annex merge', and push again",
                )


def _of_content(line: str) -> tuple[str, float]:
    words = line.split(" ")
    time = _TIME.match(words[0])
    return words[-1], float(time[1]) if time else 0.0


def _of_repository(line: str) -> tuple[str, float]:
    stamp = _STAMP.search(line)
    return line.partition(" ")[0], float(stamp[1]) if stamp else 0.0


def _latest(lines: Iterable[str], read: Callable[[str], tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for uuid, time in map(read, lines):
        found[uuid] = max(time, found.get(uuid, 0.0))
    return found


def lines_of(text: bytes, path: str) -> list[str]:
    """Return the lines of a file of the branch.

    Raises:
        Refused: They are no text.
    """
    try:
        return [line for line in text.decode().split("\n") if line]
    except UnicodeDecodeError as error:
        if path.endswith(_ADDED_ONLY) or path in ("uuid.log", "remote.log"):
            return [line for line in text.decode("utf-8", "backslashreplace").split("\n") if line]
        raise Refused(f"{shown(path)} on git-annex's branch is malformed") from error


def _enables_itself(words: str) -> bool:
    for word in words.split():
        name, _, value = word.partition("=")
        if name == "autoenable" and value.lower() not in ("false", "no", "0", "off", ""):
            return True
    return False
