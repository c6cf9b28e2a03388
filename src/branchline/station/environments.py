"""The images a station has, and where it gets others from."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence

from branchline.environment.service import ImageService
from branchline.environment.sources import RegistrySource, ServiceSource
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Conflict, NotFound, Unavailable
from branchline.foundation.http.client import ApiClient
from branchline.foundation.keys import PublicKeys
from branchline.journey import acts, machine, messages
from branchline.journey.environments import Environments, Progress, Source
from branchline.journey.stop import Event
from branchline.station.settings import StationHome, StationSettings
from branchline.station.store import StationStore

WAYS = (
    "bring it to central with 'branchline environment push', or have the station name a registry "
    "that has it, or import it there with 'branchline station environment import'"
)
"""How an image can get to a station; ends a sentence that may leave it."""


def environments_of(
    home: StationHome, settings: StationSettings, client: ApiClient
) -> Environments:
    """Return a station's environments: its own, then central's, then a registry's."""
    wanted = settings.environments
    sources: list[Source] = [ServiceSource(ImageService(client), wanted.largest_bytes)]
    if wanted.registry is not None:
        sources.append(RegistrySource(wanted.registry))
    return Environments(home.images, sources, WAYS)


def images_of_stops(store: StationStore, keys: PublicKeys) -> dict[Digest, list[str]]:
    """Return the journeys whose stop here has not ended, by what they were accepted to run in."""
    found: dict[Digest, list[str]] = {}
    for notice in store.open_visits():
        for each in store.events(notice.journey, notice.attempt):
            if each.event is Event.ACCEPTED:
                entry, _ = store.sent(str(each.detail["act"]))
                act = acts.expect_act(entry, keys, acts.StopAccepted)
                found.setdefault(act.environment, []).append(notice.journey)
    return found


def images_of_hosting(store: StationStore, keys: PublicKeys) -> dict[Digest, list[str]]:
    """Return the journeys that are combined here, by the image their aggregator runs in.

    Those of them that others ended are here, too: only central knows of it (`in_course`).
    """
    images: dict[str, Digest] = {}
    for entry in store.hosting():
        act = acts.read_act(entry, keys)
        if isinstance(act, acts.JourneyPrepared) and act.environment is not None:
            images[act.journey] = act.environment
        elif isinstance(act, acts.JourneyFailed) or (
            isinstance(act, acts.JourneyCombined) and act.result is not None
        ):
            images.pop(act.journey, None)
    found: dict[Digest, list[str]] = {}
    for journey, image in images.items():
        found.setdefault(image, []).append(journey)
    return found


async def in_course(home: StationHome, journeys: Iterable[str]) -> list[str]:
    """Return those of some journeys that central says are not over; all if it cannot be asked."""
    central, asked = home.settings().central, list(journeys)
    client = ApiClient(central.url, home.identity, ca_file=central.ca_file, retry_seconds=2)
    found = []
    try:
        for journey in asked:
            with contextlib.suppress(NotFound):
                path = f"/v1/journeys/{journey}"
                status = await client.call("GET", path, answer=messages.JourneyStatus)
                if status.phase not in machine.ENDED:
                    found.append(journey)
    except Unavailable:
        return asked
    finally:
        await client.close()
    return found


def check_unused(forget: Sequence[Digest], needed: Mapping[Digest, Sequence[str]]) -> None:
    """Refuse to forget an image that a stop under way runs in, or a journey's aggregator.

    Raises:
        Conflict: One does.
    """
    for digest in forget:
        if journeys := needed.get(digest):
            raise Conflict(
                f"The journey {journeys[0]} runs or is combined here in the image {digest}",
                advice="Wait for its end; 'branchline station stops list' shows that of a stop",
                detail={"journeys": list(journeys)},
            )


async def repair(home: StationHome, digest: Digest, progress: Progress) -> int:
    """Read an image whole, and fetch anew what is damaged of it; return how many files were.

    Raises:
        NotFound: There is no such image.
        EnvironmentAbsent, Unavailable: What is damaged is not to be had.
    """
    from branchline.environment.image.images import open_image
    from branchline.environment.image.repair import clear_damage, examine
    from branchline.environment.image.store import Store

    settings = home.settings()
    store = Store(home.images)
    image = open_image(store, digest)
    progress("reading the image")
    health = await asyncio.to_thread(examine, image, store)
    if health.sound:
        return 0
    await asyncio.to_thread(clear_damage, image, store)
    central = settings.central
    client = ApiClient(central.url, home.identity, ca_file=central.ca_file)
    try:
        await environments_of(home, settings, client).fetch(digest, progress)
    finally:
        await client.close()
    return len({*health.damaged, *health.trees})
