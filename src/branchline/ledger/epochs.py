"""One actor's secrets, one for each epoch: made where they are used, and never leaving.

A new epoch ends the grants of class keys. The secrets of earlier epochs stay, since they open what
was sealed with them.
"""

from __future__ import annotations

from pathlib import Path

from branchline.foundation.durable import make_folder
from branchline.foundation.errors import NotFound
from branchline.foundation.keys import kept_secret
from branchline.ledger.beside import Beside
from branchline.ledger.classes import ActorSecret
from branchline.ledger.entry import Entry

FOLDER = "epochs"
"""The name of the folder among an actor's keys."""


class Epochs:
    """The secrets of one actor, each in a file named by its epoch, counted from 1.

    Whoever signs looks at the folder each time, so that a command may begin an epoch while the
    program runs.

    Args:
        keys: The folder of the actor's keys; the first secret is made when it is first needed.
    """

    def __init__(self, keys: Path) -> None:
        self._folder = keys / FOLDER
        self._read: dict[int, ActorSecret] = {}

    def current(self) -> ActorSecret:
        """Return the secret with which entries are sealed now, made if it is the first.

        Raises:
            Corrupt: Its file is damaged.
        """
        return self._secret(max(self.numbers, default=1))

    @property
    def numbers(self) -> list[int]:
        """The epochs there are, ascending."""
        if not self._folder.is_dir():
            return []
        return sorted(int(file.name) for file in self._folder.iterdir() if file.name.isdigit())

    def begin_next(self) -> ActorSecret:
        """Begin an epoch: a new secret that follows from none before."""
        return self._secret(self.current().epoch + 1)

    def secret(self, epoch: int) -> ActorSecret:
        """Return the secret of an epoch.

        Raises:
            NotFound: There was no such epoch here.
            Corrupt: Its file is damaged.
        """
        if epoch not in self.numbers:
            raise NotFound(f"There is no secret of an epoch {epoch} here")
        return self._secret(epoch)

    def key_for(self, entry: Entry, beside: Beside, name: str) -> bytes | None:
        """Return the key of an entry's part in a class, unless it was erased."""
        if beside.epoch not in self.numbers:
            return None
        return self._secret(beside.epoch).key_for(entry, beside, name)

    def _secret(self, epoch: int) -> ActorSecret:
        if epoch not in self._read:
            made = kept_secret(make_folder(self._folder) / str(epoch))
            self._read[epoch] = ActorSecret(epoch, made)
        return self._read[epoch]
