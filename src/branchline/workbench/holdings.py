"""What a person has of the ledger: a mirror of it, his own acts, and the evidence of his results."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from branchline.foundation.canonical import parse_json
from branchline.foundation.clock import Clock
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import BranchlineError, NotFound
from branchline.foundation.http.client import ApiClient
from branchline.foundation.jws import read_kid
from branchline.journey.holdings import Holdings, Known, OwnTopic, numbered
from branchline.journey.messages import Evidence
from branchline.journey.permit import parties_of
from branchline.journey.verify import EVIDENCE, MAX_EVIDENCE
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.note import parse_key
from branchline.ledger.tiles import CHECKPOINT, COSIGNED, TILE_WIDTH, bundle_name, decode_bundle
from branchline.ledger.witness.mirror import Mirror
from branchline.study.document import parse_study
from branchline.workbench.erasing import take_in, words
from branchline.workbench.home import CentralRef, WorkbenchHome


def mirror_of(home: WorkbenchHome, ref: CentralRef) -> Path:
    """Return the folder of a person's mirror of one central service's ledger."""
    return home.folder / "ledgers" / sha256(ref.origin.encode()).hexdigest()


def holdings(home: WorkbenchHome, ref: CentralRef) -> Holdings:
    """Gather what a person has of one central service's ledger."""
    folder, own = mirror_of(home, ref), home.identity.public
    evidence = list(_evidence(home))
    studies = {each.id: each for each in (parse_study(found.study) for found in evidence)}
    parties = {ref.name: own, "central": ref.keys, **parties_of(studies.values())}
    names = {keys.id: name for name, keys in parties.items()}

    def known() -> Iterator[Known]:
        for entry in home.acts(ref.origin):
            yield Known(entry, ref.name, own)
        for found in evidence:
            for item in found.items:
                kid = read_kid(item.entry.jws)
                yield Known(item.entry, names.get(kid, ""), item.keys)
        for word in words(folder):
            kid = read_kid(word.jws)
            name = names.get(kid, "")
            yield Known(word, name, parties.get(name))

    def topics() -> list[OwnTopic]:
        secret, count = home.topic(ref.origin).read()
        return [numbered("own", secret, count, home.placed_acts(ref.origin))]

    try:
        note: bytes | None = (folder / COSIGNED).read_bytes()
    except FileNotFoundError:
        note = None
    return Holdings(
        kind="person",
        name=ref.name,
        log_vkey=ref.log_vkey,
        read=FolderFiles(folder / "files").read,
        note=note,
        known=known,
        topics=topics,
        parties=parties,
        studies=tuple(studies.values()),
        erasures=lambda: words(folder),
    )


async def sync(home: WorkbenchHome, ref: CentralRef, clock: Clock) -> None:
    """Bring a person's mirror up to date, every entry hashed, and erase what was erased.

    Raises:
        Unavailable: Central cannot be reached.
        Corrupt: What came is not what central signed, or not what it had signed before.
    """
    folder = make_folder(mirror_of(home, ref))
    mirror = Mirror(FolderFiles(folder / "files"), parse_key(ref.log_vkey))
    client = ApiClient(ref.url, home.identity, ca_file=ref.ca_file, clock=clock, retry_seconds=2)
    try:
        cosigned = await _optional(client, COSIGNED)
        await _catch_up(mirror, client, bytes(await client.get_bytes(f"/ledger/{CHECKPOINT}")))
        with suppress(NotFound):  # a service of an earlier version, at which nothing is erased
            await take_in(client, home, ref.origin, folder)
    finally:
        await client.close()
    if cosigned is not None:
        await asyncio.to_thread(mirror.settle, cosigned)  # of this very history
        write_durably(folder / COSIGNED, cosigned)


async def _catch_up(mirror: Mirror, client: ApiClient, note: bytes) -> None:
    size = int(note.split(b"\n")[1])
    while piece := mirror.lacks(size):
        name = bundle_name(piece.start // TILE_WIDTH, size)
        leaves, _ = decode_bundle(bytes(await client.get_bytes(f"/ledger/{name.path}")))
        mirror.add(piece.start, leaves[piece.start % TILE_WIDTH :][: len(piece)])
    await asyncio.to_thread(mirror.settle, note)


async def _optional(client: ApiClient, name: str) -> bytes | None:
    try:
        return bytes(await client.get_bytes(f"/ledger/{name}"))
    except NotFound:
        return None


def _evidence(home: WorkbenchHome) -> Iterator[Evidence]:
    """Yield the evidence of all journeys with a result; one that cannot be read is left out."""
    for file in home.evidence():
        try:
            yield parse_json(file.read_bytes(), Evidence, what=EVIDENCE, limit=MAX_EVIDENCE)
        except BranchlineError:
            continue
