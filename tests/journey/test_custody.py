"""The aggregator's key: kept by the stations, given back to its host alone."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.errors import BranchlineError, Corrupt
from branchline.foundation.ids import new_id
from branchline.foundation.jws import sign_jws
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import seal, unseal
from branchline.journey import custody

HOST, NORTH, SOUTH, STRANGER = (Identity.create() for _ in range(4))
KEY, FRESH = X25519PrivateKey.generate(), X25519PrivateKey.generate()
JOURNEY = new_id("journey")
ENTRUSTED = custody.entrust(KEY, [NORTH.public.seal, SOUTH.public.seal])
CALL = custody.call_back(JOURNEY, FRESH, HOST)
RECIPIENT = custody.recipient_of(KEY)


@pytest.mark.parametrize("station", [NORTH, SOUTH])
def test_any_station_of_the_route_can_give_the_key_back(station: Identity) -> None:
    """A restarted host gets its journey's key back from one station."""
    sealed = custody.hand_back(CALL, HOST.public, ENTRUSTED, station)
    again = custody.take_back(sealed, FRESH, RECIPIENT)
    assert again.private_bytes_raw() == KEY.private_bytes_raw()
    assert unseal(seal(b"update", [RECIPIENT]), again) == b"update"


@pytest.mark.parametrize("other", [HOST, STRANGER])
def test_nobody_else_can_open_what_was_entrusted(other: Identity) -> None:
    """Not even the host itself, who kept no copy, and no stranger."""
    with pytest.raises(Corrupt, match="not sealed to this key"):
        custody.hand_back(CALL, HOST.public, ENTRUSTED, other)


def test_a_call_by_anybody_but_the_host_is_refused() -> None:
    """A station gives the key to its journey's host only."""
    call = custody.call_back(JOURNEY, FRESH, STRANGER)
    with pytest.raises(Corrupt, match="expected"):
        custody.hand_back(call, HOST.public, ENTRUSTED, NORTH)


def test_another_statement_of_the_host_is_no_call() -> None:
    """What the host signed for another purpose does not open the key."""
    other = sign_jws(b'{"journey":"x"}', HOST, typ="bl-other+jws")
    wrong = sign_jws(b'{"recipient":1}', HOST, typ=custody.STATEMENT)
    for statement in (other, wrong):
        with pytest.raises(Corrupt):
            custody.hand_back(statement, HOST.public, ENTRUSTED, NORTH)


def test_a_wrong_key_that_comes_back_is_refused() -> None:
    """A station cannot slip another key in."""
    wrong = bytes(seal(STRANGER.seal_private.private_bytes_raw(), [custody.recipient_of(FRESH)]))
    with pytest.raises(Corrupt, match="not this journey's"):
        custody.take_back(wrong, FRESH, RECIPIENT)
    short = bytes(seal(b"short", [custody.recipient_of(FRESH)]))
    with pytest.raises(Corrupt, match="32 bytes"):
        custody.take_back(short, FRESH, RECIPIENT)


def test_what_comes_back_is_for_the_fresh_key_only() -> None:
    """Whoever intercepts it cannot open it."""
    sealed = custody.hand_back(CALL, HOST.public, ENTRUSTED, NORTH)
    with pytest.raises(Corrupt):
        custody.take_back(sealed, STRANGER.seal_private, RECIPIENT)


@given(st.data())
def test_a_changed_call_is_refused(data: st.DataObject) -> None:
    """No character of a call can be changed."""
    at = data.draw(st.integers(0, len(CALL) - 1))
    changed = CALL[:at] + ("A" if CALL[at] != "A" else "B") + CALL[at + 1 :]
    with pytest.raises(BranchlineError):
        custody.hand_back(changed, HOST.public, ENTRUSTED, NORTH)


def test_the_key_is_nowhere_in_clear() -> None:
    """Neither what is entrusted nor what comes back shows the key."""
    raw = KEY.private_bytes_raw()
    assert raw not in ENTRUSTED
    assert raw not in custody.hand_back(CALL, HOST.public, ENTRUSTED, NORTH)
