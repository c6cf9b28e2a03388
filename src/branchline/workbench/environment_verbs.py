"""The client's verbs on environments."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from branchline.environment.image.store import Store, default_store_folder
from branchline.environment.named import image_named
from branchline.environment.service import Progress
from branchline.foundation.digest import Digest
from branchline.foundation.errors import NotFound
from branchline.train.environment import TrainEnvironment
from branchline.workbench.core import Core
from branchline.workbench.environments import bring, build_folder, lock_folder

T = TypeVar("T")


def silent(said: str) -> None:
    """Tell nobody what is done."""


class EnvironmentVerbs:
    """Lock, build and bring environments; a part of ``Client``."""

    def lock_environment(
        self,
        folder: str | Path,
        *,
        upgrade: Sequence[str] | None = (),
        store: Path | None = None,
        offline: bool = False,
        lab: bool | None = None,
        progress: Progress = silent,
    ) -> Digest:
        """Lock what a folder's spec files ask for; return the lock's digest.

        Args:
            folder: A project's or train's folder; the lock is written there.
            upgrade: Packages that may get newer versions; None for all of them.
            store: The folder of packages and images; this person's own by default.
            offline: Ask nobody: take the package lists at hand.
            lab: Whether a Jupyter server is added; None where it stays as the earlier lock has it.
            progress: Told, in a few words, what is done.

        Raises:
            Refused: Something asked for does not exist, cannot be locked, or excludes the rest.
            Unavailable: A mirror or an index cannot be reached.
        """
        place = Store(store or default_store_folder())
        return lock_folder(Path(folder), place, progress, upgrade, offline, lab).digest

    def build_environment(
        self,
        folder: str | Path,
        *,
        store: Path | None = None,
        offline: bool = False,
        progress: Progress = silent,
    ) -> Digest:
        """Build the image of a folder's lock, and write its digest there; return it.

        Args:
            folder: A folder with a lock.
            store: The folder of packages and images; this person's own by default.
            offline: Fetch nothing: take the packages at hand.
            progress: Told, in a few words, what is done.

        Raises:
            NotFound: There is no lock, or a package is not to be had.
            Corrupt: A package is not what the lock names.
            Refused: A package cannot be built in, or another image came out than the lock names.
        """
        place = Store(store or default_store_folder())
        return build_folder(Path(folder), place, progress, offline).digest

    def push_environment(
        self,
        environment: str | Path,
        *,
        store: Path | None = None,
        progress: Progress = silent,
    ) -> Digest:
        """Bring an environment's image to central; what is there is not sent again.

        Args:
            environment: The image's digest, or a folder whose lock names it.
            store: The folder of images; this person's own by default.
            progress: Told, in a few words, what is sent.

        Raises:
            NotFound: The image, or a lock, is not on this machine.
            Refused: Central does not take it.
        """
        image = image_named(environment)
        if not self._run(lambda core: bring(core, image, progress, store)):
            raise NotFound(
                f"The image {image} is not on this machine",
                advice="Build it with 'branchline environment build'",
            )
        return image

    def _bring(self, environment: TrainEnvironment, progress: Progress) -> None:
        image = environment.image
        if image is not None:
            self._run(lambda core: bring(core, image, progress))

    def _run(self, work: Callable[[Core], Coroutine[Any, Any, T]]) -> T:
        """Do something at central and wait for it."""
        raise NotImplementedError
