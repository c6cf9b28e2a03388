"""Bring numbers into one spelling, so that no bit says more than its number does.

A double has 2^53 ways to write NaN and two to write zero. Those spare bits could carry records past
every check, so they are set to the one usual spelling. Subnormal numbers are left as they are:
they are numbers like any other and are counted as such.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 1 << 15
"""Numbers looked at in one go: 256 KiB, which stays in a core's own cache."""


def plain_float(number: float) -> float:
    """Return the number with the usual NaN and without a negative zero."""
    return math.nan if number != number else number + 0.0


def chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield an array's numbers in order, in pieces that fit a cache, without copying."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        yield flat[start : start + CHUNK]


def plain_array(
    array: NDArray[Any], look: Callable[[NDArray[Any]], None] | None = None
) -> tuple[NDArray[Any], bool]:
    """Return a floating array in its usual spelling, and whether that changed anything.

    Args:
        array: Any numeric array in C order; integers pass as they are.
        look: Called with each piece in turn, so that large arrays are read once only.
    """
    floating = array.dtype.kind == "f"
    odd = False
    for piece in chunks(array):
        odd = odd or (floating and _has_spare_bits(piece))
        if look is not None:
            look(piece)
    return (_respelled(array), True) if odd else (array, False)


def _has_spare_bits(piece: NDArray[Any]) -> bool:
    # The smallest signed integer has exactly the bits of a negative zero. A sum of squares is NaN
    # only if a term is, and costs a fraction of looking at each number.
    import numpy as np

    signed = np.int64 if piece.dtype.itemsize == 8 else np.int32
    bits: NDArray[Any] = piece.view(signed)
    if int(bits.min()) == np.iinfo(signed).min:
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = bool(np.isnan(np.dot(piece, piece)))
    if not suspicious:
        return False
    usual = np.array(np.nan, dtype=piece.dtype).view(signed)
    return bool(((piece != piece) & (bits != usual)).any())


def _respelled(array: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    with np.errstate(invalid="ignore"):
        made: NDArray[Any] = array + array.dtype.type(0)
    made[made != made] = np.nan
    return made


def mirrored(matrix: NDArray[Any]) -> NDArray[Any] | None:
    """Return a square matrix with its lower half copied from the upper; None if not symmetric.

    Sums of products come out symmetric but for the last bits. The copy keeps the lower half from
    holding anything of its own.
    """
    import numpy as np

    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] < 2:
        return None
    # The first row against the first column tells most other matrices at once.
    for row, column in ((matrix[0], matrix[:, 0]), (matrix, matrix.T)):
        if np.array_equal(row, column):
            continue
        scale = float(np.abs(matrix).max())
        if not math.isfinite(scale) or not np.allclose(row, column, rtol=0, atol=1e-8 * scale):
            return None
    if np.array_equal(matrix, matrix.T):
        return matrix
    upper = np.triu(matrix)
    made: NDArray[Any] = upper + np.triu(matrix, 1).T
    return made
