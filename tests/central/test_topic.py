"""Central's own topic has no gap, whatever fails in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.central.topic import OwnTopic
from branchline.ledger.topics import tag_of


class Ledger:
    """Tags that stand in a ledger."""

    def __init__(self) -> None:
        self.tags: set[str] = set()

    def present(self, tags: object) -> set[str]:
        """Tell which are there."""
        assert isinstance(tags, list)
        return self.tags & set(tags)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["kept", "failed", "crashed"]), max_size=60))
def test_numbers_are_dense(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """After failures, crashes and restarts the next acts fill what was left open."""
    ledger, file = Ledger(), tmp_path_factory.mktemp("keys") / "topic"
    topic = OwnTopic(file, ledger.present)
    for what in [*steps, *["kept"] * len(steps)]:
        number, tag = topic.take()
        if what == "kept":
            ledger.tags.add(tag)
        elif what == "failed":
            topic.give_back(number)
        else:
            topic = OwnTopic(file, ledger.present)
    secret, count = topic.counter.secret, len(ledger.tags)
    assert ledger.tags == {tag_of(secret, number) for number in range(count)}


def test_a_long_ledger_is_found_again(tmp_path: Path) -> None:
    """The end is found without asking for every number."""
    ledger, file = Ledger(), tmp_path / "topic"
    secret = OwnTopic(file, ledger.present).counter.secret
    for count in (0, 1, 2, 3, 255, 256, 5000):
        ledger.tags = {tag_of(secret, number) for number in range(count)}
        assert OwnTopic(file, ledger.present).take()[0] == count
