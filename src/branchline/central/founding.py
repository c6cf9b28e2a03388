"""Found a central service and invite parties to it; light, for commands that do no more."""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path

from branchline.central.rights import CENTRAL
from branchline.central.store import Store
from branchline.foundation.clock import Clock
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import NotFound, Refused
from branchline.foundation.ids import check_name
from branchline.foundation.keys import Identity
from branchline.journey.invitation import Invitation
from branchline.journey.machine import REQUESTER
from branchline.journey.messages import PartyKind
from branchline.ledger.epochs import Epochs

RESERVED = frozenset({CENTRAL, REQUESTER, "aggregator"})
"""Names nobody can have, since they stand for something."""


def origin_of(folder: Path) -> str:
    """Return the ledger's name, chosen once when the folder was made."""
    file = folder / "origin"
    if not file.exists():
        raise NotFound(
            f"There is no central service in {folder}", advice="Run 'branchline central init'"
        )
    return file.read_text().strip()


def initialise(folder: Path, origin: str) -> Identity:
    """Make a central service's folder: its keys and the name of its ledger.

    Raises:
        Refused: The folder has another name already, or the name is malformed.
    """
    if not origin or any(c.isspace() or c == "+" for c in origin) or "://" in origin:
        raise Refused(
            f"{origin!r} is not a name for a ledger",
            advice="Use the service's address without scheme, e.g. central.example/branchline",
        )
    make_folder(folder)
    file = folder / "origin"
    if file.exists() and file.read_text().strip() != origin:
        raise Refused(f"The service in {folder} is named {file.read_text().strip()!r} already")
    if not file.exists():
        file.write_text(origin + "\n")
    Epochs(folder / "keys").current()
    return Identity.load_or_create(folder / "keys")


def invite(
    folder: Path, name: str, kind: PartyKind, url: str, valid_for: timedelta, clock: Clock
) -> Invitation:
    """Make an expiring invitation for one party; works while the service runs.

    Raises:
        Refused: The name is malformed or reserved.
        Conflict: A party of this name is enrolled.
    """
    check_name(name, kind)
    if name in RESERVED:
        raise Refused(f"The name {name!r} is reserved", advice="Choose another")
    identity = Identity.load_or_create(folder / "keys")
    token = secrets.token_urlsafe(24)
    Store(folder).invite(token, name, kind, clock.now() + valid_for)
    return Invitation(url=url, token=token, name=name, kind=kind, central=identity.id)
