"""Journeys in an image: fetched from central or a registry, imported, damaged, or not to be had."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner
from tests.environment.built import Built, clone
from tests.environment.image.test_transfer import served  # noqa: F401 - a fixture
from tests.system import world as w
from tests.system.trains import CHAIN, MEAN, Train

from branchline.central.kept_images import images_of_journeys, remove_image
from branchline.central.store import Store as CentralStore
from branchline.cli.root import root
from branchline.environment.image import registry
from branchline.environment.image.images import open_image
from branchline.environment.image.store import Store
from branchline.environment.image.transfer import export_image
from branchline.environment.image.trees import materialise
from branchline.environment.service import ImageService
from branchline.foundation.digest import Digest
from branchline.foundation.errors import NotAllowed
from branchline.journey import acts, messages
from branchline.journey.environments import DAMAGED
from branchline.journey.machine import Phase, StopPhase
from branchline.station.environments import repair
from branchline.station.settings import EnvironmentSettings

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

QUICK = {"on_decline": "skip", "quorum": 1}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, built_environment: Built
) -> AsyncIterator[w.World]:
    """Two stations and a study that demands environments which can be built again.

    Central and south have all layers of the image, though not the image; north has nothing.
    """
    laid_out = w.here(tmp_path_factory.mktemp("world"))
    clone(built_environment.store, laid_out.home / "environments")
    async with w.inhabited(laid_out, "north", "south", allow_not_reproducible=False) as inhabited:
        clone(built_environment.store, inhabited.homes["south"].images)
        yield inhabited


def locked(train: Train, built: Built) -> Train:
    """Return a train with the lock of the environment that was built."""
    manifest = re.sub(r"python = .*", 'lock = "branchline.lock"', train.manifest)
    files = {"branchline.lock": built.lock.text.encode(), "pylock.toml": built.locked.pylock}
    return dataclasses.replace(train, manifest=manifest, files=files)


def forget(world: w.World, station: str, built: Built) -> None:
    """Take the image from a station; its layers stay."""
    name = built.image.digest.removeprefix("sha256:")
    shutil.rmtree(world.homes[station].images / "images" / name, ignore_errors=True)


def stops(status: messages.JourneyStatus) -> dict[str, tuple[StopPhase, str]]:
    """Return where each stop stands, and why."""
    return {stop.station: (stop.phase, stop.reason) for stop in status.stops}


@pytest.mark.parametrize("environment", ['python = ["numpy"]', f'image = "sha256:{"1" * 64}"'])
async def test_a_train_without_a_lock_is_not_permitted(world: w.World, environment: str) -> None:
    """Neither this machine's own Python nor an image by its digest alone can be built again."""
    manifest = re.sub(r"python = .*", environment, MEAN.manifest)
    with pytest.raises(NotAllowed, match="reproducible environments only"):
        await world.depart(dataclasses.replace(MEAN, manifest=manifest))


async def test_a_journey_runs_in_the_image_that_central_has(
    world: w.World, built_environment: Built
) -> None:
    """North fetches all of it, south what it lacks, the aggregator is in it, and all of them say so."""
    image = built_environment.image.digest
    service = ImageService(world.pi.client)
    await service.push(image, built_environment.store, lambda said: None)
    journey = await world.depart(locked(MEAN, built_environment))
    result = await world.arrived(journey)
    assert result["mean"] == pytest.approx(w.mean_age(1, 2), rel=1e-12)
    done = [act for _, act in world.history(journey=journey)]
    accepted = [act for act in done if isinstance(act, acts.StopAccepted)]
    assert {(a.station, a.environment, a.reproducible) for a in accepted} == {
        ("north", image, True),
        ("south", image, True),
    }
    assert [a.environment for a in done if isinstance(a, acts.JourneyPrepared)] == [image]
    for station in ("north", "south"):
        assert open_image(Store(world.homes[station].images), image).layers


