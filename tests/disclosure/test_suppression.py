"""What was left out of a table cannot be computed from what was left in."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog  # type: ignore[import-untyped]

from branchline.disclosure.suppression import Cells, inner_total, suppress, totals_hold

MINIMUM = 10


def ranges(cells: Cells, out: NDArray[np.bool_], lowest: int) -> list[tuple[float, float]]:
    """Attack a published table: return the possible range of every cell that was left out.

    The attacker knows all cells that are shown, every total over one dimension (shown in the table
    or published elsewhere), that cells left out are whole numbers and at least ``lowest``.
    Totals that the table has and leaves out are unknown to him, too.
    """
    unknown = [tuple(int(i) for i in at) for at in zip(*out.nonzero(), strict=True)]
    number = {at: i for i, at in enumerate(unknown)}
    lines: list[list[float]] = []
    sums: list[float] = []
    for axis, total in enumerate(cells.totals):
        others = [range(n) for a, n in enumerate(cells.counts.shape) if a != axis]
        for rest in product(*others):
            line, known, inner = [0.0] * len(unknown), 0.0, 0.0
            for i in range(cells.counts.shape[axis]):
                at = (*rest[:axis], i, *rest[axis:])
                sign = -1 if i == total else 1
                inner += int(cells.counts[at]) if i != total else 0
                if at in number:
                    line[number[at]] = sign
                else:
                    known += sign * int(cells.counts[at])
            shown = total is not None and cells.present[(*rest[:axis], total, *rest[axis:])]
            if any(line):
                lines.append(line)
                sums.append(-known if shown else inner - known)
    found = []
    for i in range(len(unknown)):
        goal = np.zeros(len(unknown))
        goal[i] = 1
        ends = []
        for sign in (1, -1):
            answer = linprog(
                sign * goal, A_eq=lines, b_eq=sums, bounds=(lowest, 10_000), method="highs"
            )
            assert answer.status == 0, "the true table is a solution"
            ends.append(sign * answer.fun)
        found.append((ends[0], ends[1]))
    return found


def with_totals(inner: NDArray[np.int64]) -> Cells:
    """Add the totals over every dimension as a last label."""
    full = inner
    for axis in range(inner.ndim):
        full = np.concatenate([full, full.sum(axis=axis, keepdims=True)], axis=axis)
    totals = tuple(n - 1 for n in full.shape)
    return Cells(full, np.ones(full.shape, dtype=bool), totals)


def without_totals(inner: NDArray[np.int64]) -> Cells:
    """Return the table as it is."""
    return Cells(inner, np.ones(inner.shape, dtype=bool), (None,) * inner.ndim)


def small(cells: Cells) -> NDArray[np.bool_]:
    """Return the cells that must not be shown."""
    return (cells.counts > 0) & (cells.counts < MINIMUM)


@st.composite
def tables(draw: st.DrawFn) -> Cells:
    """Draw tables of one to three dimensions, with and without totals, some cells small or empty."""
    shape = draw(st.sampled_from([(3,), (4,), (6,), (2, 3), (3, 3), (3, 4), (4, 5), (2, 3, 3)]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    inner = random.integers(10, 60, shape)
    odd = random.random(shape) < draw(st.sampled_from([0.05, 0.15, 0.4]))
    inner[odd] = random.integers(0, 12, shape)[odd]
    return with_totals(inner) if draw(st.booleans()) else without_totals(inner)


@given(tables())
@settings(max_examples=120, deadline=None)
def test_no_attacker_learns_more_than_the_rule_says(cells: Cells) -> None:
    """Whatever is left out keeps at least the room that "fewer than ten" leaves."""
    out = suppress(cells, small(cells), min_group=MINIMUM, lowest=1)
    assert (out >= small(cells)).all()
    if out.any() and not out.all():
        for low, high in ranges(cells, out, lowest=1):
            assert high - low >= MINIMUM - 1 - 1e-6


@given(tables())
@settings(max_examples=40, deadline=None)
def test_empty_cells_can_be_guarded_too(cells: Cells) -> None:
    """With empty cells suppressed as well, the same holds from zero up."""
    primary = cells.counts < MINIMUM
    out = suppress(cells, primary, min_group=MINIMUM, lowest=0)
    if out.any() and not out.all():
        for low, high in ranges(cells, out, lowest=0):
            assert high - low >= MINIMUM - 1 - 1e-6


@given(tables())
@settings(max_examples=60, deadline=None)
def test_a_table_without_small_cells_is_left_alone(cells: Cells) -> None:
    """Nothing is left out without need."""
    assume(not small(cells).any())
    assert not suppress(cells, small(cells), min_group=MINIMUM, lowest=1).any()


@pytest.mark.parametrize("build", [with_totals, without_totals])
def test_the_attack_works_where_only_small_cells_are_left_out(build: object) -> None:
    """The attacker of these tests is a real one: without the second step he computes the cell."""
    inner = np.array([[5, 30, 20], [40, 50, 60], [11, 25, 70]], dtype=np.int64)
    cells = with_totals(inner) if build is with_totals else without_totals(inner)
    only_small = small(cells)
    assert ranges(cells, only_small, lowest=1) == [(5.0, 5.0)]
    out = suppress(cells, only_small, min_group=MINIMUM, lowest=1)
    assert int(out.sum()) == 4
    assert all(high - low >= MINIMUM - 1 for low, high in ranges(cells, out, lowest=1))


@given(tables())
@settings(max_examples=60, deadline=None)
def test_a_lone_small_cell_needs_partners(cells: Cells) -> None:
    """Left out alone, a small cell is given away by any total it is part of."""
    assume(small(cells).sum() == 1)
    assert all(low == high for low, high in ranges(cells, small(cells), lowest=1))
    assert suppress(cells, small(cells), min_group=MINIMUM, lowest=1).sum() > 1


def test_two_ones_do_not_protect_each_other() -> None:
    """Two small cells whose sum gives both away need a third."""
    cells = without_totals(np.array([1, 1, 40, 30], dtype=np.int64))
    assert ranges(cells, small(cells), lowest=1) == [(1.0, 1.0), (1.0, 1.0)]
    out = suppress(cells, small(cells), min_group=MINIMUM, lowest=1)
    assert out.tolist() == [True, True, False, True]


def test_the_smallest_partner_is_taken() -> None:
    """Of the possible partners the one that costs least is left out."""
    cells = without_totals(np.array([3, 400, 12, 90], dtype=np.int64))
    assert suppress(cells, small(cells), min_group=MINIMUM, lowest=1).tolist() == [1, 0, 1, 0]


def test_a_table_that_cannot_be_protected_is_left_out_whole() -> None:
    """Two cells, one small, the other the only partner but too small itself."""
    cells = without_totals(np.array([2, 3], dtype=np.int64))
    assert suppress(cells, small(cells), min_group=MINIMUM, lowest=1).all()


def test_a_single_label_and_its_total_stand_or_fall_together() -> None:
    """Where a dimension has one label, its total repeats the cell."""
    cells = with_totals(np.array([[4, 20, 30]], dtype=np.int64))
    out = suppress(cells, small(cells), min_group=MINIMUM, lowest=1)
    assert (out[0] == out[1]).all()
    assert out[0].tolist() == [True, True, False, False]


@given(tables())
@settings(max_examples=40, deadline=None)
def test_totals_are_checked(cells: Cells) -> None:
    """True totals hold; any one total off by one does not."""
    assert totals_hold(cells)
    assert int(inner_total(cells)) == int(inner_total(cells, 0).sum())
    if cells.totals[0] is not None:
        cells.counts[(-1,) * cells.counts.ndim] += 1
        assert not totals_hold(cells)


def test_a_small_total_is_protected_with_its_cells() -> None:
    """A ward with four patients in all: neither the four nor their parts can be computed."""
    inner = np.array([[1, 2, 1], [30, 40, 50], [20, 30, 40]], dtype=np.int64)
    cells = with_totals(inner)
    out = suppress(cells, small(cells), min_group=MINIMUM, lowest=1)
    assert out[0].all()
    assert not out.all()
    assert all(high - low >= MINIMUM - 1 for low, high in ranges(cells, out, lowest=1))
