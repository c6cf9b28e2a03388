"""Compare what a command wrote with what it wrote before: identical, equal in numbers, or different."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from branchline.foundation.decoding import decode_json

TOLERANCE = 1e-9
"""How far two numbers may differ, relative to the larger, where nothing else is said."""

_SHOWN = 40
_NPY = b"\x93NUMPY"


@dataclass(frozen=True)
class Verdict:
    """What a comparison of one file found.

    Args:
        path: The file.
        verdict: identical, equal (in numbers, within the tolerance), different, missing or extra.
        where: Where it differs first, and how.
    """

    path: str
    verdict: str
    where: str = ""

    @property
    def good(self) -> bool:
        """Whether the file came out as before."""
        return self.verdict in ("identical", "equal")

    def as_json(self) -> dict[str, str]:
        """Return it as plain JSON values."""
        known = {"path": self.path, "verdict": self.verdict}
        return {**known, "where": self.where} if self.where else known


def compare(path: str, before: bytes, after: bytes, tolerance: float = TOLERANCE) -> Verdict:
    """Compare two contents of one file.

    Args:
        path: The file; its ending says what it holds: csv, tsv, json, npy, parquet, or bytes.
        before: As it was recorded.
        after: As it came out now.
        tolerance: How far two numbers may differ, relative to the larger.
    """
    if before == after:
        return Verdict(path, "identical")
    reader = _READERS.get(path.rpartition(".")[2].lower())
    try:
        where = reader(before, after, tolerance) if reader else _bytes(before, after)
    except (ValueError, OSError, EOFError, MemoryError, RecursionError, csv.Error):
        # Not what its ending says.
        where = _bytes(before, after)
    return Verdict(path, "different", where) if where else Verdict(path, "equal")


def _csv(before: bytes, after: bytes, tolerance: float, mark: str = ",") -> str:
    rows = [
        csv.reader(io.StringIO(text.decode(), newline=""), delimiter=mark)
        for text in (before, after)
    ]
    heading: list[str] = []
    for number, (old, new) in enumerate(zip_longest(*rows), 1):
        if old is None or new is None:
            return f"row {number} is {'new' if old is None else 'gone'}"
        heading = heading or old
        if len(old) != len(new):
            return f"row {number} has {len(new)} columns, not {len(old)}"
        for at, (one, other) in enumerate(zip(old, new, strict=True)):
            if not _same_text(one, other, tolerance):
                name = heading[at] if number > 1 and at < len(heading) else str(at + 1)
                return f"row {number}, column {name[:_SHOWN]}: {_short(other)}, not {_short(one)}"
    return ""


def _tsv(before: bytes, after: bytes, tolerance: float) -> str:
    return _csv(before, after, tolerance, "\t")


def _json(before: bytes, after: bytes, tolerance: float) -> str:
    return _values(decode_json(before, object), decode_json(after, object), tolerance, "$")


def _values(one: Any, other: Any, tolerance: float, at: str) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one:
            if name not in other:
                return f"{at}.{name[:_SHOWN]} is gone"
        for name in other:
            if name not in one:
                return f"{at}.{name[:_SHOWN]} is new"
        found = (_values(one[n], other[n], tolerance, f"{at}.{n[:_SHOWN]}") for n in one)
        return next((where for where in found if where), "")
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{at} has {len(other)} items, not {len(one)}"
        pairs = enumerate(zip(one, other, strict=True))
        found = (_values(a, b, tolerance, f"{at}[{i}]") for i, (a, b) in pairs)
        return next((where for where in found if where), "")
    if _is_number(one) and _is_number(other) and _near(one, other, tolerance):
        return ""
    same = type(one) is type(other) and one == other
    return "" if same else f"{at}: {_short(str(other))}, not {_short(str(one))}"


def _npy(before: bytes, after: bytes, tolerance: float) -> str:
    import numpy as np

    if not before.startswith(_NPY) or not after.startswith(_NPY):
        raise ValueError("not npy")
    one, other = (np.load(io.BytesIO(data), allow_pickle=False) for data in (before, after))
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"{other.dtype}{list(other.shape)}, not {one.dtype}{list(one.shape)}"
    return _arrays(one, other, tolerance, "index")


def _arrays(one: Any, other: Any, tolerance: float, what: str) -> str:
    import numpy as np

    if one.dtype.kind in "fc":
        scale = np.maximum(np.abs(one), np.abs(other))
        with np.errstate(invalid="ignore"):
            same = (one == other) | (np.abs(one - other) <= tolerance * scale)
        same |= np.isnan(one) & np.isnan(other)
        same &= np.isfinite(one) == np.isfinite(other)
    else:
        same = one == other
    if np.all(same):
        return ""
    place = tuple(int(i) for i in np.argwhere(~np.atleast_1d(same))[0])
    old, new = np.atleast_1d(one)[place], np.atleast_1d(other)[place]
    told = place[0] if len(place) == 1 else list(place)
    return f"{what} {told}: {_short(str(new))}, not {_short(str(old))}"


def _parquet(before: bytes, after: bytes, tolerance: float) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        one, other = (pq.read_table(pa.BufferReader(data)) for data in (before, after))
    except pa.ArrowException as error:
        raise ValueError("not Parquet") from error
    if not one.schema.equals(other.schema):
        return f"columns {_short(str(other.schema.names))}, not {_short(str(one.schema.names))}"
    if one.num_rows != other.num_rows:
        return f"{other.num_rows} rows, not {one.num_rows}"
    for name in one.column_names:
        old, new = one[name], other[name]
        if old.equals(new):
            continue
        numbers = pa.types.is_floating(old.type) and old.null_count == new.null_count == 0
        if numbers and not _arrays(old.to_numpy(), new.to_numpy(), tolerance, "row"):
            continue
        pairs = enumerate(zip(old.to_pylist(), new.to_pylist(), strict=True))
        for row, (a, b) in pairs:
            if where := _values(a, b, tolerance, f"row {row}, column {name[:_SHOWN]}"):
                return where
    return ""


def _bytes(before: bytes, after: bytes) -> str:
    size = min(len(before), len(after))
    at = _first_difference(before[:size], after[:size])
    if _is_text(before) and _is_text(after):
        line = before.count(b"\n", 0, at) + 1
        old, new = (_line(text, at) for text in (before, after))
        return f"line {line}: {_short(new)}, not {_short(old)}"
    return f"byte {at}; {len(after)} bytes, not {len(before)}"


def _first_difference(one: bytes, other: bytes) -> int:
    """Return where two contents of one length differ first, by halving."""
    low, high = 0, len(one)
    while low < high:
        middle = (low + high) // 2
        if one[low : middle + 1] == other[low : middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low


def _line(text: bytes, at: int) -> str:
    begin = text.rfind(b"\n", 0, at) + 1
    end = text.find(b"\n", begin)
    return text[begin : end if end != -1 else None].decode(errors="replace")


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _same_text(one: str, other: str, tolerance: float) -> bool:
    if one == other:
        return True
    try:
        return _near(float(one), float(other), tolerance)
    except ValueError:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _near(one: float, other: float, tolerance: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=0.0)


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


_READERS = {"csv": _csv, "tsv": _tsv, "json": _json, "npy": _npy, "parquet": _parquet}
