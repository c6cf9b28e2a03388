"""Join a central service: meet the one that invited, prove possession of the new keys, be enrolled."""

from __future__ import annotations

from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.http.client import ApiClient
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.journey.invitation import Invitation
from branchline.journey.messages import EnrolMessage, Hello, Party

VERSION = 1
"""The version of the API spoken here."""


async def join(
    identity: Identity, invitation: Invitation, clock: Clock, *, ca_file: str | None = None
) -> Hello:
    """Enrol an identity by an invitation and return what central says of itself.

    Raises:
        Corrupt: The service met is not the one that invited.
        Refused: It speaks no version known here.
        NotAllowed: It does not accept the invitation.
    """
    client = ApiClient(invitation.url, identity, ca_file=ca_file, clock=clock, retry_seconds=5)
    try:
        hello = await greet(client)
        if hello.keys.id != invitation.central:
            raise Corrupt(
                f"The service at {invitation.url} is not the one that sent the invitation",
                advice="Ask the central operator which address is right",
            )
        act = acts.PartyEnrolled(
            id=new_id("act"),
            at=rfc3339(clock.now()),
            name=invitation.name,
            kind=invitation.kind,
            keys=identity.public,
        )
        message = EnrolMessage(
            invitation=invitation.token,
            name=invitation.name,
            kind=invitation.kind,
            keys=identity.public,
            entry=acts.sign_act(act, identity),
        )
        await client.call("POST", "/v1/parties", body=message, answer=Party, key=act.id)
        return hello
    finally:
        await client.close()


async def greet(client: ApiClient) -> Hello:
    """Ask a central service who it is, and agree on a version.

    Raises:
        Refused: It speaks no version known here.
    """
    hello = await client.call("GET", "/v1", answer=Hello)
    if VERSION not in hello.versions:
        raise Refused(
            f"{client.base_url} speaks versions {hello.versions}; this program speaks {VERSION}",
            advice="Bring the older side up to date",
        )
    return hello
