"""In what a command runs: the project's locked environment, or this machine as it is."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from branchline.environment.image.store import Store
from branchline.environment.lock.model import LOCK_NAME
from branchline.environment.mount import mount_image
from branchline.environment.named import image_named
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Unavailable
from branchline.project.runs.process import Ended, execute
from branchline.sandbox import seccomp, walls
from branchline.sandbox.gate import Gate
from branchline.sandbox.process import Descriptors
from branchline.sandbox.walls import PersonalJob

Shown = tuple[IO[bytes] | None, IO[bytes] | None]


@dataclass(frozen=True)
class Place:
    """Where commands run.

    Args:
        image: The environment's image; None for this machine as it is.
        store: Where the image is.
        network: Whether a command in the image sees this machine's network.
    """

    image: Digest | None
    store: Store | None = None
    network: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what a record says of it."""
        if self.image is not None:
            return {"image": self.image, "network": self.network}
        return {"host": f"{platform.system()} {platform.release()} {platform.machine()}"}

    def run(
        self, words: Sequence[str], folder: Path, seed: int, shown: Shown = (None, None)
    ) -> Ended:
        """Run a command here, with one folder of this machine.

        Args:
            words: The command.
            folder: Its working folder; in an image, all that it sees beside it.
            seed: Given to it as ``BRANCHLINE_SEED``.
            shown: Where what it prints is passed on to.

        Raises:
            NotFound: There is no such program, or image.
            Unavailable: bubblewrap is not installed.
            Corrupt: The image is not what was built; nothing was run.
        """
        more = {"BRANCHLINE_SEED": str(seed), "PYTHONHASHSEED": str(seed % 2**32)}
        if self.image is None or self.store is None:
            return execute(words, folder, {**os.environ, **more}, shown=shown)
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise Unavailable("bwrap was not found", advice="Install the package bubblewrap")
        mount = mount_image(self.store, self.image)
        job = PersonalJob(mount, words, folder, self.network, more)
        descriptors, gate = Descriptors(), Gate()
        try:
            filters = [descriptors.memory(f) for f in seccomp.filters(network=self.network)]
            files = [descriptors.memory(text.encode()) for _, text in mount.files]
            line = walls.personal(bwrap, job, filters, files, gate.shown)
            inherited = [*descriptors.opened, gate.shown]
            with gate:
                return execute(
                    line,
                    folder,
                    os.environ,
                    inherited=inherited,
                    shown=shown,
                    started=lambda process: gate.hold(process, mount.verify),
                )
        finally:
            descriptors.close()


def place_of(root: Path, store: Store, *, host: bool = False, network: bool = False) -> Place:
    """Return where a project's commands run: in its lock's image, if it has a lock.

    Args:
        root: The project.
        store: Where images are.
        host: On this machine as it is, whatever the lock says.
        network: Whether a command in the image sees this machine's network.

    Raises:
        Refused: The lock names no image.
        Corrupt: The lock was changed since it was written.
    """
    if host or not (root / LOCK_NAME).exists():
        return Place(None)
    return Place(image_named(root), store, network)
