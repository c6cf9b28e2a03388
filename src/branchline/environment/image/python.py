"""Build the Python layers: one for each wheel, the smallest ones sharing the last.

A wheel's layer depends on the wheel and on the Python that compiles it, on nothing else; so it is
found again in every environment that has the wheel. Modules are compiled by the image's own Python
inside the sandbox, in pieces of a fixed size: which piece a module is in, and with it its compiled
bytes, follows from the wheel alone.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from branchline.environment.image import inside
from branchline.environment.image.confine import Confined, start
from branchline.environment.image.entries import Entry, Layer, stacked, with_folders
from branchline.environment.image.normal import hashed
from branchline.environment.image.recipe import LOCAL, MOST_WHEEL_LAYERS, RECIPE
from branchline.environment.image.store import Store
from branchline.environment.image.tar import digest_and_size
from branchline.environment.image.wheel import take_apart
from branchline.environment.lock.model import Lock, PythonPart, Wheel
from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Refused, Unavailable

_CHUNK_BYTES = 1 << 20
_CHUNK_SECONDS = 600
_INSIDE = Path(inside.__file__).parent


def build_wheels(
    lock: Lock, store: Store, debian: Path, *, progress: Callable[[str], None], jobs: int
) -> list[Layer]:
    """Return the layers of a lock's wheels, those that the store has not built.

    Args:
        lock: Names the wheels, and the Python among its Debian packages.
        store: Holds the wheels, and takes the layers.
        debian: The tree of the image's Debian layers, whose Python compiles.
        progress: Told what is done.
        jobs: How many wheels are worked on, and how many compilers run, at once.

    Raises:
        NotFound: A wheel is not in the store.
        Corrupt: A wheel is not what the lock names, or not what its RECORD says.
        Refused: A wheel would write where it must not, or the image has no such Python.
    """
    if lock.python is None:
        return []
    makers = _makers(lock, lock.python.version)
    wheels = sorted(lock.python.wheels, key=lambda wheel: wheel.name)
    left = len(wheels)
    with ThreadPoolExecutor(jobs) as compilers, ThreadPoolExecutor(jobs) as installers:

        def one(wheel: Wheel) -> Layer:
            nonlocal left
            layer = _wheel_layer(wheel, lock, makers, store, debian, compilers)
            left -= 1
            progress(f"installing wheels: {left} of {len(wheels)} to go")
            return layer

        largest_first = sorted(wheels, key=lambda wheel: (-wheel.size, wheel.name))
        futures = {wheel.name: installers.submit(one, wheel) for wheel in largest_first}
        try:
            layers = {name: future.result() for name, future in futures.items()}
        finally:
            installers.shutdown(cancel_futures=True)
    alone = {wheel.name for wheel in largest_first[:MOST_WHEEL_LAYERS]}
    shared = [layers[wheel.name] for wheel in wheels if wheel.name not in alone]
    return [layers[wheel.name] for wheel in wheels if wheel.name in alone] + _shared(shared, store)


def overwritten(layers: Sequence[Layer]) -> list[str]:
    """Return the paths that more than one wheel brings with different contents."""
    seen: dict[str, Entry] = {}
    twice = set()
    for layer in layers:
        for entry in layer.entries:
            if entry.kind == "file" and seen.setdefault(entry.path, entry) != entry:
                twice.add(entry.path)
    return sorted(twice)


def _makers(lock: Lock, python: str) -> list[str]:
    """Return what decides compiled bytes: the packages of the image's Python."""
    names = (f"python{python}", f"libpython{python}")
    found = [p for p in lock.debian.packages if p.name.startswith(names)]
    if not any(package.name == f"python{python}-minimal" for package in found):
        raise Refused(
            f"The lock has wheels for Python {python}, but no Debian package of that Python",
            advice="Lock again",
        )
    return sorted(package.sha256 for package in found)


