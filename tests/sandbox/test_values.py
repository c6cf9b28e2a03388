"""The payload codec: what goes in comes out, and what did not come from it is refused."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from branchline.sandbox.inside.values import (
    Payload,
    PayloadError,
    decode_payload,
    encode_payload,
    prepare_payload,
)

LIMIT = 1 << 20
MARK = {b"branchline": b"payload/1"}

texts = st.text(max_size=20)
names = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=12
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=50),
)
arrays = st_numpy.arrays(
    dtype=st.sampled_from(
        ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", ">f8", ">i4"]
    ),
    shape=st_numpy.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4),
)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Draw a table of a few columns with nulls, sometimes a slice or in several chunks."""
    rows = draw(st.integers(0, 12))
    columns = {}
    for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        kind, values = draw(
            st.sampled_from(
                [
                    (pa.bool_(), st.booleans()),
                    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
                    (pa.uint8(), st.integers(0, 255)),
                    (pa.float64(), st.floats(allow_nan=False)),
                    (pa.string(), texts),
                ]
            )
        )
        drawn = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns[name] = pa.array(drawn, kind)
    table = pa.table(columns)
    cut = draw(st.integers(0, rows))
    pieces = [table.slice(0, cut), table.slice(cut)]
    return draw(st.sampled_from([table, table.slice(cut), pa.concat_tables(pieces)]))


payloads = st.dictionaries(names, scalars | arrays | tables(), max_size=5)


def decoded(data: bytes) -> Payload:
    """Decode with the tests' limit."""
    return decode_payload(data, max_bytes=LIMIT)


def same(left: Any, right: Any) -> bool:
    """Compare two values with their types."""
    if isinstance(left, np.ndarray):
        native = left.dtype.newbyteorder("=")
        return right.dtype == native and np.array_equal(
            left, right, equal_nan=left.dtype.kind == "f"
        )
    if isinstance(left, pa.Table):
        return bool(
            left.to_pydict() == right.to_pydict() and left.schema.types == right.schema.types
        )
    return type(left) is type(right) and left == right


@given(payloads)
def test_what_goes_in_comes_out(payload: Payload) -> None:
    """Every payload survives with its order, types and shapes, and encodes to the same bytes."""
    data = encode_payload(payload)
    found = decoded(data)
    assert list(found) == list(payload)
    assert all(same(payload[name], found[name]) for name in payload)
    assert encode_payload(found) == data


@given(payloads, st.data())
def test_a_damaged_payload_is_refused_or_canonical_again(payload: Payload, data: Any) -> None:
    """Flipped bytes end as PayloadError or as another valid payload, never otherwise."""
    good = bytearray(encode_payload(payload))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decoded(bytes(good))
    except PayloadError:
        return
    again = encode_payload(found)
    assert encode_payload(decoded(again)) == again


@given(st.binary(max_size=200), st.integers(0, 300))
def test_foreign_bytes_are_refused(junk: bytes, cut: int) -> None:
    """Junk, a truncated payload and one with something behind it are refused."""
    good = encode_payload({"x": np.arange(9), "t": {"a": ["u", "v"]}})
    for data in (junk, good[:cut], good + junk + b"\0"):
        with pytest.raises(PayloadError):
            decoded(data)


