"""What a kernel publishes is read as Jupyter itself reads it; what it did not sign is not read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jupyter_client.session import Session

from branchline.project.notebook.wire import Wire

KEY = b"a key"
AT = "2026-01-01T00:00:00.000Z"
NAMES = st.text(max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def sent(content: dict[str, Any], **header: Any) -> list[bytes]:
    """Return the frames of a message that answers a request, as a kernel would send them."""
    session = Session(key=KEY)
    request = session.msg("execute_request")
    message = session.msg("stream", content, parent=request["header"])
    message["header"].update(header)
    return session.serialize(message, ident=b"kernel.x.stream")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_it_is_read_as_jupyter_reads_it(content: dict[str, Any]) -> None:
    """Kind, request and content."""
    frames = sent(content)
    session = Session(key=KEY)
    theirs = session.deserialize(session.feed_identities(frames)[1])
    ours = Wire(KEY, "hmac-sha256").message(frames, AT)
    assert (ours.kind, ours.at, ours.parent_kind) == ("stream", AT, "execute_request")
    assert ours.parent == theirs["parent_header"]["msg_id"]
    assert repr(ours.content) == repr(session.unpack(frames[-1]))


def signed(*parts: bytes) -> list[bytes]:
    """Return the frames of a message of any parts, signed with the key."""
    return [b"<IDS|MSG>", Session(key=KEY).sign(list(parts)), *parts]


def test_halves_of_characters_and_no_numbers_are_read() -> None:
    """Kernels send them, though JSON has no word for either."""
    _, _, *head, _ = sent({})[1:]
    frames = signed(*head, b'{"text": "\\ud83d", "value": Infinity}')
    read = Wire(KEY, "hmac-sha256").message(frames, AT)
    assert read.content == {"text": "\ud83d", "value": float("inf")}


@pytest.mark.parametrize("part", range(2, 7))
def test_what_was_changed_on_its_way_is_not_read(part: int) -> None:
    """The signature is over all parts, and itself a part."""
    frames = sent({"name": "stdout", "text": "x"})
    frames[part] = frames[part][:-1] + bytes([frames[part][-1] ^ 1])
    with pytest.raises(ValueError, match="not signed"):
        Wire(KEY, "hmac-sha256").message(frames, AT)


def test_what_comes_twice_is_read_once() -> None:
    """Somebody who heard a message cannot have it recorded again."""
    wire, frames = Wire(KEY, "hmac-sha256"), sent({"text": "x"})
    wire.message(frames, AT)
    with pytest.raises(ValueError, match="before"):
        wire.message(frames, AT)


def test_a_signed_message_that_is_none_is_not_read() -> None:
    """Parts that are missing, or of another kind than the protocol has."""
    wire = Wire(KEY, "hmac-sha256")
    for parts in ([b"[]", b"{}", b"{}", b"{}"], [b"{}", b"{}", b"{}", b"{}"]):
        with pytest.raises(ValueError, match="protocol"):
            wire.message(signed(*parts), AT)
    _, _, *head, content = sent({})[1:]
    with pytest.raises(ValueError, match="not an object"):
        wire.message(signed(*head, b"[1]"), AT)
    with pytest.raises(ValueError, match="missing"):
        wire.message(signed(*head), AT)
    with pytest.raises(ValueError, match="not in list"):
        wire.message([content], AT)


def test_older_kernels_are_understood() -> None:
    """What a kernel of protocol 4 calls ``pyin`` is what was run."""
    session = Session(key=KEY)
    message = session.msg("pyin", {"code": "1", "execution_count": 3})
    message["header"].pop("version")
    frames = session.serialize(message)
    read = Wire(KEY, "hmac-sha256").message(frames, AT)
    assert (read.kind, read.content["code"]) == ("execute_input", "1")


def test_a_way_to_sign_that_nobody_knows_is_refused() -> None:
    """Rather than to read without looking at signatures."""
    with pytest.raises(Exception, match="rot13"):
        Wire(KEY, "hmac-rot13")