def _wheel_layer(
    wheel: Wheel,
    lock: Lock,
    makers: Sequence[str],
    store: Store,
    debian: Path,
    compilers: Executor,
) -> Layer:
    assert lock.python is not None
    key = digest_of_json({"recipe": RECIPE, "wheel": wheel.sha256, "python": makers})
    with store.making(key.removeprefix("sha256:")):
        found = store.layer_of_key(key)
        if found is not None:
            return found
        what = f"The wheel {wheel.file}"
        file = store.wheels.verified(wheel.sha256, wheel.size, what)
        with store.temporary(wheel.name) as scratch:
            entries = take_apart(file, wheel, lock.python.version, store.objects, scratch)
            for piece in _compile(entries, wheel, lock.python, store, debian, scratch, compilers):
                entries.update(piece)
        layer = _layer_of(list(entries.values()), store, f"{wheel.name} {wheel.version}")
        store.add_layer(layer, key)
        return layer


def _layer_of(entries: Sequence[Entry], store: Store, title: str) -> Layer:
    ordered = with_folders(entries)
    digest, size = digest_and_size(ordered, store.objects.pieces)
    return Layer(digest, size, title, ordered)


def _shared(layers: Sequence[Layer], store: Store) -> list[Layer]:
    """Put the layers of small wheels into one."""
    if not layers:
        return []
    key: Digest = digest_of_json({"recipe": RECIPE, "of": [layer.digest for layer in layers]})
    found = store.layer_of_key(key)
    if found is None:
        entries = list(stacked([layer.entries for layer in layers]).values())
        found = _layer_of(entries, store, f"{len(layers)} small wheels")
        store.add_layer(found, key)
    return [found]


def _compile(
    entries: dict[str, Entry],
    wheel: Wheel,
    python: PythonPart,
    store: Store,
    debian: Path,
    scratch: Path,
    compilers: Executor,
) -> Iterator[dict[str, Entry]]:
    """Compile a wheel's modules, and yield the compiled files of each piece."""
    prefix = f"{LOCAL}/lib/python{python.version}/dist-packages/"
    modules = [
        entries[path]
        for path in sorted(entries)
        if path.startswith(prefix) and path.endswith(".py")
    ]
    tag = f"cpython-{python.version.replace('.', '')}"

    def one(number_and_chunk: tuple[int, list[Entry]]) -> dict[str, Entry]:
        number, chunk = number_and_chunk
        folder = scratch / f"compiled-{number}"
        folder.mkdir()
        _run(chunk, wheel, python, store, debian, folder)
        return dict(_adopted(chunk, folder, tag, store))

    yield from compilers.map(one, enumerate(_chunks(modules)))


def _chunks(modules: Sequence[Entry]) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    size = 0
    for entry in modules:
        chunk.append(entry)
        size += entry.size
        if size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _run(
    chunk: Sequence[Entry], wheel: Wheel, python: PythonPart, store: Store, debian: Path, out: Path
) -> None:
    """Let the image's Python compile; nothing of the wheel is executed."""
    confined = Confined(
        debian,
        binds=[
            (_INSIDE, "/branchline", False),
            (store.objects.folder, "/in", False),
            (out, "/out", True),
        ],
    )
    lines = "".join(
        f"/in/{os.path.relpath(store.objects.path(entry), store.objects.folder)}\t"
        f"/out/{number}\t/{entry.path}\n"
        for number, entry in enumerate(chunk)
    )
    argv = [f"/usr/bin/python{python.version}", "-I", "-S", "/branchline/compile_modules.py"]
    process = start(confined, argv, output=subprocess.PIPE, stdin=subprocess.PIPE)
    try:
        said, _ = process.communicate(lines.encode(), timeout=_CHUNK_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Refused(f"The wheel {wheel.file} takes too long to compile") from None
    if process.returncode != 0:
        tail = said[-500:].decode(errors="replace").strip()
        raise Unavailable(f"The modules of {wheel.file} cannot be compiled: {tail}")


def _adopted(
    chunk: Sequence[Entry], folder: Path, tag: str, store: Store
) -> Iterator[tuple[str, Entry]]:
    for number, source in enumerate(chunk):
        file = folder / str(number)
        if not file.exists():
            continue  # no valid module of this Python
        parent, _, name = source.path.rpartition("/")
        path = f"{parent}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"
        size, sha256 = hashed(str(file))
        entry = Entry(path, "file", 0o644, size, sha256)
        store.objects.adopt(str(file), entry)
        yield path, entry
