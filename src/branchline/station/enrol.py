"""Enrol a station: one invitation, one command; the keys are made here and stay here."""

from __future__ import annotations

from collections.abc import Collection

from branchline.foundation.clock import Clock
from branchline.foundation.errors import Conflict
from branchline.foundation.ids import check_name
from branchline.journey.enrolment import join
from branchline.journey.invitation import Invitation
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.station.settings import FILE, CentralRef, StationHome, StationSettings


async def enrol(
    home: StationHome,
    invitation: Invitation,
    clock: Clock,
    *,
    ca_file: str | None = None,
    accept_weaker: Collection[str] = (),
    entity: str | None = None,
) -> StationSettings:
    """Make keys in the folder, prove possession of them to central, and write the settings.

    Args:
        home: The station's folder.
        invitation: From the central operator.
        clock: The time.
        ca_file: Certificates to trust in place of the system's.
        accept_weaker: Weaker limits the administrator accepts, by name.
        entity: The legal entity that runs the station; None for one of its own.

    Raises:
        Conflict: The folder is another station's.
        NotAllowed: Central does not accept the invitation.
        Corrupt: The service met is not the one that invited.
    """
    Bubblewrap(frozenset(accept_weaker))  # a name it does not know is refused before anything else
    file = home.folder / FILE
    if file.exists() and home.settings().name != invitation.name:
        raise Conflict(
            f"The folder {home.folder} belongs to the station {home.settings().name!r}",
            advice="Give another folder with --home",
        )
    if entity is not None:
        check_name(entity, "legal entity")
    hello = await join(
        home.identity,
        invitation,
        clock,
        secret=home.epochs.current(),
        ca_file=ca_file,
        witness=home.witness,
        entity=entity,
        keep=home.keep_enrolment,
    )
    central = CentralRef(invitation.url, hello.keys, hello.log_vkey, ca_file)
    settings = StationSettings(
        name=invitation.name, central=central, accept_weaker=tuple(accept_weaker)
    )
    if not file.exists():
        home.write_settings(settings)
    return settings
