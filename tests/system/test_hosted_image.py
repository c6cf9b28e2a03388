"""A station that combines a journey keeps the image its aggregator runs in, until it is over."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from tests.system import world as w
from tests.system.trains import MEAN

from branchline.cli.root import root
from branchline.foundation.digest import Digest
from branchline.journey import acts


async def forget(world: w.World, image: Digest) -> dict[str, Any]:
    """Ask the host to forget an image; return its refusal."""
    words = ["station", "environment", "gc", "--forget", image, "--json"]
    words += ["--home", str(world.homes["west"].folder)]
    done = await asyncio.to_thread(CliRunner().invoke, root, words)
    return {"code": done.exit_code, **json.loads(done.stdout)}


def image_of(world: w.World, journey: str) -> Digest | None:
    """Return what a journey's aggregator was prepared in."""
    done = [act for _, act in world.history(journey=journey)]
    return next((a.environment for a in done if isinstance(a, acts.JourneyPrepared)), None)


async def test_a_host_keeps_the_image_of_a_journey_in_course(tmp_path: Path) -> None:
    """Though it is on no route: as central says, or, where central is away, to be safe."""
    route = {"stations": ("north", "south"), "quorum": 2}
    places = ("north", "south", "west")
    async with w.inhabited(w.here(tmp_path), *places, aggregator="west") as world:
        journey = await world.depart(MEAN, parameters={"rounds": 2, "seconds": 30}, **route)
        image = await w.eventually(lambda: image_of(world, journey))
        assert image is not None
        refused = await forget(world, image)
        assert (refused["code"], refused["detail"]["journeys"]) == (5, [journey])
        await world.tell(acts.JourneyCancelled, journey, reason="enough")
        assert "not in the store" in (await forget(world, image))["refused"]
        arrived = await world.depart(MEAN, **route)
        await world.arrived(arrived)
        await world.central.stop()
        refused = await forget(world, image)
        # Of the journey that arrived the host knows by itself.
        assert (refused["code"], refused["detail"]["journeys"]) == (5, [journey])
