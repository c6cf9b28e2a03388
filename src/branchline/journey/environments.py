"""Make a train's environment ready: from the store here, else from wherever images come from.

The same at a station, at whoever combines, and in ``train try``. Nothing is ever built here: what a
train runs in was built and named by its author, and signed with the train.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from branchline.foundation.digest import Digest
from branchline.foundation.errors import NotFound, Refused, Unavailable
from branchline.sandbox.engine import EnvironmentMount
from branchline.train.environment import TrainEnvironment

if TYPE_CHECKING:
    from branchline.environment.host import HostEnvironment
    from branchline.environment.image.store import Store

Progress = Callable[[str], None]
"""Told in a few words what is being done."""


DAMAGED = "The copy of the train's environment there is damaged, so nothing runs in it"
"""What may be told of an image that is not what was built; the file's name stays in a log."""


class EnvironmentAbsent(NotFound):
    """An image that is nowhere to be had; the sentence may leave a station."""


class Source(Protocol):
    """Where images come from that are not in the store."""

    @property
    def name(self) -> str:
        """Return what it is called in a sentence, such as "central"."""
        ...

    async def fetch(self, digest: Digest, store: Store, progress: Progress) -> None:
        """Bring an image into the store, every byte checked against the digest.

        Raises:
            NotFound: It is not there.
            Unavailable: It cannot be told now; trying again may help.
            Corrupt: What came is not the image.
        """
        ...


@dataclass(frozen=True)
class Ready:
    """An environment that a train can run in.

    Args:
        mount: What a sandbox shows.
        digest: Its name: the image's, or that of a description of this machine's own.
        reproducible: Whether it can be built again from the train alone.
    """

    mount: EnvironmentMount
    digest: Digest
    reproducible: bool


class Environments:
    """The environments at hand on this machine.

    Args:
        store: The folder of images.
        sources: Asked in this order for images that are not there.
        ways: How an image that nobody has can get here, to end a sentence with.
    """

    def __init__(self, store: Path, sources: Sequence[Source], ways: str) -> None:
        self._folder, self._sources, self._ways = store, tuple(sources), ways
        self._fetching: dict[Digest, asyncio.Lock] = {}
        self._host: HostEnvironment | None = None

    async def ready(
        self, wanted: TrainEnvironment, progress: Progress = lambda said: None
    ) -> Ready:
        """Make what a train names ready.

        Raises:
            EnvironmentAbsent: The image is nowhere to be had.
            Unavailable: It may be had later.
            Corrupt: What is here, or came, is not the image; nothing of it is used.
            Refused: It was not built from the train's lock; or this machine's own environment lacks
                what the train imports.
        """
        if wanted.image is None:
            return await asyncio.to_thread(self._own, wanted)
        async with self._fetching.setdefault(wanted.image, asyncio.Lock()):
            found = await asyncio.to_thread(self._find, wanted, wanted.image)
            if found is None:
                await self.fetch(wanted.image, progress)
                found = await asyncio.to_thread(self._find, wanted, wanted.image)
        if found is None:
            raise self._absent(wanted.image)
        return found

    def _own(self, wanted: TrainEnvironment) -> Ready:
        from branchline.environment.host import describe_host, missing, mounts

        if self._host is None:
            self._host = describe_host()
        if lacking := missing(self._host, wanted.python):
            raise Refused(
                f"This machine's own environment lacks {', '.join(lacking)}",
                advice="Give the train a lock, so that it brings its environment along",
            )
        return Ready(mounts(self._host), self._host.digest, reproducible=False)

    def _find(self, wanted: TrainEnvironment, digest: Digest) -> Ready | None:
        """Look for an image in the store; None if it is not there, or not whole."""
        from branchline.environment.image.images import open_image
        from branchline.environment.mount import mount_image

        store = self._store()
        try:
            image = open_image(store, digest)
            mount = mount_image(store, digest)
        except NotFound:
            return None
        if wanted.lock is not None and image.lock_digest != wanted.lock.digest:
            raise Refused(f"The environment {digest} was not built from the lock of the train")
        return Ready(mount, digest, wanted.reproducible)

    async def fetch(self, digest: Digest, progress: Progress) -> None:
        """Bring an image here from the first source that has it; what is here stays.

        Raises:
            EnvironmentAbsent: No source has it.
            Unavailable: One that may have it cannot be asked now.
            Corrupt: What came is not the image.
        """
        store, waiting = await asyncio.to_thread(self._store), None
        for source in self._sources:
            progress(f"fetching the environment from {source.name}")
            try:
                return await source.fetch(digest, store, progress)
            except NotFound:
                continue
            except Unavailable as error:
                waiting = error
        if waiting is not None:
            # Whoever could not be asked may have it.
            raise waiting
        raise self._absent(digest)

    def _store(self) -> Store:
        from branchline.environment.image.store import Store

        return Store(self._folder)

    def _absent(self, digest: Digest) -> EnvironmentAbsent:
        return EnvironmentAbsent(f"The environment {digest} is not to be had here: {self._ways}")
