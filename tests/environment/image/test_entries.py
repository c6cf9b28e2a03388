"""Layers on top of each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.image.entries import (
    Entry,
    Layer,
    check_shape,
    difference,
    in_order,
    layer_record,
    parents,
    parse_layer,
    stacked,
    with_folders,
)
from branchline.foundation.digest import Digest
from branchline.foundation.errors import BranchlineError, Refused

NAMES = st.sampled_from(["a", "b", "a-b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def _tree(leaves: dict[str, str]) -> dict[str, Entry]:
    """Make a tree of leaves; one that lies below another takes its place."""
    kept = {
        path: kind for path, kind in leaves.items() if not any(o in parents(path) for o in leaves)
    }
    entries = [
        Entry(path, "link", target=kind)
        if kind == "link"
        else Entry(path, "folder", 0o700)
        if kind == "folder"
        else Entry(path, "file", 0o644, 1, (kind * 64)[:64])
        for path, kind in kept.items()
    ]
    return {entry.path: entry for entry in with_folders(entries)}


TREES = st.dictionaries(PATHS, st.sampled_from(["1", "2", "link", "folder"]), max_size=6).map(_tree)


@given(TREES, TREES)
def test_a_difference_makes_the_one_out_of_the_other(
    below: dict[str, Entry], above: dict[str, Entry]
) -> None:
    """Laying the difference on what is below gives exactly what is above."""
    layer = difference(below, above)
    assert stacked([in_order(below.values()), layer]) == stacked([in_order(above.values())])


@given(TREES)
def test_nothing_changed_is_an_empty_layer(tree: dict[str, Entry]) -> None:
    """A layer holds what differs, and nothing else."""
    assert difference(tree, tree) == ()


@given(TREES, TREES)
def test_every_path_of_a_difference_lies_in_folders_it_names(
    below: dict[str, Entry], above: dict[str, Entry]
) -> None:
    """Whoever unpacks a layer alone finds each folder before what is in it."""
    seen: set[str] = set()
    for entry in difference(below, above):
        assert all(parent in seen for parent in parents(entry.path))
        seen.add(entry.path)


@pytest.mark.parametrize(
    "entries",
    [
        [Entry("x", "link", target="/etc"), Entry("x/passwd", "file")],
        [Entry("x", "file"), Entry("x/y", "folder", 0o755)],
        [Entry("x/y", "file")],
        [Entry("..", "folder", 0o755), Entry("../x", "file")],
        [Entry("/etc", "folder", 0o755)],
        [Entry("a\0b", "file")],
    ],
    ids=["through a link", "in a file", "in nothing", "up", "absolute", "NUL"],
)
def test_a_path_that_leads_elsewhere_is_refused(entries: list[Entry]) -> None:
    """Nothing of an image is ever laid out outside of it."""
    with pytest.raises(Refused):
        check_shape({entry.path: entry for entry in entries})


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_in_a_record_is_noticed(at: int, bit: int) -> None:
    """A layer's record vouches for itself; only its title is for people."""
    entries = with_folders([Entry("usr/bin/x", "file", 0o755, 3, "ab" * 32)])
    layer = Layer(Digest("sha256:" + "0" * 64), 2048, "", entries)
    data = bytearray(layer_record(layer))
    data[at % len(data)] ^= 1 << bit
    try:
        read = parse_layer(bytes(data), layer.digest)
    except BranchlineError:
        return
    assert read.entries == layer.entries
