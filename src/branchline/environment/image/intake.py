"""Take images in that were built elsewhere, as hostile bytes.

Nothing is believed but the image's digest, which the caller has from a lock: the manifest must have
it, the configuration and each layer must have theirs, and each layer must be the very tar that this
program would write for what is in it. What fails leaves contents behind that nothing names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from branchline.environment.image import images
from branchline.environment.image.entries import Entry, Layer, check_shape, in_order, stacked
from branchline.environment.image.image import Documents, Image, read_image
from branchline.environment.image.recipe import META
from branchline.environment.image.store import Store
from branchline.environment.image.tar import WHITEOUT, digest_and_size
from branchline.environment.image.tarball import FILE, FOLDER, SYMLINK, Member, members
from branchline.environment.lock.model import LOCK_NAME, MAX_LOCK, PYLOCK_NAME, Lock, parse_lock
from branchline.foundation.digest import Bytes, Digest, digest_from, short
from branchline.foundation.errors import Corrupt, Refused


def take_layer(store: Store, digest: Digest, title: str, pieces: Iterable[Bytes]) -> Layer:
    """Take a layer in from its tar.

    Args:
        store: Where it goes.
        digest: What the tar must hash to.
        title: What it holds, as the image's configuration says.
        pieces: The tar, uncompressed, in pieces.

    Raises:
        Corrupt: The bytes are not the layer's.
        Refused: The layer is not in the one form of this program's images.
    """
    what = f"The layer {short(digest)}"
    source = _Hashed(pieces)
    with store.temporary("layer") as scratch:
        entries = [_take(member, store, scratch, what) for member in members(source, what)]
        source.drain()
    if source.digest != digest:
        raise Corrupt(f"{what} has other bytes than its image names: {source.digest}")
    ordered = in_order(entries)
    again, size = digest_and_size(ordered, store.objects.pieces)
    if again != digest or len({entry.path for entry in ordered}) != len(ordered):
        raise Refused(
            f"{what} is a tar of another form than Branchline writes",
            advice="Only images built by 'branchline environment build' can be taken in",
        )
    layer = Layer(digest, size, title, ordered)
    store.add_layer(layer)
    return layer


def take_image(store: Store, documents: Documents, digest: Digest) -> Image:
    """Enter an image whose layers have been taken in, and the lock it carries.

    Raises:
        Corrupt: The documents are not the image's, or its lock is not the one it names.
        NotFound: A layer is missing.
        Refused: A path leads out of the image.
    """
    image = read_image(documents, digest)
    layers = [store.layer(layer.digest) for layer in image.layers]
    seen = stacked([layer.entries for layer in layers])
    check_shape(seen)
    lock = _lock(store, image, seen)
    if lock is not None and lock.python is not None:
        _take_pylock(store, lock, seen)
    return images.add(store, documents, lock=lock)


def missing_layers(store: Store, image: Image) -> list[Digest]:
    """Return the layers of an image that are not in the store with all their contents."""
    return [layer.digest for layer in image.layers if not store.has_layer(layer.digest)]


def _lock(store: Store, image: Image, seen: dict[str, Entry]) -> Lock | None:
    if image.lock_digest is None:
        return None
    entry = seen.get(f"{META}/{LOCK_NAME}")
    if entry is None or entry.kind != "file" or entry.size > MAX_LOCK:
        raise Corrupt(f"The image {image.digest} does not hold the lock it names")
    lock = parse_lock(_content(store, entry))
    if lock.digest != image.lock_digest:
        raise Corrupt(f"The image {image.digest} holds another lock than it names")
    return lock


def _take_pylock(store: Store, lock: Lock, seen: dict[str, Entry]) -> None:
    assert lock.python is not None
    sha256, entry = lock.python.pylock_sha256, seen.get(f"{META}/{PYLOCK_NAME}")
    if entry is None or entry.sha256 != sha256:
        raise Corrupt(f"The image of the lock {lock.digest} does not hold its {PYLOCK_NAME}")
    if not store.texts.has(sha256):
        with store.temporary("text") as scratch:
            file = scratch / PYLOCK_NAME
            file.write_bytes(_content(store, entry))
            store.texts.adopt(file, sha256, entry.size, PYLOCK_NAME)


def _content(store: Store, entry: Entry) -> bytes:
    content = b"".join(store.objects.pieces(entry))
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise Corrupt(f"The content of {entry.path!r} in the store has changed")
    return content


def _take(member: Member, store: Store, scratch: Path, what: str) -> Entry:
    path = member.name.rstrip("/") if member.kind == FOLDER else member.name
    folder, separator, name = path.rpartition("/")
    if name.startswith(WHITEOUT) and member.kind == FILE and member.size == 0:
        return Entry(folder + separator + name.removeprefix(WHITEOUT), "gone")
    if not path or len(path) > 4096 or member.mode & ~0o1777:
        raise Refused(f"{what} has {path[:120]!r} with the mode {member.mode:o}")
    if member.kind == FOLDER:
        return Entry(path, "folder", member.mode)
    if member.kind == SYMLINK:
        return Entry(path, "link", target=member.target)
    if member.kind != FILE:
        raise Refused(f"{what} has a device, pipe or hard link, {path[:120]!r}")
    state, file = hashlib.sha256(), scratch / "content"
    with file.open("wb", buffering=0) as target:
        for piece in member.pieces():
            state.update(piece)
            target.write(piece)
    entry = Entry(path, "file", member.mode, member.size, state.hexdigest())
    store.objects.adopt(str(file), entry)
    return entry


class _Hashed:
    """Read pieces as a stream, and hash all of it."""

    def __init__(self, pieces: Iterable[Bytes]) -> None:
        self._pieces: Iterator[Bytes] = iter(pieces)
        self._ready = memoryview(b"")
        self._state = hashlib.sha256()

    @property
    def digest(self) -> Digest:
        """The digest of what was read."""
        return digest_from(self._state.digest())

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes."""
        taken = []
        while size and (self._ready or self._more()):
            piece, self._ready = self._ready[:size], self._ready[size:]
            size -= len(piece)
            taken.append(piece)
        return b"".join(taken)

    def drain(self) -> None:
        """Read to the end: whoever gives the pieces may check something there."""
        while self._more():
            pass

    def _more(self) -> bool:
        for piece in self._pieces:
            if len(piece):
                self._state.update(piece)
                self._ready = memoryview(piece)
                return True
        return False
