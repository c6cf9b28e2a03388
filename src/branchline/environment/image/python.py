"""Build the Python layers: one for each wheel, the smallest ones sharing the last.

A wheel's layer depends on the wheel and on the Python that compiles it, on nothing else; so it is
found again in every environment that has the wheel. To take a wheel apart, nothing of the layers
below is needed, and of these its modules need no more than Python: all that is done beside their
building, which leaves processors idle. Modules are compiled by the image's own Python inside the
sandbox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock as ThreadLock

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
from branchline.foundation.errors import BranchlineError, Refused

Progress = Callable[[str], None]
Tree = Callable[[], Path]


@contextmanager
def wheels_begun(
    lock: Lock,
    store: Store,
    early: Tree | None,
    *,
    progress: Progress,
    jobs: int,
) -> Iterator[Callable[[Tree], list[Layer]]]:
    """Begin with a lock's wheels; give a function that returns their layers.

    It is told how to get the tree of the layers below. Layers that the store has are not built
    again. Who leaves early gives up what is not begun.

    Args:
        lock: Names the wheels, and their Python among its Debian or conda packages.
        store: Holds the wheels, and takes the layers.
        early: Returns a tree in which that Python can be had before the layers below are there;
            None where modules wait for these.
        progress: Told what is done.
        jobs: How many wheels are worked on, and how many compilers run, at once.

    Raises:
        NotFound: A wheel is not in the store.
        Corrupt: A wheel is not what the lock names, or not what its RECORD says.
        Refused: A wheel would write where it must not, or the image has no such Python.
    """
    if lock.python is None:
        yield lambda tree: []
        return
    most = MOST_WHEEL_LAYERS if lock.conda is None else MOST_WHEEL_LAYERS_BESIDE
    python = interpreter_of(lock, lock.python.version)
    with (
        # One processor is left to who builds what is below: everything else waits for that.
        ThreadPoolExecutor(max(1, jobs - 1)) as takers,
        ThreadPoolExecutor(jobs) as compilers,
        ThreadPoolExecutor(jobs) as workers,
    ):
        tree: Future[Tree] = Future()
        if early is not None:
            tree.set_result(_once(early))
        compiler = Compiler(
            python.series, python.program, lambda: tree.result()(), store, compilers
        )
        building = _Wheels(lock.python.wheels, python, compiler, store, progress)
        building.begin(takers, workers)

        def layers(below: Tree) -> list[Layer]:
            if early is None:
                tree.set_result(_once(below))
            else:
                below()  # the image needs it; it is laid out while others compile
            return building.layers(most)

        try:
            yield layers
        finally:
            tree.cancel()  # nobody waits any more for what will not come
            for pool in (takers, workers, compilers):
                pool.shutdown(wait=False, cancel_futures=True)


def _once(make: Tree) -> Tree:
    """Let something be made when it is first asked for, by one of all the threads that ask."""
    lock, made = ThreadLock(), Future[Path]()

    def get() -> Path:
        with lock:
            if not made.done():
                try:
                    made.set_result(make())
                except (BranchlineError, OSError) as error:
                    made.set_exception(error)  # for all who ask
        return made.result()

    return get


class _Wheels:
    """The wheels of one lock on their way to layers, the largest first."""

    def __init__(
        self,
        wheels: Sequence[Wheel],
        python: Interpreter,
        compiler: Compiler,
        store: Store,
        progress: Progress,
    ) -> None:
        self._wheels = sorted(wheels, key=lambda wheel: (-wheel.size, wheel.name))
        self._python, self._compiler = python, compiler
        self._store, self._progress = store, progress
        self._futures: dict[str, Future[Layer]] = {}

    def begin(self, takers: Executor, workers: Executor) -> None:
        """Take each wheel apart, and make its layer when that is done."""
        for wheel in self._wheels:
            taken = takers.submit(self._take_apart, wheel)
            self._futures[wheel.name] = workers.submit(self._layer, wheel, taken)

    def layers(self, most: int) -> list[Layer]:
        """Return the layers; beyond the `most` largest wheels, the others share the last."""
        layers = {}
        for left, (name, future) in zip(
            range(len(self._futures) - 1, -1, -1), self._futures.items(), strict=True
        ):
            layers[name] = future.result()
            self._progress(f"installing wheels: {left} of {len(self._futures)} to go")
        names = list(layers)
        each = [layers[name] for name in sorted(names[:most])]
        rest = [layers[name] for name in sorted(names[most:])]
        return each + put_together(rest, self._store, f"{len(rest)} small wheels")

    def _take_apart(self, wheel: Wheel) -> Layer | dict[str, Entry]:
        """Return what a wheel installs, its modules not compiled; its layer if that is there."""
        found = self._store.layer_of_key(self._key(wheel))
        if found is not None:
            return found
        file = self._store.wheels.verified(wheel.sha256, wheel.size, _named(wheel))
        with self._store.temporary(wheel.name) as scratch:
            return take_apart(file, wheel, self._python, self._store.objects, scratch)

    def _layer(self, wheel: Wheel, taking: Future[Layer | dict[str, Entry]]) -> Layer:
        taken = taking.result()
        return taken if isinstance(taken, Layer) else self._compiled(wheel, taken)

    def _compiled(self, wheel: Wheel, entries: dict[str, Entry]) -> Layer:
        """Return the layer of a wheel that was taken apart, its modules compiled."""
        key = self._key(wheel)
        with self._store.making(key.removeprefix("sha256:")):
            found = self._store.layer_of_key(key)
            if found is not None:
                return found
            modules = [
                entries[path]
                for path in sorted(entries)
                if path.startswith(f"{self._python.packages}/") and path.endswith(".py")
            ]
            with self._store.temporary(wheel.name) as scratch:
                for piece in self._compiler.compiled(modules, _named(wheel), scratch):
                    entries.update(piece)
            title = f"{wheel.name} {wheel.version}"
            layer = layer_of(list(entries.values()), self._store, title)
            self._store.add_layer(layer, key)
            return layer

    def _key(self, wheel: Wheel) -> Digest:
        said = {"recipe": RECIPE, "wheel": wheel.sha256, "python": self._python.makers}
        return digest_of_json(said)


def _named(wheel: Wheel) -> str:
    return f"The wheel {wheel.file}"


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
