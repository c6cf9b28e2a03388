"""Build the Python layers: one for each wheel, the smallest ones sharing the last.

A wheel's layer depends on the wheel and on the Python that compiles it, on nothing else; so it is
found again in every environment that has the wheel. Modules are compiled by the image's own Python
inside the sandbox, in pieces of a fixed size: which piece a module is in, and with it its compiled
bytes, follows from the wheel alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from branchline.environment.image.compiling import Compiler
from branchline.environment.image.entries import Entry, Layer, stacked, with_folders
from branchline.environment.image.recipe import (
    CONDA,
    LOCAL,
    MOST_WHEEL_LAYERS,
    MOST_WHEEL_LAYERS_BESIDE,
    RECIPE,
)
from branchline.environment.image.store import Store
from branchline.environment.image.tar import digest_and_size
from branchline.environment.image.wheel import Interpreter, take_apart
from branchline.environment.lock.model import Lock, Wheel
from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Refused


def build_wheels(
    lock: Lock,
    store: Store,
    tree: Callable[[], Path],
    *,
    progress: Callable[[str], None],
    jobs: int,
) -> list[Layer]:
    """Return the layers of a lock's wheels, those that the store has not built.

    Args:
        lock: Names the wheels, and their Python among its Debian or conda packages.
        store: Holds the wheels, and takes the layers.
        tree: Returns the tree of the layers below, whose Python compiles.
        progress: Told what is done.
        jobs: How many wheels are worked on, and how many compilers run, at once.

    Raises:
        NotFound: A wheel is not in the store.
        Corrupt: A wheel is not what the lock names, or not what its RECORD says.
        Refused: A wheel would write where it must not, or the image has no such Python.
    """
    if lock.python is None:
        return []
    python = interpreter_of(lock, lock.python.version)
    wheels = sorted(lock.python.wheels, key=lambda wheel: wheel.name)
    left = len(wheels)
    with ThreadPoolExecutor(jobs) as compilers, ThreadPoolExecutor(jobs) as installers:
        compiler = Compiler(lock.python.version, python.program, cache(tree), store, compilers)

        def one(wheel: Wheel) -> Layer:
            nonlocal left
            layer = _wheel_layer(wheel, python, compiler, store)
            left -= 1
            progress(f"installing wheels: {left} of {len(wheels)} to go")
            return layer

        largest_first = sorted(wheels, key=lambda wheel: (-wheel.size, wheel.name))
        futures = {wheel.name: installers.submit(one, wheel) for wheel in largest_first}
        try:
            layers = {name: future.result() for name, future in futures.items()}
        finally:
            installers.shutdown(cancel_futures=True)
    most = MOST_WHEEL_LAYERS if lock.conda is None else MOST_WHEEL_LAYERS_BESIDE
    alone = {wheel.name for wheel in largest_first[:most]}
    each = [layers[wheel.name] for wheel in wheels if wheel.name in alone]
    rest = [layers[wheel.name] for wheel in wheels if wheel.name not in alone]
    return each + put_together(rest, store, f"{len(rest)} small wheels")


def overwritten(layers: Sequence[Layer]) -> list[str]:
    """Return the paths that more than one wheel brings with different contents."""
    seen: dict[str, Entry] = {}
    twice = set()
    for layer in layers:
        for entry in layer.entries:
            if entry.kind == "file" and seen.setdefault(entry.path, entry) != entry:
                twice.add(entry.path)
    return sorted(twice)


def interpreter_of(lock: Lock, python: str) -> Interpreter:
    """Return the Python that a lock's wheels are for: conda's where it has one, else Debian's.

    Raises:
        Refused: The lock has no such Python.
    """
    found = [p.sha256 for p in (lock.conda.packages if lock.conda else ()) if p.name == "python"]
    if found:
        return Interpreter(python, f"/{CONDA}", "site-packages", found)
    return Interpreter(python, f"/{LOCAL}", "dist-packages", _makers(lock, python))


def _makers(lock: Lock, python: str) -> list[str]:
    """Return what decides compiled bytes: the packages of Debian's Python."""
    names = (f"python{python}", f"libpython{python}")
    found = [p for p in lock.debian.packages if p.name.startswith(names)]
    if not any(package.name == f"python{python}-minimal" for package in found):
        raise Refused(
            f"The lock has wheels for Python {python}, but no Debian package of that Python",
            advice="Lock again",
        )
    return sorted(package.sha256 for package in found)


def _wheel_layer(wheel: Wheel, python: Interpreter, compiler: Compiler, store: Store) -> Layer:
    said = {"recipe": RECIPE, "wheel": wheel.sha256, "python": python.makers}
    key = digest_of_json(said)
    with store.making(key.removeprefix("sha256:")):
        found = store.layer_of_key(key)
        if found is not None:
            return found
        what = f"The wheel {wheel.file}"
        file = store.wheels.verified(wheel.sha256, wheel.size, what)
        with store.temporary(wheel.name) as scratch:
            entries = take_apart(file, wheel, python, store.objects, scratch)
            modules = [
                entries[path]
                for path in sorted(entries)
                if path.startswith(f"{python.packages}/") and path.endswith(".py")
            ]
            for piece in compiler.compiled(modules, what, scratch):
                entries.update(piece)
        layer = layer_of(list(entries.values()), store, f"{wheel.name} {wheel.version}")
        store.add_layer(layer, key)
        return layer


def layer_of(entries: Sequence[Entry], store: Store, title: str) -> Layer:
    """Return the layer of some entries, whose contents are in the store."""
    ordered = with_folders(entries)
    digest, size = digest_and_size(ordered, store.objects.pieces)
    return Layer(digest, size, title, ordered)


def put_together(layers: Sequence[Layer], store: Store, title: str) -> list[Layer]:
    """Put small layers into one; none of none."""
    if not layers:
        return []
    key: Digest = digest_of_json({"recipe": RECIPE, "of": [layer.digest for layer in layers]})
    found = store.layer_of_key(key)
    if found is None:
        entries = list(stacked([layer.entries for layer in layers]).values())
        found = layer_of(entries, store, title)
        store.add_layer(found, key)
    return [found]
