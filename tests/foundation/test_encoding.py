"""Encodings with one spelling each, and canonical JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.canonical import canonical_json, digest_of_json, parse_json
from branchline.foundation.digest import digest_of, digest_of_file, parse_digest, short
from branchline.foundation.encoding import from_base64url, from_bech32, to_base64url, to_bech32
from branchline.foundation.errors import Corrupt, Refused


@given(st.binary(max_size=80))
def test_base64url_comes_back(data: bytes) -> None:
    """Bytes survive, without padding and with the URL's alphabet."""
    text = to_base64url(data)
    assert from_base64url(text) == data
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")


@given(st.text(alphabet=st.characters(max_codepoint=300), max_size=12))
def test_base64url_has_one_spelling(text: str) -> None:
    """Whatever is accepted is exactly what would have been written."""
    try:
        data = from_base64url(text)
    except Corrupt:
        return
    assert to_base64url(data) == text


@pytest.mark.parametrize("text", ["AA=", "AA==", "AB", "A", "+/+/", "AA\n", " AA", "AAé", "AA AA"])
def test_other_spellings_of_base64url_are_refused(text: str) -> None:
    """Padding, stray bits, the other alphabet, blanks and line ends are refused."""
    with pytest.raises(Corrupt):
        from_base64url(text)


@given(st.binary(max_size=64), st.sampled_from(["age", "a", "age-secret-key-"]))
def test_bech32_comes_back(data: bytes, prefix: str) -> None:
    """Bytes survive Bech32."""
    assert from_bech32(prefix, to_bech32(prefix, data)) == data


@given(st.binary(min_size=1, max_size=40), st.data())
def test_any_changed_character_of_bech32_is_refused(data: bytes, draw: st.DataObject) -> None:
    """The checksum finds every single wrong character."""
    text = to_bech32("age", data)
    at = draw.draw(st.integers(0, len(text) - 1))
    other = draw.draw(
        st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l1bB").filter(text[at].__ne__)
    )
    with pytest.raises(Corrupt):
        from_bech32("age", text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize(
    "text",
    ["", "1", "age", "age1", "age1q", "age1qqqqq", "AGE1QQQQQQ", "bge1qqqqqq", "age1qqqqqq\n"],
)
def test_what_is_no_bech32_is_refused(text: str) -> None:
    """Too short, another prefix, capitals, a line end."""
    with pytest.raises(Corrupt):
        from_bech32("age", text)


def test_bech32_of_the_standards_vectors() -> None:
    """BIP 173's own example: a witness program of 20 bytes without its version."""
    assert from_bech32("a", "a12uel5l") == b""
    assert to_bech32("a", b"") == "a12uel5l"


# Canonical JSON (RFC 8785)


VECTORS: list[tuple[Any, bytes]] = [
    ({"b": 1, "a": 2}, b'{"a":2,"b":1}'),
    ({"a": {"z": [], "b": {}}}, b'{"a":{"b":{},"z":[]}}'),
    ([True, False, None], b"[true,false,null]"),
    ([0.0, -0.0, 1.0, 100.0], b"[0,0,1,100]"),
    ([1e21, 1e20, 1e-6, 1e-7], b"[1e+21,100000000000000000000,0.000001,1e-7]"),
    ([333333333.33333329, 4.50, 2e-3], b"[333333333.3333333,4.5,0.002]"),
    ([5e-324, 1.7976931348623157e308], b"[5e-324,1.7976931348623157e+308]"),
    (9007199254740991, b"9007199254740991"),
    ("\u20ac$\u000f\nA'B\"\\/", '"\u20ac$\\u000f\\nA\'B\\"\\\\/"'.encode()),
    ("\u0000\u0007\b\t\f\r\u007f", b'"\\u0000\\u0007\\b\\t\\f\\r\x7f"'),
    # Sorted by UTF-16 code units: U+1F600 (a surrogate pair) stands before U+FB33.
    (
        {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "1": 4, "\r": 5},
        '{"\\r":5,"1":4,"\u20ac":3,"\U0001f600":2,"\ufb33":1}'.encode(),
    ),
]


@pytest.mark.parametrize(("value", "text"), VECTORS)
def test_canonical_json_has_the_standards_spelling(value: Any, text: bytes) -> None:
    """Keys by UTF-16, numbers as ECMAScript writes them, no blanks, only needed escapes."""
    assert canonical_json(value) == text
    assert digest_of_json(value) == digest_of(text)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def _as_ecmascript(digits: str) -> int | float:
    number = int(digits)
    return number if abs(number) < 2**53 else float(digits)


@given(values)
def test_canonical_json_is_json_and_stays_as_it_is(value: Any) -> None:
    """Any JSON reader reads it, and writing what was read changes nothing."""
    text = canonical_json(value)
    assert json.loads(text, parse_int=_as_ecmascript) == value
    assert canonical_json(json.loads(text)) == text


@given(values | st.tuples(values, values))
def test_canonical_json_is_what_the_reference_writes(value: Any) -> None:
    """Byte for byte, for whatever can be written; and what was handed in is left as it is."""
    before = repr(value)
    assert canonical_json(value) == rfc8785.dumps(value)
    assert canonical_json({"inside": value}) == rfc8785.dumps({"inside": value})
    assert repr(value) == before


@given(st.dictionaries(st.text(max_size=6), values, max_size=5), st.randoms())
def test_the_order_of_keys_means_nothing(value: dict[str, Any], random: Any) -> None:
    """Equal objects have one text."""
    keys = list(value)
    random.shuffle(keys)
    assert canonical_json({key: value[key] for key in keys}) == canonical_json(value)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53 + 1, -(2**60) - 1, 10**21, object(), "\ud800"]
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    """Not-a-number, integers that no double spells, foreign types and half characters."""
    with pytest.raises(Refused, match="canonical JSON"):
        canonical_json(value)


class Small(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something to read into."""

    a: int
    b: str = ""


def test_strict_reading_names_what_and_where() -> None:
    """The sentence says which document, and which field of it."""
    assert parse_json(b'{"a":1}', Small, what="thing") == Small(1)
    for data, why in (
        (b'{"a":"1"}', r"thing is not acceptable.*\$\.a"),
        (b'{"a":1,"c":2}', "unknown field"),
        (b"{", "thing is not acceptable"),
        (b"", "thing is not acceptable"),
        (b'{"a":1} x', "thing is not acceptable"),
        (b'{"a":1,"b":"\xff"}', "thing is not acceptable"),
        (b"[" * 100_000, "thing is not acceptable"),
    ):
        with pytest.raises(Refused, match=why):
            parse_json(data, Small, what="thing")


def test_a_document_beyond_its_limit_is_refused_unread() -> None:
    """Sizes are bounded before parsing."""
    with pytest.raises(Refused, match="10 bytes; at most 9"):
        parse_json(b'{"a":1234}', Small, what="thing", limit=9)


# Digests


@given(st.binary(max_size=100))
def test_a_digest_is_read_as_written(data: bytes) -> None:
    """Names of contents survive, and end where they end."""
    digest = digest_of(data)
    assert parse_digest(digest) == digest
    assert digest_of(memoryview(data)) == digest
    assert digest.endswith(short(digest) + digest[19:])
    for wrong in (digest + "\n", digest[:-1], digest.upper(), " " + digest, digest[7:]):
        with pytest.raises(Refused, match="not a digest"):
            parse_digest(wrong)


def test_a_file_is_named_like_its_bytes(tmp_path: Any) -> None:
    """Large files are read in pieces."""
    data = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(data)
    assert digest_of_file(tmp_path / "file") == digest_of(data)
