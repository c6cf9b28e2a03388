"""Roots and proofs: the published vectors, and every proof for what it says and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.ledger.vectors import GROWTH, ROOTS, entries

from branchline.foundation.errors import Corrupt
from branchline.ledger.edge import Edge
from branchline.ledger.proof.merkle import (
    EMPTY_ROOT,
    check_growth,
    check_inclusion,
    growth_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    tree_root,
)
from branchline.ledger.proof.note import from_base64

SIZES = st.integers(1, 600)


def root_by_definition(hashes: Sequence[bytes]) -> bytes:
    """Compute a root by the recursive definition (RFC 9162 §2.1.1), the tests' oracle."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(root_by_definition(hashes[:split]), root_by_definition(hashes[split:]))


HASHES = [leaf_hash(leaf) for leaf in entries(600)]


def subtree(level: int, index: int) -> bytes:
    """Give the root of a complete subtree over the vectors' leaves."""
    return root_by_definition(HASHES[index << level : (index + 1) << level])


@pytest.mark.parametrize("size", sorted(ROOTS))
def test_roots_are_those_of_the_vectors(size: int) -> None:
    """The edge and the recursive definition give the roots that Go accepts."""
    hashes = [leaf_hash(leaf) for leaf in entries(size)]
    edge = Edge()
    edge.extend(hashes)
    assert edge.root() == root_by_definition(hashes) == from_base64(ROOTS[size])


@pytest.mark.parametrize("sizes", sorted(GROWTH))
def test_growth_paths_are_those_of_the_vectors(sizes: tuple[int, int]) -> None:
    """A growth path has the hashes of the vector, in its order."""
    assert growth_path(subtree, *sizes) == tuple(map(from_base64, GROWTH[sizes]))


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    """Size 0 has the root SHA256 of no bytes, however it is computed."""
    assert Edge().root() == tree_root(subtree, 0) == EMPTY_ROOT


@given(size=SIZES, data=st.data())
def test_every_leaf_has_a_path_to_the_root(size: int, data: st.DataObject) -> None:
    """The path made for any leaf of any tree checks against that tree's root."""
    index = data.draw(st.integers(0, size - 1))
    root = root_by_definition(HASHES[:size])
    assert tree_root(subtree, size) == root
    check_inclusion(HASHES[index], index, size, inclusion_path(subtree, index, size), root)


@given(old=SIZES, new=SIZES)
def test_every_tree_grows_out_of_every_smaller_one(old: int, new: int) -> None:
    """The growth path between any two sizes checks against both roots."""
    old, new = sorted((old, new))
    old_root, new_root = root_by_definition(HASHES[:old]), root_by_definition(HASHES[:new])
    check_growth(old, new, old_root, new_root, growth_path(subtree, old, new))


def mutated(path: tuple[bytes, ...], data: st.DataObject) -> tuple[bytes, ...]:
    """Drop, double, add, swap or flip something in a path; never return it unchanged."""
    hashes = list(path)
    if not hashes:
        return (data.draw(st.binary(min_size=32, max_size=32)),)
    at = data.draw(st.integers(0, len(hashes) - 1))
    match data.draw(st.sampled_from(["drop", "double", "append", "swap", "flip"])):
        case "drop":
            del hashes[at]
        case "double":
            hashes.insert(at, hashes[at])
        case "append":
            hashes.append(data.draw(st.binary(min_size=32, max_size=32)))
        case "swap":
            hashes[at], hashes[0] = hashes[0], hashes[at]
        case _:
            bit = data.draw(st.integers(0, 255))
            flipped = bytearray(hashes[at])
            flipped[bit // 8] ^= 1 << bit % 8
            hashes[at] = bytes(flipped)
    assume(tuple(hashes) != path)
    return tuple(hashes)


@given(size=SIZES, data=st.data())
def test_a_mutated_inclusion_proof_is_refused(size: int, data: st.DataObject) -> None:
    """No change of path, position, size or leaf leaves an inclusion proof standing."""
    index = data.draw(st.integers(0, size - 1))
    root = root_by_definition(HASHES[:size])
    path = inclusion_path(subtree, index, size)
    other = data.draw(st.integers(-2, 700).filter(lambda number: number != index))
    with pytest.raises(Corrupt):
        check_inclusion(HASHES[index], index, size, mutated(path, data), root)
    with pytest.raises(Corrupt):
        check_inclusion(HASHES[index], other, size, path, root)
    with pytest.raises(Corrupt):
        check_inclusion(HASHES[(index + 1) % 600], index, size, path, root)


@given(old=SIZES, new=SIZES, data=st.data())
def test_a_mutated_growth_proof_is_refused(old: int, new: int, data: st.DataObject) -> None:
    """No change of path or of either root leaves a growth proof standing."""
    old, new = sorted((old, new))
    old_root, new_root = root_by_definition(HASHES[:old]), root_by_definition(HASHES[:new])
    path = growth_path(subtree, old, new)
    with pytest.raises(Corrupt):
        check_growth(old, new, old_root, new_root, mutated(path, data))
    with pytest.raises(Corrupt):
        check_growth(old, new, EMPTY_ROOT, new_root, path)
    with pytest.raises(Corrupt):
        check_growth(old, new, old_root, EMPTY_ROOT, path)


@settings(max_examples=40)
@given(new=SIZES, changed=st.integers(0, 599))
def test_a_rewritten_past_is_no_growth(new: int, changed: int) -> None:
    """A tree in which one old leaf differs is never accepted as a continuation."""
    assume(changed < new)
    old_root = root_by_definition(HASHES[:new])
    forged = [*HASHES[:changed], leaf_hash(b"forged"), *HASHES[changed + 1 :]]

    def forged_subtree(level: int, index: int) -> bytes:
        return root_by_definition(forged[index << level : (index + 1) << level])

    path = growth_path(forged_subtree, new, 600)
    with pytest.raises(Corrupt):
        check_growth(new, 600, old_root, root_by_definition(forged), path)


@pytest.mark.parametrize(("old", "new"), [(0, 5), (-1, 5), (6, 5), (0, 0)])
def test_growth_from_nothing_proves_nothing(old: int, new: int) -> None:
    """A proof from size 0, a negative size or a larger one is refused."""
    with pytest.raises(Corrupt):
        check_growth(old, new, EMPTY_ROOT, EMPTY_ROOT, ())


@given(first=st.integers(0, 600), second=st.integers(0, 600))
def test_an_edge_grows_the_same_in_any_steps(first: int, second: int) -> None:
    """Adding leaves in two steps gives the same root as adding them in one."""
    first, second = sorted((first, second))
    edge = Edge()
    edge.extend(HASHES[:first])
    before = edge.root()
    later = edge.copy()
    later.extend(HASHES[first:second])
    assert later.root() == root_by_definition(HASHES[:second])
    assert edge.root() == before == root_by_definition(HASHES[:first])


@pytest.mark.parametrize("index", [-1, 1, 5, 2**70])
def test_a_position_outside_the_tree_is_refused_as_such(index: int) -> None:
    """The sentence says that the position is outside, before anything is hashed."""
    with pytest.raises(Corrupt, match="is outside a ledger of 1 entries"):
        check_inclusion(HASHES[0], index, 1, (), HASHES[0])


def test_a_path_of_another_length_is_refused_as_such() -> None:
    """A path's length follows from position and size; another one is not hashed at all."""
    path = inclusion_path(subtree, 2, 5)
    root = root_by_definition(HASHES[:5])
    with pytest.raises(Corrupt, match="has 2 hashes; expected 3"):
        check_inclusion(HASHES[2], 2, 5, path[:-1], root)
