"""Topics: numbered tags by which the holder of a secret finds all entries that concern it.

A topic has a secret of 32 bytes. Its k-th entry bears ``tag_of(secret, k)`` in the clear, which to
everybody else is a random text: nobody can tell which tags belong together. Because the sequencer
takes each tag once, and honest holders leave no number out, whoever has the secret can show that
these are *all* entries of the topic (``completeness``).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from hashlib import sha256

import msgspec

from branchline.foundation.encoding import to_base64url
from branchline.foundation.errors import Refused

SECRET_BYTES = 32
"""The length of a topic's secret."""

TAG_BYTES = 16
"""The length of a tag before it is spelled in base64url."""

LOOK_AHEAD = 16
"""How many numbers after the last one have to be free before a topic counts as ended."""

_LABEL = b"bl-topic/v1"
_NUMBERS = 1 << 64
_TAG = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")


def tag_of(secret: bytes, number: int) -> str:
    """Return the tag of a topic's entry with a number: 22 characters of base64url.

    It is ``base64url(HMAC-SHA256(secret, "bl-topic/v1" || uint64be(number))[:16])``.

    Args:
        secret: The topic's 32 secret bytes.
        number: Counts the topic's entries, from 0.

    Raises:
        Refused: The secret has another length, or the number is not below 2^64.
    """
    if len(secret) != SECRET_BYTES:
        raise Refused(f"A topic's secret has {len(secret)} bytes; it must have {SECRET_BYTES}")
    if not 0 <= number < _NUMBERS:
        raise Refused(f"A topic has no entry with the number {number}")
    digest = hmac.digest(secret, _LABEL + number.to_bytes(8), sha256)
    return to_base64url(digest[:TAG_BYTES])


def is_tag(text: str) -> bool:
    """Tell whether a text is a tag in its one spelling: 16 bytes in base64url."""
    return _TAG.fullmatch(text) is not None


class TopicCounter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A topic as one of those who write into it keeps it: the secret, and the number to use next.

    The rules, which whoever stores a counter has to follow:

    1. ``advanced`` is durable before the tag is shown to anybody. A crash then leaves at worst a
       number that no entry bears; the same act is sent again with the same number, or another
       entry says that it was voided.
    2. A tag that the ledger has already (409) is not argued about: note it as an incident,
       take the next.
    3. A counter that may be old (restored from a backup) is ``caught_up`` before it is used.

    Args:
        secret: The topic's 32 secret bytes.
        next: The number of the next entry.
    """

    secret: bytes
    next: int = 0

    @property
    def tag(self) -> str:
        """The tag that the next entry is to bear."""
        return tag_of(self.secret, self.next)

    def advanced(self) -> TopicCounter:
        """Return the counter after its tag was given to an entry."""
        return TopicCounter(self.secret, self.next + 1)

    def caught_up(self, present: Callable[[str], bool]) -> TopicCounter:
        """Return the counter after the last number that the ledger has.

        Args:
            present: Tells whether the ledger has an entry with a tag.
        """
        after = number = self.next
        while number < after + LOOK_AHEAD:
            if present(tag_of(self.secret, number)):
                after = number + 1
            number += 1
        return TopicCounter(self.secret, after)
