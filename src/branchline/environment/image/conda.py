"""Build the layers of conda's packages: one for each, the smallest ones sharing the last.

A package's layer depends on the package and on the Python that compiles its modules, on nothing
else. Modules are compiled by the environment's own Python, inside the sandbox; nothing of a package
is run besides that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache
from pathlib import Path

from branchline.environment.image.compiling import Compiler
from branchline.environment.image.conda_package import take_apart
from branchline.environment.image.entries import Entry, Layer, stacked
from branchline.environment.image.python import layer_of, put_together
from branchline.environment.image.recipe import CONDA, MOST_CONDA_LAYERS, RECIPE
from branchline.environment.image.store import Store
from branchline.environment.image.trees import lay_out, split
from branchline.environment.lock.model import CondaPackage, CondaPart, Lock
from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import Digest

_LINK_SCRIPT = re.compile(rf"{CONDA}/bin/\.[^/]+-(?:pre-link|post-link|pre-unlink|post-unlink)\.sh")


def build_conda(
    lock: Lock, store: Store, debian: Sequence[Layer], *, progress: Callable[[str], None], jobs: int
) -> list[Layer]:
    """Return the layers of a lock's conda packages; those that the store has are not built.

    Args:
        lock: Names the packages.
        store: Holds them, and takes the layers.
        debian: The layers below.
        progress: Told what is done.
        jobs: How many packages are worked on, and how many compilers run, at once.

    Raises:
        NotFound: A package is not in the store.
        Corrupt: A package is not what the lock names, or not what its own list says.
        Refused: A package would write where it must not.
    """
    if lock.conda is None:
        return []
    packages = sorted(lock.conda.packages, key=lambda package: package.name)
    with ThreadPoolExecutor(jobs) as compilers, ThreadPoolExecutor(jobs) as workers:
        building = _Building(lock.conda, store, debian, workers, compilers)
        progress(f"installing {len(packages)} packages of conda's")
        layers = dict(zip((p.name for p in packages), building.layers(packages), strict=True))
    largest = sorted(packages, key=lambda package: (-package.size, package.name))
    alone = {package.name for package in largest[:MOST_CONDA_LAYERS]}
    rest = [layers[package.name] for package in packages if package.name not in alone]
    each = [layers[package.name] for package in packages if package.name in alone]
    return each + put_together(rest, store, f"{len(rest)} small packages of conda's")


def link_scripts(layers: Sequence[Layer]) -> list[str]:
    """Return the scripts that conda's packages have for their installation, which are not run."""
    paths = (entry.path for layer in layers for entry in layer.entries)
    return sorted(path for path in paths if _LINK_SCRIPT.fullmatch(path))


class _Building:
    """The layers of one lock's packages, as taken apart and as compiled."""

    def __init__(
        self,
        part: CondaPart,
        store: Store,
        debian: Sequence[Layer],
        workers: Executor,
        compilers: Executor,
    ) -> None:
        self._part, self._store, self._debian = part, store, debian
        self._workers = workers
        python = next((p for p in part.packages if p.name == "python"), None)
        self._series = None if python is None else ".".join(python.version.split(".")[:2])
        self._maker = None if python is None else python.sha256
        self._compiler = Compiler(
            self._series or "",
            f"/{CONDA}/bin/python{self._series}",
            cache(self._tree),
            store,
            compilers,
        )

    def layers(self, packages: Sequence[CondaPackage]) -> Iterator[Layer]:
        """Yield the packages' layers, in their order."""
        if self._maker is not None and not all(self._found(package) for package in packages):
            # Whatever they need of each other is there before a module of theirs is compiled.
            list(self._workers.map(self._taken, packages))
        yield from self._workers.map(self._layer, packages)

    def _found(self, package: CondaPackage) -> Layer | None:
        return self._store.layer_of_key(self._key(package, self._maker))

    def _key(self, package: CondaPackage, maker: str | None) -> Digest:
        said = {"recipe": RECIPE, "conda": package.sha256, "series": self._series, "python": maker}
        return digest_of_json(said)

    def _layer(self, package: CondaPackage) -> Layer:
        """Return a package's layer with its modules compiled."""
        taken = self._taken(package) if self._maker is None else self._found(package)
        if taken is not None:
            return taken
        key = self._key(package, self._maker)
        with self._store.making(key.removeprefix("sha256:")):
            taken = self._taken(package)
            entries = {entry.path: entry for entry in taken.entries if entry.kind != "folder"}
            with self._store.temporary(package.name) as scratch:
                what = f"The conda package {package.file}"
                for piece in self._compiler.compiled(self._modules(entries), what, scratch):
                    entries.update(piece)
            layer = layer_of(list(entries.values()), self._store, taken.title)
            self._store.add_layer(layer, key)
            return layer

    def _taken(self, package: CondaPackage) -> Layer:
        """Return a package's layer as it is, none of its modules compiled."""
        key = self._key(package, None)
        with self._store.making(key.removeprefix("sha256:")):
            found = self._store.layer_of_key(key)
            if found is not None:
                return found
            what = f"The conda package {package.file}"
            file = self._store.condas.verified(package.sha256, package.size, what)
            with self._store.temporary(package.name) as scratch:
                taken = take_apart(file, package, self._series, self._store.objects, scratch)
            title = f"{package.name} {package.version} (conda)"
            layer = layer_of(list(taken.values()), self._store, title)
            self._store.add_layer(layer, key)
            return layer

    def _modules(self, entries: dict[str, Entry]) -> list[Entry]:
        prefix = f"{CONDA}/lib/python{self._series}/"
        named = (
            path for path in sorted(entries) if path.startswith(prefix) and path.endswith(".py")
        )
        return [entries[path] for path in named if entries[path].kind == "file"]

    def _tree(self) -> Path:
        layers = [*self._debian, *(self._taken(package) for package in self._part.packages)]
        entries, _, _ = split(stacked([layer.entries for layer in layers]))
        return self._store.trees / lay_out(entries, self._store) / "root"
