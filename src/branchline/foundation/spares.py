"""Large files that nobody needs any more, each to become the next large file.

The pages of such a file are in memory and its place on disk is taken. To write over it costs a
third of what a new file costs on a virtual machine, where fresh memory is dear, and forcing it to
disk changes nothing in the file system's own records (docs/adr/0011).
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from branchline.foundation.durable import make_folder

MOST = 1 << 30
"""Bytes that all spare files together take at most."""


class Spares:
    """A folder of spare files; calls may come from any thread.

    Args:
        folder: A folder of their own, on the same disk as the files they come from and become;
            what is in it goes.
        most: Bytes they may take.
    """

    def __init__(self, folder: Path, most: int = MOST) -> None:
        self.folder, self._most = make_folder(folder), most
        self.clear()

    def open(self, file: Path) -> int:
        """Open a new file for reading and writing, made from a spare one if there is one.

        What the spare one held is still in it: whoever writes cuts it at the end.

        Args:
            file: Where; nothing is there yet.
        """
        for spare in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another thread took it
                os.rename(spare, file)
                return os.open(file, os.O_RDWR)
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def keep(self, file: Path) -> None:
        """Take a file that nobody reads any more; one that is not there is no error."""
        with suppress(FileNotFoundError):
            if self._taken() + file.stat().st_size > self._most:
                file.unlink()
            else:
                os.rename(file, self.folder / secrets.token_hex(8))

    def clear(self) -> None:
        """Remove them all."""
        for spare in self.folder.iterdir():
            spare.unlink(missing_ok=True)

    def _taken(self) -> int:
        sizes = 0
        for spare in self.folder.iterdir():
            with suppress(FileNotFoundError):
                sizes += spare.stat().st_size
        return sizes
