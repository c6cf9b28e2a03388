"""Which images central keeps, and which of them journeys in course name; light, for commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from branchline.central.images import Images
from branchline.central.rights import CENTRAL
from branchline.central.store import Store
from branchline.foundation.clock import Clock
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Conflict, NotFound
from branchline.foundation.keys import Identity, PublicKeys
from branchline.journey import acts, machine
from branchline.train.bundle import open_bundle

_DATABASE = "central.sqlite"


@dataclass(frozen=True)
class HeldImage:
    """An image that somebody brought.

    Args:
        digest: Its name.
        party: Who brought it.
        at: When.
        size: Its bytes, expanded.
        missing: How many of its blobs were not brought yet.
        journeys: Those in course whose train names it.
    """

    digest: Digest
    party: str
    at: str
    size: int
    missing: int
    journeys: tuple[str, ...]


def store_of(folder: Path, database: str | None) -> Store:
    """Return the service's own database and folders, where journeys are looked for.

    Raises:
        NotFound: There is no database, so nobody can tell what journeys need.
    """
    if database is None and not (folder / _DATABASE).exists():
        raise NotFound(
            f"There is no {_DATABASE} in {folder}, so what journeys need cannot be told",
            advice="Name the service's SQL server with --database",
        )
    return Store(folder, database)


def held_images(folder: Path, clock: Clock, store: Store) -> list[HeldImage]:
    """Return all images that were announced, in the order of digests."""
    images, needed = Images(folder, clock), images_of_journeys(folder, store)
    return [
        HeldImage(
            digest,
            told.party,
            told.at,
            told.size,
            images.count_missing(digest),
            tuple(needed.get(digest, ())),
        )
        for digest, told in images.all()
    ]


def images_of_journeys(folder: Path, store: Store) -> dict[Digest, list[str]]:
    """Return the journeys in course by the image that their train names."""
    own = Identity.load_or_create(folder / "keys").public
    found: dict[Digest, list[str]] = {}
    for name in store.open_journeys():
        journey = _replayed(name, store, own)
        if journey is not None and journey.phase not in machine.ENDED:
            train = journey.request.train
            image = open_bundle(bytes(store.blobs.get(train)), train).environment.image
            if image is not None:
                found.setdefault(image, []).append(name)
    return found


def _replayed(name: str, store: Store, own: PublicKeys) -> machine.Journey | None:
    """Return where a journey stands by its acts."""
    journey = None
    for stored in store.acts(journey=name):
        keys = own if stored.party == CENTRAL else store.party(stored.party).keys
        act = acts.read_act(stored.entry, keys)
        if isinstance(act, acts.JourneyRequested):
            journey = machine.begin(act, keys.id)
        elif journey is not None and isinstance(act, acts.JourneyAct):
            journey = machine.step(journey, act)
    return journey


def remove_image(folder: Path, clock: Clock, store: Store, digest: Digest) -> int:
    """Remove an image; return how many bytes it had, expanded.

    Raises:
        NotFound: Nobody brought it.
        Conflict: A journey in course names it.
    """
    images = Images(folder, clock)
    journeys = images_of_journeys(folder, store).get(digest)
    if journeys:
        more = f" and {len(journeys) - 1} more" if len(journeys) > 1 else ""
        raise Conflict(
            f"The journey {journeys[0]}{more} is in course and names the image {digest}",
            advice="Wait for its end, or have its requester cancel it",
            detail={"journeys": journeys},
        )
    size = next((told.size for found, told in images.all() if found == digest), 0)
    images.remove(digest)
    return size
