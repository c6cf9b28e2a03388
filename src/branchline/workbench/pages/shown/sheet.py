"""Tables of text: the first rows, as people read them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from branchline.workbench.pages.shown.terminal import plain

_ROWS, _COLUMNS, _CELL = 200, 60, 200
_MARKS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Sheet:
    """The beginning of a table.

    Args:
        columns: Its headings.
        rows: Its first rows.
        whole: Whether that is all.
        numeric: Of which columns every cell shown is a number, or empty.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    whole: bool
    numeric: tuple[bool, ...]


def sheet(text: str, *, whole: bool) -> Sheet | None:
    """Read the beginning of a table; None where there is none.

    Args:
        text: Its beginning; the last line may be cut off unless it is whole.
        whole: Whether it is all of it.
    """
    if not whole:
        text = text.rpartition("\n")[0]
    first = text.partition("\n")[0]
    mark = max(_MARKS, key=first.count)
    try:
        found: list[tuple[str, ...]] = []
        for row in csv.reader(io.StringIO(text), delimiter=mark):
            if len(found) > _ROWS:
                whole = False
                break
            found.append(tuple(plain(cell[:_CELL]) for cell in row[:_COLUMNS]))
            whole = whole and len(row) <= _COLUMNS
    except csv.Error:
        return None
    found = [row for row in found if row]
    if not found:
        return None
    width = max(map(len, found))
    rows = tuple(row + ("",) * (width - len(row)) for row in found[1 : _ROWS + 1])
    columns = found[0] + ("",) * (width - len(found[0]))
    numeric = tuple(bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(width))
    return Sheet(columns, rows, whole, numeric)


def _is_number(cell: str) -> bool:
    try:
        float(cell or "0")
    except ValueError:
        return cell in ("NA", "NaN", "null")
    return True
