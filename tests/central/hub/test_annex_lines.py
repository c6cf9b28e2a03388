"""What git-annex's branch may say, as a pure rule: whatever is forged, only one's own word comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.central.hub.annex_lines import (
    AHEAD,
    Edit,
    Judge,
)
from branchline.foundation.errors import BranchlineError, NotAllowed, Refused
from branchline.project.git.keys import file_of_key, key_of_file, place_of

NOW = 1_800_000_000.0
HUB, MINE, HERS, NEW = (f"{n}0000000-0000-4000-8000-000000000000" for n in "abcd")
KEY = f"SHA256E-s4--{'1' * 64}.bin"
LOG = f"{place_of(KEY)}/{KEY}.log"

times = st.one_of(st.floats(0, 2 * NOW), st.just(NOW), st.just(NOW + AHEAD + 1)).map(
    "{:.6f}s".format
)
uuids = st.sampled_from([HUB, MINE, HERS, NEW, "not a uuid", ""])
states = st.sampled_from(["0", "1", "X", "2", ""])
locations = st.builds("{} {} {}".format, times, states, uuids)
about = st.builds("{} {} timestamp={}".format, uuids, st.sampled_from(["1", "?", "X", "x"]), times)
files = st.sampled_from(
    ["uuid.log", "trust.log", "group.log", "numcopies.log", "transitions.log", "x.log", LOG]
)


def judge(role: str = "write", *, present: bool = True) -> Judge:
    """Return the judge of a writer, who is known for one repository."""
    return Judge(
        party="ben",
        role=role,  # type: ignore[arg-type]
        hub=HUB,
        clones={MINE: "ben", HERS: "clara"},
        present=lambda key: present and key == KEY,
        now=NOW,
    )


def lines(text: bytes | None) -> set[str]:
    """Return the lines of a file."""
    return set((text or b"").decode().split("\n")) - {""}


@given(
    st.dictionaries(files, st.lists(st.one_of(locations, about), max_size=3), max_size=4),
    st.dictionaries(files, st.lists(st.one_of(locations, about), max_size=3), max_size=4),
    st.booleans(),
)
def test_whatever_comes_in_is_ones_own_word(
    old: dict[str, list[str]], new: dict[str, list[str]], present: bool
) -> None:
    """No line about another's repository, no trust, nothing of the future, no untruth of the hub."""

    def text(of: dict[str, list[str]], path: str) -> bytes:
        return "".join(f"{line}\n" for line in of.get(path, [])).encode()

    edits = [Edit(path, text(old, path), text(new, path)) for path in new]
    try:
        claimed = judge(present=present).check(edits)
    except BranchlineError:
        return
    assert set(claimed) <= {NEW}
    for edit in edits:
        added = lines(edit.new) - lines(edit.old)
        assert not added or edit.path not in ("numcopies.log", "transitions.log", "x.log")
        for line in added:
            words = line.split(" ")
            uuid = words[-1] if edit.path == LOG else words[0]
            word = words[1]
            assert uuid in ({MINE, HUB} if edit.path in (LOG, "uuid.log") else {MINE}) or (
                uuid == NEW and NEW in claimed
            )
            assert (edit.path, word) != ("trust.log", "1")
            time = float((words[0] if edit.path == LOG else words[-1][10:])[:-1])
            assert time <= NOW + AHEAD
            if uuid == HUB and edit.path == LOG:
                assert (word == "1") == present
        for gone in lines(edit.old) - lines(edit.new):
            at = -1 if edit.path == LOG else 0
            assert gone.split(" ")[at] in {line.split(" ")[at] for line in lines(edit.new)}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_a_key_is_the_same_after_it_was_a_file_name(key: str) -> None:
    """Git-annex's escapes are undone as they were done."""
    name = file_of_key(key)
    assert "/" not in name
    assert key_of_file(name) == key


def test_an_older_word_does_not_take_a_later_ones_place() -> None:
    """Of two lines about one repository the later one counts, and stays."""
    old = f"100s 0 {HERS}\n200s 1 {HERS}\n".encode()
    with pytest.raises(NotAllowed, match="would be gone"):
        judge().check([Edit(LOG, old, f"100s 0 {HERS}\n".encode())])
    assert judge().check([Edit(LOG, old, f"200s 1 {HERS}\n".encode())]) == []


def test_what_the_original_took_in_is_taken_in_by_its_copy() -> None:
    """Lines that another hub project vouches for are nobody's forgery; others still are."""
    line = f"150s 1 {HERS}"
    copy = Judge("ben", "write", HUB, {}, lambda key: False, NOW, vouched=lambda path: [line])
    assert copy.check([Edit(LOG, b"", f"{line}\n".encode())]) == []
    with pytest.raises(NotAllowed, match="never told of"):
        copy.check([Edit(LOG, b"", f"160s 1 {HERS}\n".encode())])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"000/000/{KEY}.log", f"1s 1 {MINE}\n"),
        (LOG, f"1s 1 {MINE} more\n"),
        (LOG, f"never 1 {MINE}\n"),
        ("export.log", "x\n"),
        (LOG, "\udcff\n"),
        (LOG.replace(".log", ".log.new"), "x\n"),
    ],
)
def test_what_cannot_be_judged_is_not_taken_in(path: str, text: str) -> None:
    """Unknown files, wrong places and malformed lines are refused."""
    with pytest.raises(Refused):
        judge().check([Edit(path, b"", text.encode(errors="surrogateescape"))])
