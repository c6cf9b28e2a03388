"""Environments made ready: from the store, else from whoever has them, and never anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.environment.image.makers import small_image
from tests.train.locks import lock

from branchline.environment.errors import EnvironmentDamaged
from branchline.environment.host import describe_host
from branchline.environment.image.image import Image
from branchline.environment.image.store import Store
from branchline.environment.image.transfer import export_image, import_image
from branchline.environment.mount import ImageMount
from branchline.foundation.digest import Digest
from branchline.foundation.errors import BranchlineError, Corrupt, NotFound, Refused, Unavailable
from branchline.journey.environments import EnvironmentAbsent, Environments, Progress
from branchline.train.environment import TrainEnvironment

WAYS = "bring it"


@dataclass
class Simulated:
    """Where images come from, at a test's word.

    Args:
        name: What it is called.
        file: An exported image; None to have nothing.
        trouble: Raised in place of anything else.
    """

    name: str = "central"
    file: Path | None = None
    trouble: BranchlineError | None = None
    asked: list[Digest] = field(default_factory=list)

    async def fetch(self, digest: Digest, store: Store, progress: Progress) -> None:
        """Import the file."""
        self.asked.append(digest)
        progress("fetching")
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        if self.file is None:
            raise NotFound("It is not here")
        import_image(store, self.file, digest=digest)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """Make a small image, exported to a file."""
    elsewhere = Store(tmp_path / "elsewhere")
    made = small_image(elsewhere)
    export_image(elsewhere, made, tmp_path / "file")
    return made


@pytest.fixture
def has(tmp_path: Path, image: Image) -> Callable[[str], Simulated]:
    """Give a function that makes a source that has the image."""
    return lambda name: Simulated(name, tmp_path / "file")


def at(folder: Path, *sources: Simulated) -> Environments:
    """Return the environments of a program with an empty store."""
    return Environments(folder / "store", sources, WAYS)


async def test_an_image_is_fetched_once_and_then_at_hand(
    tmp_path: Path, image: Image, has: Callable[[str], Simulated]
) -> None:
    """However many ask at the same time, and whatever becomes of the source."""
    source = has("central")
    environments, wanted = at(tmp_path, source), TrainEnvironment(image.digest)
    found = await asyncio.gather(*(environments.ready(wanted) for _ in range(4)))
    assert source.asked == [image.digest]
    assert {(each.digest, each.reproducible) for each in found} == {(image.digest, False)}
    again = await at(tmp_path).ready(wanted)
    assert isinstance(again.mount, ImageMount)
    again.mount.verify()


async def test_sources_are_asked_in_their_order(
    tmp_path: Path, image: Image, has: Callable[[str], Simulated]
) -> None:
    """Whoever has nothing is passed over; after the one who has it nobody is asked."""
    sources = [Simulated("central"), has("registry"), has("other")]
    await at(tmp_path, *sources).ready(TrainEnvironment(image.digest))
    assert [len(source.asked) for source in sources] == [1, 1, 0]


async def test_an_image_that_nobody_has_is_told_with_the_ways_there_are(
    tmp_path: Path, image: Image
) -> None:
    """The sentence names the digest, and may leave a station."""
    with pytest.raises(EnvironmentAbsent) as told:
        await at(tmp_path, Simulated(), Simulated()).ready(TrainEnvironment(image.digest))
    assert image.digest in told.value.refused
    assert told.value.refused.endswith(WAYS)
    assert str(tmp_path) not in str(told.value)


async def test_whoever_cannot_be_asked_now_may_have_it(tmp_path: Path, image: Image) -> None:
    """Then waiting helps, and the image does not count as absent."""
    away = Simulated(trouble=Unavailable("It is away"))
    with pytest.raises(Unavailable):
        await at(tmp_path, away, Simulated()).ready(TrainEnvironment(image.digest))


async def test_one_who_is_away_does_not_stop_the_next(
    tmp_path: Path, image: Image, has: Callable[[str], Simulated]
) -> None:
    """Central away, the registry has it: the train runs."""
    away = Simulated(trouble=Unavailable("It is away"))
    await at(tmp_path, away, has("registry")).ready(TrainEnvironment(image.digest))


async def test_what_comes_damaged_is_not_used(tmp_path: Path, image: Image) -> None:
    """Nor is anybody else asked: somebody has to look at this."""
    lies = Simulated(trouble=Corrupt("The layer has other bytes"))
    environments = at(tmp_path, lies)
    with pytest.raises(Corrupt):
        await environments.ready(TrainEnvironment(image.digest))
    with pytest.raises(Corrupt):
        await environments.ready(TrainEnvironment(image.digest))


async def test_a_flipped_byte_is_noticed_before_anything_runs(
    tmp_path: Path, image: Image, has: Callable[[str], Simulated]
) -> None:
    """The file is named, for whoever keeps the machine."""
    ready = await at(tmp_path, has("central")).ready(TrainEnvironment(image.digest))
    assert isinstance(ready.mount, ImageMount)
    file = ready.mount.trees.debian / "usr" / "bin" / "tool"
    file.chmod(0o755)
    file.write_bytes(file.read_bytes().replace(b"tool", b"fool"))
    with pytest.raises(EnvironmentDamaged, match="/usr/bin/tool"):
        ready.mount.verify()


async def test_an_image_of_another_lock_is_not_the_trains(
    tmp_path: Path, image: Image, has: Callable[[str], Simulated]
) -> None:
    """A lock that names an image that was not built from it does not get it."""
    claimed = TrainEnvironment(image.digest, lock("numpy==2.4.0", image=image.digest))
    with pytest.raises(Refused, match="not built from the lock"):
        await at(tmp_path, has("central")).ready(claimed)


async def test_without_an_image_it_is_this_machines_own(tmp_path: Path) -> None:
    """Described by its digest, which nobody can build again; nothing is fetched."""
    source = Simulated()
    environments = at(tmp_path, source)
    ready = await environments.ready(TrainEnvironment(python=("numpy",)))
    assert (ready.digest, ready.reproducible) == (describe_host().digest, False)
    assert source.asked == []
    with pytest.raises(Refused, match="lacks no-such-thing"):
        await environments.ready(TrainEnvironment(python=("numpy", "no-such-thing")))
