"""Join a central service: meet the one that invited, prove possession of the new keys, be enrolled."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.http.client import ApiClient
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.journey.invitation import Invitation
from branchline.journey.messages import EnrolMessage, Hello, Party
from branchline.ledger.classes import ActorSecret
from branchline.ledger.entry import Entry
from branchline.ledger.proof.cosignature import cosigner_key
from branchline.ledger.proof.note import COSIGNATURE, made_by, parse_key

VERSION = 1
"""The version of the API spoken here."""


async def join(
    identity: Identity,
    invitation: Invitation,
    clock: Clock,
    *,
    secret: ActorSecret,
    ca_file: str | None = None,
    witness: Identity | None = None,
    entity: str | None = None,
    keep: Callable[[str, Entry], None] = lambda origin, entry: None,
) -> Hello:
    """Enrol an identity by an invitation and return what central says of itself.

    Args:
        identity: The new party's keys.
        invitation: Made out for it.
        clock: The time.
        secret: The new party's secret, with which it seals its acts.
        ca_file: Certificates to trust in place of the system's.
        witness: The keys with which it will cosign the ledger, and nothing else; None if it will
            not.
        entity: The legal entity that runs it; None for one of its own.
        keep: Given the ledger's name and the enrolment's entry, before it is sent.

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
        if witness is not None:
            act = announced(act, hello.origin, witness, entity)
        entry, beside = acts.seal_act(act, identity, secret)
        keep(hello.origin, entry)
        message = EnrolMessage(
            invitation=invitation.token,
            name=invitation.name,
            kind=invitation.kind,
            keys=identity.public,
            entry=entry,
            beside=beside,
        )
        await client.call("POST", "/v1/parties", body=message, answer=Party, key=act.id)
        return hello
    finally:
        await client.close()


def announced(
    act: acts.PartyEnrolled, origin: str, witness: Identity, entity: str | None
) -> acts.PartyEnrolled:
    """Return an enrolment that announces a witness, and shows that its key is the party's own.

    Args:
        act: The enrolment.
        origin: The ledger's name.
        witness: The keys for cosigning it.
        entity: The legal entity that runs the party; None for one of its own.
    """
    vkey = witness_vkey(origin, act.name, witness)
    act = msgspec.structs.replace(act, witness=vkey, entity=entity)
    return msgspec.structs.replace(act, possession=witness.sign(_statement(act)))


def witness_vkey(origin: str, name: str, witness: Identity) -> str:
    """Return the text of the key with which a party cosigns a ledger.

    Args:
        origin: The ledger's name.
        name: The party's.
        witness: Its keys for cosigning.
    """
    return cosigner_key(f"{origin}/witness/{name}", witness.public).text


def check_possession(act: acts.PartyEnrolled) -> None:
    """Refuse a witness key that is not the party's own, or that signs other things, too.

    Raises:
        Refused: It is malformed or no Ed25519 key for cosignatures, or it is the signing key.
        Corrupt: The party does not show that it has the key.
    """
    if not act.witness:
        if act.possession or act.entity is not None:
            raise Refused("An enrolment speaks of a witness and names no witness key")
        return
    key = parse_key(act.witness, (COSIGNATURE,))
    if key.key == from_base64url(act.keys.sign):
        raise Refused("A witness key must sign nothing else; this one is the party's signing key")
    if not made_by(key.key, act.possession, _statement(act)):
        raise Corrupt(f"{act.name} does not show that the witness key is its own")


def _statement(act: acts.PartyEnrolled) -> bytes:
    """Return what a witness key signs once, at enrolment; no cosignature begins like it."""
    lines = ("branchline witness key", act.witness, act.name, act.keys.id, act.entity or act.name)
    return "".join(f"{line}\n" for line in lines).encode()


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
