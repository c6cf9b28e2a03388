"""A full disk, at every step of a person's way: one sentence each, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest
from tests.environment.image.makers import small_image
from tests.environment.lock.conftest import index, key, mirror, pattern  # noqa: F401 - fixtures
from tests.environment.lock.debian.mirror import Mirror
from tests.environment.lock.python.index import Index
from tests.environment.lock.test_commands import Desk
from tests.small_disk import in_small_file_system

from branchline.environment.image.store import Store
from branchline.environment.image.trees import materialise

FULL = "is full"
CALL = f"{sys.executable} -m branchline environment"
FILL = "head -c 64M /dev/zero >filler 2>/dev/null"
"""Leaves no room at all in the folder where a script begins, the small file system."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def desk(
    tmp_path: Path,
    mirror: Mirror,  # noqa: F811 - the fixture
    index: Index,  # noqa: F811 - the fixture
) -> Iterator[Desk]:
    """A person's machine, which has its mirror over HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=mirror.folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    made = Desk(tmp_path, mirror, index)
    for file in (made.etc / "sources.list", made.etc / "sources.list.d/more.sources"):
        url = f"http://127.0.0.1:{server.server_port}/"
        file.write_text(file.read_text().replace(f"copy:{mirror.folder}", url))
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def on_small_disk(
    desk: Desk, script: str, size: str = "8m", store: str = "."
) -> subprocess.CompletedProcess[str]:
    """Run a script of the shell in a folder that is a small file system, the store's own."""
    small = desk.folder.parent / "small"
    small.mkdir()
    # No proxy stands between a person and his own machine.
    env = desk.env | {"BRANCHLINE_STORE": str(small / store), "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [*in_small_file_system(size, small), "sh", "-c", f"cd {small}\n{script}"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_locking_says_that_the_disk_is_full(desk: Desk) -> None:
    """apt's transports would wait for ever; and with room again, the same call goes through."""
    lock = f"{CALL} lock {desk.folder} --deb tool --no-runtime"
    done = on_small_disk(desk, f"{FILL}\n{lock}; echo =$?\nrm filler\n{lock}; echo =$?")
    assert [line for line in done.stdout.splitlines() if line[0] == "="] == ["=7", "=0"], done
    (sentence,) = done.stderr.splitlines()
    assert f"The disk of the store {desk.folder.parent / 'small'} {FULL}" in sentence
    assert "environment gc" in sentence
    assert (desk.folder / "branchline.lock").exists()


@pytest.mark.parametrize("size", [50_000, 2_000_000])
def test_fetching_says_that_the_disk_is_full(desk: Desk, size: int) -> None:
    """A package or a wheel that came in part is no damage of the mirror's."""
    desk.mirror.add("large", "1.0", content=Random(1).randbytes(size))
    desk.mirror.publish()
    lock, build = (f"{CALL} {verb} {desk.folder}" for verb in ("lock", "build"))
    script = f"{lock} --deb large --no-runtime >&2 || exit 1\n{FILL}\n{build}; echo =$?\nls debs"
    done = on_small_disk(desk, script)
    assert done.stdout.splitlines()[0] == "=7", done
    assert f"small {FULL}; what came whole is kept" in done.stderr


def test_a_wheel_for_which_there_is_no_room_is_no_fault_of_the_index(desk: Desk) -> None:
    """uv keeps its cache elsewhere; the wheel itself is what does not fit."""
    lock, build = (f"{CALL} {verb} {desk.folder}" for verb in ("lock", "build"))
    done = on_small_disk(desk, f"{lock} --with tiny --no-runtime >&2 || exit 1\n{FILL}\n{build}")
    assert done.returncode == 7, done
    assert f"small {FULL}; what came whole is kept" in done.stderr


def test_a_stick_and_a_store_that_are_full_are_named(desk: Desk, tmp_path: Path) -> None:
    """Nothing half-written is left on the stick, and nothing of an image in the store."""
    store = Store(tmp_path / "store")
    image, stick = small_image(store), tmp_path / "stick"
    on_stick = tmp_path / "small" / "image.stick"
    script = (
        f"{FILL}; {CALL} export {image.digest} {on_stick} --store {store.folder}; echo =$?\n"
        f"ls; rm filler; {CALL} export {image.digest} {stick} --store {store.folder} || exit\n"
        f"{CALL} gc --store store >&2; {FILL}; {CALL} import {stick} --store store; echo =$?\n"
        "ls store/images; rm filler\n"
        f"{CALL} import {stick} --store store >&2; ls store/images"
    )
    done = on_small_disk(desk, script)
    said = done.stdout.splitlines()
    assert said[:2] == ["=7", "filler"], done
    assert said[-2:] == ["=7", image.digest.removeprefix("sha256:")], done
    full, *_ = sentences = [line for line in done.stderr.splitlines() if FULL in line]
    assert len(sentences) == 2, done
    assert str(on_stick.parent) in full


USE = """
import sys
from pathlib import Path
from branchline.environment.image.images import open_image
from branchline.environment.image.store import Store
from branchline.environment.image.trees import check_trees, materialise
from branchline.sandbox import seccomp
store = Store(Path("store"))
trees = materialise(open_image(store, sys.argv[1]), store)
print(check_trees(trees), len(seccomp.kept_filters(store.filters)))
"""


def test_what_is_there_is_used_though_the_disk_is_full(desk: Desk, tmp_path: Path) -> None:
    """A store that was moved is read and found right; that nothing can be noted is no reason."""
    store = Store(tmp_path / "store")
    image = small_image(store)
    materialise(image, store)
    done = on_small_disk(
        desk, f"cp -a {store.folder} . && {FILL}; {sys.executable} -c '{USE}' {image.digest}"
    )
    files, filters = done.stdout.split()
    assert (int(files) > 0, filters) == (True, "2"), done
