"""What central has of the ledger: all of it, with every act as it came in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from branchline.central.founding import origin_of
from branchline.central.rights import CENTRAL
from branchline.central.store import Store
from branchline.central.topic import OwnTopic as Counter
from branchline.foundation.database import reading
from branchline.foundation.errors import NotFound
from branchline.foundation.keys import Identity
from branchline.journey.holdings import Holdings, Known, OwnTopic, numbered
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.note import key_of
from branchline.ledger.rows import find_tags
from branchline.ledger.tiles import COSIGNED
from branchline.study.document import parse_study


def holdings(folder: Path, database: str | None = None) -> Holdings:
    """Gather what a central service has, whether or not it runs."""
    origin = origin_of(folder)
    identity = Identity.load_or_create(folder / "keys")
    store, files = Store(folder, database), FolderFiles(folder / "ledger")
    parties = {caller.name: caller.keys for caller in store.parties()}
    parties[CENTRAL] = identity.public

    def known() -> Iterator[Known]:
        for stored in store.acts():
            yield Known(stored.entry, stored.party, parties.get(stored.party))

    def present(tags: Collection[str]) -> dict[str, int]:
        with reading(store.engine) as connection:
            return find_tags(connection, list(tags))

    def topics() -> list[OwnTopic]:
        counter = Counter(folder / "keys" / "topic", present).counter
        own = [(each.position, each.entry) for each in store.acts(party=CENTRAL)]
        return [numbered("own", counter.secret, counter.next, own)]

    try:
        note: bytes | None = files.read(COSIGNED)
    except NotFound:
        note = None
    return Holdings(
        kind=CENTRAL,
        name=CENTRAL,
        log_vkey=key_of(origin, identity.public).text,
        read=files.read,
        note=note,
        known=known,
        topics=topics,
        parties=parties,
        studies=tuple(parse_study(data) for data in store.revisions()),
        erasures=lambda: [each.entry for each in store.erasures()],
    )