def stream(batch: pa.RecordBatch, **options: Any) -> bytes:
    """Write a batch as a stream, as a train with its own Arrow could."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def batch(column: pa.Array, mark: dict[bytes, bytes] | None = MARK) -> pa.RecordBatch:
    """Return a batch of one column."""
    return pa.record_batch([column], schema=pa.schema([("x", column.type)], metadata=mark))


def tensor(shape: list[int], items: int) -> pa.Array:
    """Return one array whose shape need not fit its items."""
    kind = pa.fixed_shape_tensor(pa.int8(), shape)
    storage = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(items, np.int8)), items)
    return pa.ExtensionArray.from_storage(kind, storage)


HOSTILE = {
    "compressed": lambda: stream(batch(pa.array(["0" * 99999])), compression="zstd"),
    "lz4": lambda: stream(batch(pa.array(["0" * 99999])), compression="lz4"),
    "old format": lambda: stream(batch(pa.array([1])), metadata_version=pa.ipc.MetadataVersion.V4),
    "legacy framing": lambda: stream(batch(pa.array([1])), use_legacy_format=True),
    "no mark": lambda: stream(batch(pa.array([1]), None)),
    "other mark": lambda: stream(batch(pa.array([1]), {b"branchline": b"payload/2"})),
    "two rows": lambda: stream(batch(pa.array([1, 2]))),
    "no row": lambda: stream(batch(pa.array([], pa.int64()))),
    "dictionary": lambda: stream(batch(pa.array(["a"]).dictionary_encode())),
    "timestamp": lambda: stream(batch(pa.array([1], pa.timestamp("s")))),
    "half": lambda: stream(batch(pa.array([np.float16(1)]))),
    "null number": lambda: stream(batch(pa.array([None], pa.int64()))),
    "list": lambda: stream(batch(pa.array([[1]]))),
    "nested": lambda: stream(batch(pa.array([[{"a": {"b": 1}}]]))),
    "nothing columns": lambda: stream(batch(pa.array([[{"a": None}]]))),
    "no columns": lambda: stream(batch(pa.array([[{}]], pa.list_(pa.struct([]))))),
    "same columns": lambda: stream(
        batch(
            pa.ListArray.from_arrays(
                pa.array([0, 1], pa.int32()),
                pa.StructArray.from_arrays([pa.array([1])] * 2, names=["a", "a"]),
            )
        )
    ),
    "unprintable name": lambda: stream(
        pa.record_batch([pa.array([1])], pa.schema([("a\nb", pa.int64())], metadata=MARK))
    ),
    "same names": lambda: stream(
        pa.record_batch([pa.array([1])] * 2, pa.schema([("a", pa.int64())] * 2, metadata=MARK))
    ),
    "null table": lambda: stream(batch(pa.array([None], pa.list_(pa.struct([("a", pa.int8())]))))),
    "hidden rows": lambda: encode_payload({"x": {"a": [1, 2]}}).replace(
        struct.pack("<ii", 0, 2), struct.pack("<ii", 1, 2)
    ),
    "permuted": lambda: stream(
        batch(
            pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.int8(), [2, 1], permutation=[1, 0]),
                tensor([2, 1], 2).storage,
            )
        )
    ),
    "invalid text": lambda: stream(
        batch(
            pa.Array.from_buffers(
                pa.string(),
                1,
                [None, pa.py_buffer(struct.pack("<ii", 0, 2)), pa.py_buffer(b"\xff\xfe")],
            )
        )
    ),
    "text beyond": lambda: stream(batch(pa.array(["ab"]))).replace(
        struct.pack("<ii", 0, 2), struct.pack("<ii", 0, 900)
    ),
    "negative offset": lambda: stream(batch(pa.array(["ab"]))).replace(
        struct.pack("<ii", 0, 2), struct.pack("<ii", -5, 2)
    ),
    "wrong shape": lambda: stream(batch(tensor([4], 4))).replace(b"[4]", b"[9]"),
    "endless rank": lambda: encode_payload({"x": 1}) * 2,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_what_the_encoder_would_not_write_is_refused(make: Any) -> None:
    """Arrow streams that are not payloads are refused, whatever Arrow thinks of them."""
    with pytest.raises(PayloadError):
        decoded(make())


def test_buffers_must_not_share_bytes() -> None:
    """Two arrays over the same bytes would count once and take twice."""
    good = encode_payload({"a": np.arange(64, dtype=np.int64), "b": np.ones(64, np.int64)})
    # The buffer list names (offset, length) pairs; the second array starts 512 bytes in.
    shared = good.replace(struct.pack("<qq", 512, 512), struct.pack("<qq", 0, 512))
    assert shared != good
    with pytest.raises(PayloadError, match="overlap"):
        decoded(shared)


def test_limits_hold() -> None:
    """More bytes or more names than allowed are refused before they are read."""
    data = encode_payload({"a": 1, "b": 2})
    with pytest.raises(PayloadError, match="allowed are 10"):
        decode_payload(data, max_bytes=10)
    with pytest.raises(PayloadError, match="at most 1"):
        decode_payload(data, max_bytes=LIMIT, max_fields=1)


def test_what_lies_under_a_null_never_travels() -> None:
    """Values hidden under nulls are gone from the bytes, so nothing rides along unseen."""
    hidden = pa.array(np.array([7, 1234567890123, 9]), mask=np.array([False, True, False]))
    validity = pa.py_buffer(b"\x05")
    offsets = pa.py_buffer(np.array([0, 1, 13, 14], np.int32))
    texts = pa.Array.from_buffers(
        pa.string(), 3, [validity, offsets, pa.py_buffer(b"aHIDDENSECRETb"[:14])]
    )
    data = encode_payload({"t": pa.table({"n": hidden, "s": texts})})
    assert struct.pack("<q", 1234567890123) not in data
    assert b"SECRET" not in data
    table = decoded(data)["t"]
    assert isinstance(table, pa.Table)
    assert table.to_pydict()["n"] == [7, None, 9]


def test_arrays_come_back_without_a_copy_and_read_only() -> None:
    """A decoded array points into the given bytes and cannot be written to."""
    data = encode_payload({"x": np.arange(1000.0)})
    array = decoded(data)["x"]
    assert isinstance(array, np.ndarray)
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))
    assert not array.flags.writeable


def test_pandas_values_become_tables() -> None:
    """Frames and series turn into tables; an index that says something becomes a column."""
    frame = pd.DataFrame({"v": [1.0, None], "c": pd.Categorical(["a", "b"])}, index=["i", "j"])
    series = pd.Series([3, 4], name="n")
    found = decoded(encode_payload({"frame": frame, "series": series}))
    assert isinstance(found["frame"], pa.Table)
    assert isinstance(found["series"], pa.Table)
    expected = {"index": ["i", "j"], "v": [1.0, None], "c": ["a", "b"]}
    assert found["frame"].to_pydict() == expected
    assert found["series"].to_pydict() == {"n": [3, 4]}


def test_plain_python_becomes_values() -> None:
    """Lists of numbers become arrays, dicts of lists tables, numpy scalars Python's."""
    given_values = {
        "list": [[1, 2], [3, 4]],
        "table": {"a": [1, None], "b": np.array(["x", "y"]), "c": [None, None], "d": [1, 2.5]},
        "scalar": np.float32(0.5),
        "flag": np.bool_(True),
        "point": np.array(3),
    }
    found = decoded(encode_payload(given_values))
    assert same(np.array([[1, 2], [3, 4]]), found["list"])
    assert (found["scalar"], found["flag"], found["point"]) == (0.5, True, 3)
    assert isinstance(found["table"], pa.Table)
    assert [str(kind) for kind in found["table"].schema.types] == [
        "int64",
        "string",
        "double",
        "double",
    ]


