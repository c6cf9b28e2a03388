"""What comes of a module follows from its source and its name: not from others, order or chance."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from branchline.environment.image import inside

PROGRAM = Path(inside.__file__).parent / "compile_modules.py"
LIBRARY = Path(random.__file__).parent
FOLDERS = ("asyncio", "email", "json", "unittest", "xml", "importlib")

# Each kind of thing whose bytes tell what else is in memory: words that others use, too, sets of
# them in more than one function, and what a failed compilation leaves.
MADE = {
    "words.py": "inplace = limit_area = copy_words = 1\n",
    "sets.py": "def a(x): return x in {'inplace', 'limit_area', 'copy_words'}\n"
    "def b(x): return 5, x in {'inplace', 'limit_area', 'copy_words'}\n",
    "broken.py": "def inplace(limit_area:\n",
    "warned.py": "copy_words = '\\d' if 1 is 1 else 'limit_area'\n",
    "empty.py": "",
}


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return modules of this Python's library, and made ones."""
    folder = tmp_path_factory.mktemp("modules")
    for name, text in MADE.items():
        (folder / name).write_text(text)
    library = [path for name in FOLDERS for path in sorted((LIBRARY / name).rglob("*.py"))]
    return [*library, *sorted(folder.iterdir())]


def compiled(modules: Sequence[Path], out: Path) -> dict[Path, bytes]:
    """Compile modules in one process, in their order; return the files there are."""
    out.mkdir(parents=True)
    lines = "".join(f"{path}\t{out / str(n)}\t/x{path}\n" for n, path in enumerate(modules))
    command = [sys.executable, "-I", "-S", str(PROGRAM)]
    subprocess.run(command, input=lines.encode(), check=True)
    files = ((path, out / str(number)) for number, path in enumerate(modules))
    return {path: file.read_bytes() for path, file in files if file.exists()}


def test_order_and_company_do_not_matter(modules: list[Path], tmp_path: Path) -> None:
    """The same bytes from one process or many, in any order, under another hash seed each time."""
    first = compiled(modules, tmp_path / "first")
    assert len(modules) > 100
    assert {path.name for path in modules} - {path.name for path in first} == {"broken.py"}

    for seed in range(3):
        order = random.Random(seed).sample(modules, len(modules))
        assert compiled(order, tmp_path / f"order-{seed}") == first

    in_pieces: dict[Path, bytes] = {}
    for start in range(0, len(modules), 30):
        in_pieces |= compiled(modules[start : start + 30], tmp_path / f"piece-{start}")
    assert in_pieces == first


def test_each_made_module_is_the_same_alone(modules: list[Path], tmp_path: Path) -> None:
    """As the only one, and right after any other."""
    made = modules[-len(MADE) :]
    for path in made:
        alone = compiled([path], tmp_path / f"alone-{path.stem}").get(path)
        for other in made:
            after = compiled([other, path], tmp_path / f"{path.stem}-after-{other.stem}")
            assert after.get(path) == alone, f"{path.name} after {other.name}"


def test_files_say_that_they_need_no_check(modules: list[Path], tmp_path: Path) -> None:
    """PEP 552: by hash, unchecked; and tell in tracebacks where the module stands in the image."""
    for path, data in compiled(modules[-len(MADE) :], tmp_path / "out").items():
        assert data[4:8] == b"\x01\0\0\0"
        assert f"/x{path}".encode() in data
