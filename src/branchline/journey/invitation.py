"""An invitation: one line of text with which one party can enrol once, before it expires."""

from __future__ import annotations

import msgspec

from branchline.foundation.canonical import canonical_json
from branchline.foundation.decoding import decode_json
from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.ids import Name
from branchline.journey.messages import PartyKind

_PREFIX = "bl1."


class Invitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an invitation says.

    Args:
        url: Where central is.
        token: The secret that is used up by enrolling.
        name: The name the party will have.
        kind: ``station`` or ``person``.
        central: Key id of central, so that the right service is met.
    """

    url: str
    token: str
    name: Name
    kind: PartyKind
    central: str

    @property
    def text(self) -> str:
        """The invitation as one line to hand over."""
        return _PREFIX + to_base64url(canonical_json(self))


def parse_invitation(text: str) -> Invitation:
    """Read an invitation.

    Raises:
        Refused: It is not one, or not whole.
    """
    advice = "Copy the whole line that begins with 'bl1.'"
    text = text.strip()
    if not text.startswith(_PREFIX):
        raise Refused("That is not an invitation", advice=advice)
    try:
        return decode_json(from_base64url(text[len(_PREFIX) :]), Invitation)
    except (Corrupt, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("The invitation is not whole", advice=advice) from error
