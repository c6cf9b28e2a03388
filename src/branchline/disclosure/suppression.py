"""Leave out small cells, and enough others that nobody can compute the small ones.

The table is a dense array with one axis per dimension; a total over a dimension is one more label
on its axis. Totals are sums, so along every axis the cells minus the total are zero. Take one
other label per dimension: the 2^d corners of that box can all move by the same amount, up or down
in turn, and every total stays as it was. A suppressed cell that is a corner of a box of suppressed
cells therefore has more than one possible value, whatever totals are known (the hypercube method:
Giessing and Repsilber, 2002). The room to move is at least as wide as what the minimum group itself
says about a small cell.

Totals are not left out for an inner cell's sake, and those that are not small are taken as known
to an attacker, whether this table shows them or not: another output or another journey may.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cells:
    """Hold a table of counts as a dense array.

    Args:
        counts: Number of records per cell, totals included; 0 where absent.
        present: Cells the table has.
        totals: Per axis, the index of its total label, or None.
    """

    counts: Counts
    present: Mask
    totals: tuple[int | None, ...]


def suppress(cells: Cells, primary: Mask, *, min_group: int, lowest: int) -> Mask:
    """Return which cells to leave out: the primary ones and those that protect them.

    Args:
        cells: The table.
        primary: Cells that must not be shown.
        min_group: A cell smaller than this is small; the room to move is one less.
        lowest: What an attacker knows any left-out cell to be at least: 1 if empty cells are
            shown, else 0.

    Returns:
        A mask that includes ``primary``; the whole table if no smaller choice protects it.
    """
    if not primary.any():
        return primary
    axis = _single_label_axis(cells)
    if axis is not None:
        return _suppress_without(axis, cells, primary, min_group=min_group, lowest=lowest)
    out: Mask = primary.copy()
    for cell in sorted(zip(*primary.nonzero(), strict=True), key=lambda at: _rank(cells, at)):
        box = _cheapest_box(cells, out, cell, room=min_group - 1, lowest=lowest)
        if box is None:
            return cells.present.copy()
        for corner in box:
            out[corner] = True
    return out


def _rank(cells: Cells, cell: tuple[Any, ...]) -> tuple[int, int]:
    # Small totals first: the boxes that guard them guard small cells below them, too.
    return -sum(i == t for i, t in zip(cell, cells.totals, strict=True)), int(cells.counts[cell])


def totals_hold(cells: Cells) -> bool:
    """Tell whether every total that is present is the sum of its cells."""
    for axis, total in enumerate(cells.totals):
        if total is None:
            continue
        inner = cells.counts.sum(axis=axis) - cells.counts.take(total, axis=axis)
        shown = cells.present.take(total, axis=axis)
        if (inner != cells.counts.take(total, axis=axis))[shown].any():
            return False
    return True


def inner_total(cells: Cells, axis: int | None = None) -> Counts:
    """Sum the cells that are not totals: all of them, or per label of one axis."""
    inner = cells.counts
    for at, total in enumerate(cells.totals):
        if total is not None:
            kept = [i for i in range(inner.shape[at]) if i != total]
            inner = inner.take(kept, axis=at)
    others = tuple(a for a in range(inner.ndim) if a != axis)
    summed: Counts = inner.sum(axis=others)
    return summed


def _single_label_axis(cells: Cells) -> int | None:
    for axis, (size, total) in enumerate(zip(cells.counts.shape, cells.totals, strict=True)):
        if size - (total is not None) == 1:
            return axis
    return None


def _suppress_without(
    axis: int, cells: Cells, primary: Mask, *, min_group: int, lowest: int
) -> Mask:
    # With one label on an axis its total repeats the cell: both go or both stay.
    import numpy as np

    label = next(i for i in range(cells.counts.shape[axis]) if i != cells.totals[axis])
    totals = cells.totals[:axis] + cells.totals[axis + 1 :]
    out = np.asarray(primary.any(axis))
    if totals:
        present = np.asarray(cells.present.any(axis))
        rest = Cells(np.asarray(cells.counts.take(label, axis)), present, totals)
        out = suppress(rest, out, min_group=min_group, lowest=lowest)
    return np.expand_dims(out, axis) & cells.present


def _cheapest_box(
    cells: Cells, out: Mask, cell: tuple[Any, ...], *, room: int, lowest: int
) -> list[tuple[int, ...]] | None:
    """Find the box with enough room that leaves out the fewest further cells, then the smallest."""
    import numpy as np

    shape, most = cells.counts.shape, np.iinfo(np.int64).max // 4
    allowed = _others(cells, cell)
    usable = cells.present & (cells.counts >= lowest)
    price = np.where(out, 0, cells.counts + int(cells.counts.sum()) + 1)
    cost = np.zeros(shape, dtype=np.int64)
    up, down = np.full(shape, most), np.full(shape, most)
    to_total = [_is_total(cells, axis) for axis in range(len(shape))]
    for flips in product((False, True), repeat=len(shape)):
        at = tuple(slice(None) if f else slice(i, i + 1) for f, i in zip(flips, cell, strict=True))
        turned = np.zeros(shape, dtype=bool)
        fresh = np.zeros(shape, dtype=bool)
        for axis in range(len(shape)):
            if flips[axis]:
                # A step to or from a total turns the sign twice: cell and total move together.
                turned ^= ~to_total[axis] & (cell[axis] != cells.totals[axis])
                fresh |= to_total[axis]
        cost += price[at]
        allowed &= usable[at] & (out[at] | ~fresh)
        slack = cells.counts[at] - lowest
        up = np.where(turned, np.minimum(up, slack), up)
        down = np.where(turned, down, np.minimum(down, slack))
    allowed &= up + down >= room
    if not allowed.any():
        return None
    best = np.unravel_index(int(np.where(allowed, cost, most).argmin()), shape)
    return list(product(*((int(i), int(j)) for i, j in zip(cell, best, strict=True))))


def _others(cells: Cells, cell: tuple[Any, ...]) -> Mask:
    """Mark the cells that differ from one cell in every dimension."""
    import numpy as np

    others = np.ones(cells.counts.shape, dtype=bool)
    for axis, own in enumerate(cell):
        line = np.arange(cells.counts.shape[axis]) != own
        others &= line.reshape([-1 if a == axis else 1 for a in range(others.ndim)])
    return others


def _is_total(cells: Cells, axis: int) -> Mask:
    import numpy as np

    total = -1 if cells.totals[axis] is None else cells.totals[axis]
    line: Mask = np.arange(cells.counts.shape[axis]) == total
    return line.reshape([-1 if a == axis else 1 for a in range(cells.counts.ndim)])
