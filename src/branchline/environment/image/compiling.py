"""Compile Python's modules with an image's own Python, inside the sandbox; nothing else is run.

Modules go in pieces of a fixed size, several at once. What comes of a module follows from its
source and its name alone: it does not matter which others were compiled before it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from branchline.environment.image import inside
from branchline.environment.image.confine import Confined, start
from branchline.environment.image.entries import Entry
from branchline.environment.image.normal import hashed
from branchline.environment.image.store import Store
from branchline.foundation.errors import Refused, Unavailable

_CHUNK_BYTES = 4 << 20
"""Worth a sandbox of its own: half a second's work, beside a twentieth for its start."""
_CHUNK_SECONDS = 600
_INSIDE = Path(inside.__file__).parent


@dataclass(frozen=True)
class Compiler:
    """An image's Python.

    Args:
        python: Its series, such as "3.11".
        program: Where it stands in the image.
        tree: Returns the tree it stands in; asked for when there is something to compile.
        store: Holds the modules, and takes what comes of them.
        pool: Compiles several pieces at once.
    """

    python: str
    program: str
    tree: Callable[[], Path]
    store: Store
    pool: Executor

    def compiled(
        self, modules: Sequence[Entry], what: str, scratch: Path
    ) -> Iterator[dict[str, Entry]]:
        """Compile modules, and yield the compiled files of each piece, by path.

        Args:
            modules: In their order.
            what: What they belong to, for an error's sentence.
            scratch: A folder for what is under way.

        Raises:
            Refused: It takes too long.
            Unavailable: The image's Python cannot be started.
        """
        tag = f"cpython-{self.python.replace('.', '')}"

        def one(number_and_chunk: tuple[int, list[Entry]]) -> dict[str, Entry]:
            number, chunk = number_and_chunk
            folder = scratch / f"compiled-{number}"
            folder.mkdir()
            self._run(chunk, what, folder)
            return dict(_adopted(chunk, folder, tag, self.store))

        yield from self.pool.map(one, enumerate(_chunks(modules)))

    def _run(self, chunk: Sequence[Entry], what: str, out: Path) -> None:
        """Let the image's Python compile; nothing of the package is executed."""
        objects = self.store.objects
        binds = [
            (_INSIDE, "/branchline", False),
            (objects.folder, "/in", False),
            (out, "/out", True),
        ]
        lines = "".join(
            f"/in/{os.path.relpath(objects.path(entry), objects.folder)}\t/out/{number}\t/{entry.path}\n"
            for number, entry in enumerate(chunk)
        )
        argv = [self.program, "-I", "-S", "/branchline/compile_modules.py"]
        confined = Confined(self.tree(), binds=binds)
        process = start(confined, argv, output=subprocess.PIPE, stdin=subprocess.PIPE)
        try:
            said, _ = process.communicate(lines.encode(), timeout=_CHUNK_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Refused(f"{what} takes too long to compile") from None
        if process.returncode != 0:
            tail = said[-500:].decode(errors="replace").strip()
            raise Unavailable(
                f"The modules of {what[0].lower()}{what[1:]} cannot be compiled: {tail}"
            )


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