async def test_a_flipped_byte_is_refused_and_repaired(
    world: w.World, built_environment: Built
) -> None:
    """Nothing runs in a damaged image; repaired from central, the train comes again and runs."""
    image, home = built_environment.image, world.homes["south"]
    tree = materialise(image, Store(home.images))
    file = tree.local / "lib/python3.11/dist-packages/numpy/__init__.py"
    changed = file.read_bytes().replace(b"NumPy", b"NumPi", 1)
    # Put in its place: the content itself is a file that the tests' own store shares.
    file.parent.chmod(0o755)
    file.unlink()
    file.write_bytes(changed)
    journey = await world.depart(locked(CHAIN, built_environment), quorum=2)
    status = await world.until(journey, lambda status: status.phase == Phase.WAITING)
    assert stops(status)["south"] == (StopPhase.FAILED, DAMAGED)
    await check_kept(world, image.digest, journey)
    told: list[str] = []
    assert await repair(home, image.digest, told.append) >= 1
    assert await repair(home, image.digest, told.append) == 0
    await world.tell(acts.StopRetried, journey, station="south")
    assert (await world.arrived(journey))["sums"][0] == 120
    assert images_of_journeys(world.home, CentralStore(world.home)) == {}


async def check_kept(world: w.World, image: Digest, journey: str) -> None:
    """While a journey is in course, neither central nor a station lets go of its image."""
    central = ["central", "images", "remove", image, "--home", str(world.home)]
    station = ["station", "environment", "gc", "--forget", image]
    station += ["--home", str(world.homes["north"].folder)]
    for words in (central, station):
        done = await asyncio.to_thread(CliRunner().invoke, root, [*words, "--json"])
        assert done.exit_code == 5, done.output
        assert json.loads(done.stdout)["detail"]["journeys"] == [journey]
    listed = ["central", "images", "list", "--home", str(world.home), "--json"]
    done = await asyncio.to_thread(CliRunner().invoke, root, listed)
    (found,) = json.loads(done.stdout)["images"]
    assert (found["digest"], found["missing"], found["journeys"]) == (image, 0, [journey])
    assert open_image(Store(world.homes["north"].images), image).layers


async def test_an_image_that_is_nowhere_is_declined_until_it_is_imported(
    world: w.World, built_environment: Built, tmp_path: Path
) -> None:
    """The sentence names the image and the ways; a file on a stick is one of them."""
    image, home = built_environment.image.digest, world.homes["south"]
    train = locked(CHAIN, built_environment)
    remove_image(world.home, world.clock, CentralStore(world.home), image)
    forget(world, "south", built_environment)
    status = await world.ended(await world.depart(train, **QUICK))
    phase, reason = stops(status)["south"]
    assert (status.phase, phase) == (Phase.ARRIVED, StopPhase.DECLINED)
    for word in (image, "environment push", "registry", "environment import"):
        assert word in reason
    file = tmp_path / "stick.image"
    await asyncio.to_thread(export_image, built_environment.store, built_environment.image, file)
    words = ["station", "environment", "import", str(file), "--image", image]
    done = await asyncio.to_thread(
        CliRunner().invoke, root, [*words, "--home", str(home.folder), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert (await world.arrived(await world.depart(train, quorum=2)))["sums"][0] == 120


async def test_a_registry_is_asked_when_central_has_nothing(
    world: w.World,
    built_environment: Built,
    served: str,  # noqa: F811 - the fixture
) -> None:
    """Named in station.toml; believed for the digest only."""
    repository = f"{served}/hospital/environments"
    to = registry.parse_reference(repository)
    await asyncio.to_thread(registry.push, built_environment.store, built_environment.image, to)
    forget(world, "south", built_environment)
    world.settle("south", environments=EnvironmentSettings(registry=repository))
    await world.restart("south")
    journey = await world.depart(locked(CHAIN, built_environment), quorum=2)
    assert (await world.arrived(journey))["sums"][0] == 120
