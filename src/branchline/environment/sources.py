"""Where a program gets images that are not in its store."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from branchline.environment.service import LARGEST, Progress, Supplier, fetch_image
from branchline.foundation.digest import Digest
from branchline.foundation.errors import NotAllowed, NotFound

if TYPE_CHECKING:
    from branchline.environment.image.store import Store

log = logging.getLogger("branchline.environment")


class ServiceSource:
    """A service with an image area, as central is.

    Args:
        supplier: Gives its images.
        limit: The most bytes of an image that is taken.
    """

    def __init__(self, supplier: Supplier, limit: int = LARGEST) -> None:
        self._supplier, self._limit = supplier, limit

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return self._supplier.name

    async def fetch(self, digest: Digest, store: Store, progress: Progress) -> None:
        """Bring an image into the store."""
        await fetch_image(self._supplier, digest, store, progress, self._limit)


class RegistrySource:
    """A repository of an OCI registry; images are asked for by their digest.

    Args:
        repository: ``HOST[:PORT]/NAME``.

    Raises:
        Refused: It is no repository.
    """

    def __init__(self, repository: str) -> None:
        from branchline.environment.image.registry import parse_reference

        self._reference = parse_reference(repository)
        self.name = f"the registry {repository}"

    async def fetch(self, digest: Digest, store: Store, progress: Progress) -> None:
        """Bring an image into the store."""
        from branchline.environment.image.registry import pull

        try:
            await asyncio.to_thread(pull, store, self._reference, digest, progress=progress)
        except NotAllowed as error:
            # Whoever runs this program has to see to its credentials; other ways are still open.
            log.error("%s", error)
            raise NotFound(f"Nothing is to be had from {self.name}") from error
