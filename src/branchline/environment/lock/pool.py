"""Files by their SHA-256: the `.deb`s and wheels that locks name.

A pool takes nothing in that it has not hashed itself, and a name appears in it only once its bytes
are durable: a program that is killed leaves at most a stray ``.….tmp``, which is never read.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from branchline.environment.lock.leftovers import clear_fetching, held_folder
from branchline.foundation.durable import make_folder, sync_file, sync_folder
from branchline.foundation.errors import Corrupt, NotFound, Refused

_NAME = re.compile(r"[0-9a-f]{64}")


class Pool:
    """Keep files in one folder, each under its SHA-256.

    Any number of programs may use one pool at once: a name always stands for the same bytes.

    Args:
        folder: Where they are kept; made when the first file comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Return where a file is or would be.

        Raises:
            Refused: Not 64 lower-case hexadecimal digits.
        """
        if not _NAME.fullmatch(sha256):
            raise Refused(f"{sha256[:80]!r} is not a SHA-256")
        return self.folder / sha256

    def has(self, sha256: str) -> bool:
        """Tell whether a file is here; its bytes were right when it came."""
        return self.path(sha256).is_file()

    def adopt(self, file: Path, sha256: str, size: int, what: str = "") -> Path:
        """Move a file in, durably, once its bytes are what they must be.

        Args:
            file: The file; gone afterwards. It may lie on another file system.
            sha256: What its bytes must hash to.
            size: How many bytes it must have.
            what: What it is, for the error's sentence.

        Returns:
            Where it is now.

        Raises:
            Corrupt: It has another size or hash. The file stays where it was.
        """
        target = self.path(sha256)
        what = what or file.name
        _check(file, sha256, size, what)
        make_folder(self.folder, 0o755)
        temporary = self.folder / f".{sha256[:16]}.{secrets.token_hex(4)}.tmp"
        try:
            try:
                os.replace(file, temporary)
            except OSError:  # another file system
                shutil.copyfile(file, temporary)
                _check(temporary, sha256, size, what)
            temporary.chmod(0o444)
            sync_file(temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(self.folder)
        file.unlink(missing_ok=True)
        return target

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder for files on their way in: beside the pool, on its file system.

        What killed programs left is removed by whoever needs one next.
        """
        beside = make_folder(self.folder.parent / "fetching", 0o755)
        clear_fetching(beside)
        with held_folder(beside) as folder:
            yield folder

    def verified(self, sha256: str, size: int, what: str) -> Path:
        """Return a file's path after its bytes were read and found to be right.

        A file whose bytes have changed is taken out: it is no good to anybody under its name, and
        whoever fetches next gets it anew.

        Raises:
            NotFound: It is not here.
            Corrupt: Its bytes have changed.
        """
        path = self.path(sha256)
        try:
            _check(path, sha256, size, what)
        except FileNotFoundError:
            raise NotFound(f"{what} is not in the store") from None
        except Corrupt as error:
            raise Corrupt(
                f"The store's copy is damaged: {error.refused}", advice=_taken_out(path)
            ) from error
        return path


def _taken_out(path: Path) -> str:
    """Take a damaged file out, if it may be, and return what remains to be done."""
    try:
        path.unlink()
    except OSError:
        return f"Remove {path}, then do the same again with the network"
    return "It was taken out: do the same again, and it is fetched anew"


def _check(file: Path, sha256: str, size: int, what: str) -> None:
    """Refuse a file whose bytes are not the ones named."""
    state, seen = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            state.update(piece)
            seen += len(piece)
    if seen != size:
        cut = "it is cut short" if seen < size else "it is too long"
        raise Corrupt(f"{what} has {seen} bytes and must have {size}: {cut}")
    if state.hexdigest() != sha256:
        raise Corrupt(f"{what} has the SHA-256 {state.hexdigest()} and must have {sha256}")