REFUSED: dict[str, Any] = {
    "not a dict": 3,
    "name": {1: 2},
    "empty name": {"": 1},
    "object": {"x": object()},
    "complex": {"x": 1j},
    "objects": {"x": np.array([{}], dtype=object)},
    "texts": {"x": ["a", "b"]},
    "half": {"x": np.zeros(2, np.float16)},
    "dates": {"x": np.zeros(2, "M8[s]")},
    "masked": {"x": np.ma.masked_array([1, 2], [True, False])},
    "rank": {"x": np.zeros((1,) * 9)},
    "ragged": {"x": [[1], [2, 3]]},
    "large integer": {"x": 2**63},
    "surrogate": {"x": "\ud800"},
    "lengths": {"x": {"a": [1], "b": [1, 2]}},
    "mixed": {"x": {"a": [1, "b"]}},
    "nested table": {"x": {"a": [[1]]}},
    "nested": {"x": {"a": {"b": [1]}}},
    "no columns": {"x": {}},
    "date column": {"x": pd.DataFrame({"d": pd.to_datetime(["2026-01-01"])})},
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_a_payload_cannot_hold_is_refused(value: Any) -> None:
    """The encoder refuses in one sentence, with its own error."""
    with pytest.raises(PayloadError):
        encode_payload(value)


def test_the_codec_does_not_load_pandas() -> None:
    """Encoding and decoding stay light: pandas costs half a second and tens of megabytes."""
    program = (
        "import sys\n"
        "from branchline.sandbox.inside.values import decode_payload, encode_payload\n"
        "data = encode_payload({'a': 1, 's': 'x', 't': {'x': [1, None], 'y': ['u', 'v']}})\n"
        "decode_payload(data, max_bytes=9999)\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@given(st.data())
def test_bytes_pass_as_they_are_only_if_encoding_anew_gives_the_same(data: st.DataObject) -> None:
    """One changed bit anywhere - padding, metadata, a value - and they do not pass."""
    array = data.draw(st_numpy.arrays("f4", st.integers(0, 40)))
    given = bytearray(encode_payload({"model": array, "n": 3, "t": {"a": [1, None, 3]}}))
    kept = bytes(given)
    assert prepare_payload(decode_payload(kept, max_bytes=LIMIT)).is_in(kept)
    given[data.draw(st.integers(0, len(given) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not prepare_payload(decode_payload(kept, max_bytes=LIMIT)).is_in(bytes(given))
    changed = bytes(given)
    try:
        payload = decode_payload(changed, max_bytes=LIMIT)
        encoded = prepare_payload(payload)
    except PayloadError:
        return
    assert encoded.is_in(changed) == (encoded.to_bytes() == changed)


def test_a_large_array_that_was_replaced_is_encoded_anew() -> None:
    """What does not lie in the bytes themselves is never taken for them."""
    data = encode_payload({"model": np.arange(100_000.0)})
    payload = decode_payload(data, max_bytes=LIMIT)
    assert prepare_payload(payload).is_in(data)
    assert not prepare_payload({"model": np.zeros(100_000)}).is_in(data)
    assert not prepare_payload({"model": np.zeros(100_001)}).is_in(data)
