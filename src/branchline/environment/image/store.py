"""The store: what locks name, what images are made of, images, and trees laid out of them.

::

    debs/ wheels/ condas/ texts/   what locks name, by SHA-256
    objects/                 contents of files, each once
    layers/                  <digest>.json: paths of a layer; by-key/: which layer comes of what
    images/<digest>/         manifest, configuration, lock, SBOM, signature
    trees/                   root filesystems, hard links to objects, with their indexes
    held/                    lock files: who builds what just now
    temp/                    what is being made; each folder is held by its maker
    logs/                    what failed builds printed
    filters/                 system-call filters for commands, made once

A name stands for complete, checked content: everything is made under `temp/` and renamed. Any
number of programs may use a store at once; only collecting garbage waits until nobody builds.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from branchline.environment.image.entries import Entry, Layer, layer_record, parse_layer
from branchline.environment.image.objects import Objects
from branchline.environment.lock.pool import Pool
from branchline.foundation.digest import Digest, parse_digest
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import Corrupt, NotFound, Refused, Unavailable

_BY_KEY = "by-key"


def default_store_folder() -> Path:
    """Return where this user's store is: $BRANCHLINE_STORE, else in the user's cache folder."""
    named = os.environ.get("BRANCHLINE_STORE")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "branchline" / "environments"


class Store:
    """One folder with everything environments need.

    Args:
        folder: Where it is; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder.absolute(), 0o755)
        for name in ("objects", "layers", f"layers/{_BY_KEY}", "images", "trees", "held", "temp"):
            make_folder(self.folder / name, 0o755)
        self.debs = Pool(self.folder / "debs")
        self.wheels = Pool(self.folder / "wheels")
        self.condas = Pool(self.folder / "condas")
        self.texts = Pool(self.folder / "texts")
        self.objects = Objects(self.folder / "objects")
        self._remover = ThreadPoolExecutor(1)
        self._removals: list[Future[None]] = []

    @property
    def images(self) -> Path:
        """The folder of images."""
        return self.folder / "images"

    @property
    def trees(self) -> Path:
        """The folder of trees."""
        return self.folder / "trees"

    @property
    def filters(self) -> Path:
        """The folder of system-call filters that commands in environments run under."""
        return self.folder / "filters"

    @property
    def logs(self) -> Path:
        """The folder of what failed builds printed; made when it is asked for."""
        return make_folder(self.folder / "logs", 0o755)

    # --- layers

    def layer(self, digest: Digest) -> Layer:
        """Return a layer's record; contents are not looked at.

        Raises:
            NotFound: There is no such layer.
            Corrupt: Its record has changed.
        """
        file = self._layer_file(digest)
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"The layer {digest} is not in the store") from None
        return parse_layer(data, digest)

    def layer_of_key(self, key: Digest) -> Layer | None:
        """Return the layer that comes of some inputs, if it is here with all its contents."""
        try:
            text = (self.folder / "layers" / _BY_KEY / _plain(key)).read_text("ascii")
            layer = self.layer(parse_digest(text))
        except (FileNotFoundError, NotFound, Corrupt, Refused):
            return None
        return layer if self.has_contents(layer.entries) else None

    def has_contents(self, entries: Sequence[Entry]) -> bool:
        """Tell whether all contents are here and look untouched."""
        return all(self.objects.has(entry) for entry in entries if entry.kind == "file")

    def add_layer(self, layer: Layer, key: Digest | None = None) -> None:
        """Enter a layer whose contents are here.

        Not synchronised: a power cut may take the entry or contents, and either is noticed.
        """
        self.write(self._layer_file(layer.digest), layer_record(layer))
        if key is not None:
            self.write(self.folder / "layers" / _BY_KEY / _plain(key), layer.digest.encode())

    def has_layer(self, digest: Digest) -> bool:
        """Tell whether a layer is here with all its contents."""
        try:
            return self.has_contents(self.layer(digest).entries)
        except (NotFound, Corrupt):
            return False

    def _layer_file(self, digest: Digest) -> Path:
        return self.folder / "layers" / f"{_plain(digest)}.json"

    def write(self, file: Path, data: bytes) -> None:
        """Write a file whole or not at all; durable with the next synchronisation."""
        temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
        temporary.write_bytes(data)
        os.replace(temporary, file)

    # --- work under way

    @contextmanager
    def temporary(self, what: str, *, aside: bool = False) -> Iterator[Path]:
        """Give a folder to make something in; it is removed at the end, whatever happens.

        No garbage is collected meanwhile.

        Args:
            what: What is made, for the folder's name.
            aside: Nobody waits for its removal before `tidied`; only while `building`.
        """
        with self.building():
            folder = self.folder / "temp" / f"{what}.{secrets.token_hex(4)}"
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                if aside:
                    self._removals.append(self._remover.submit(remove, folder))
                else:
                    remove(folder)

    def tidied(self) -> None:
        """Wait until what is removed aside is gone."""
        while self._removals:
            self._removals.pop().result()

    def sweep(self) -> int:
        """Remove what killed programs left under `temp/`; return how many folders.

        Only for one who is alone with the store: see `collecting`.
        """
        left = list((self.folder / "temp").iterdir())
        for folder in left:
            remove(folder)
        return len(left)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Keep garbage from being collected while something is made of what is here."""
        with self._held("store", fcntl.LOCK_SH):
            yield

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Be alone with the store.

        Raises:
            Unavailable: Something is being built.
        """
        try:
            with self._held("store", fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield
        except BlockingIOError:
            raise Unavailable(
                "Something is being built in the store just now",
                advice="Try again when it is done",
            ) from None

    @contextmanager
    def making(self, name: str) -> Iterator[None]:
        """Make a thing alone; whoever wants to make the same waits, and then finds it made."""
        with self._held(name, fcntl.LOCK_EX):
            yield

    @contextmanager
    def _held(self, name: str, how: int) -> Iterator[None]:
        descriptor = os.open(self.folder / "held" / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def synchronise(self) -> None:
        """Make everything that was written so far durable."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # One call for thousands of files; Python has none of its own.
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(self.folder))
        finally:
            os.close(descriptor)

    def publish(self, folder: Path, target: Path) -> None:
        """Give a folder made under `temp/` its name, durably; one that is there stays."""
        self.synchronise()
        try:
            os.rename(folder, target)
        except OSError:
            if not target.is_dir():
                raise
        self.synchronise()


def remove(folder: Path) -> None:
    """Remove a folder with everything in it, read-only folders included."""

    def allow(function: object, path: str, error: object) -> None:
        # A package may have made its folder read-only.
        os.chmod(os.path.dirname(path), 0o700)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            shutil.rmtree(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    shutil.rmtree(folder, onerror=allow)


def _plain(digest: Digest) -> str:
    return digest.removeprefix("sha256:")
