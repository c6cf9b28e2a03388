"""Builds in processes of their own: by others, on other days, killed, on a full disk; and mmdebstrap's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, blocks_of
from tests.environment.built import Built, unfinished
from tests.environment.image.makers import deb, locked_deb, member
from tests.environment.image.test_build import seen, with_debs, without_python
from tests.small_disk import in_small_file_system

from branchline.environment.image import images
from branchline.environment.image.deb import read_control
from branchline.environment.image.place import MERGED
from branchline.environment.image.recipe import (
    EMPTIED_FILES,
    EMPTIED_FOLDERS,
    FOLDERS,
    LAYER_DATE,
    REMOVED,
    is_wanted,
)
from branchline.environment.image.repair import examine
from branchline.environment.image.store import Store
from branchline.environment.lock.model import Lock
from branchline.foundation.digest import Digest, parse_digest

BUILDER = Path(__file__).with_name("builder.py")
NOBODY = 65534


@pytest.fixture
def readable() -> Iterator[Path]:
    """Give a folder that every user of this machine can read."""
    with tempfile.TemporaryDirectory(prefix="branchline-rebuild-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def write_lock(lock: Lock, folder: Path) -> Path:
    """Write a lock for a builder."""
    file = folder / "branchline.lock"
    file.write_text(lock.text)
    return file


def digest_said(output: str) -> Digest:
    """Return the digest that a builder said last."""
    return parse_digest(output.splitlines()[-1])


@dataclass(frozen=True)
class Builder:
    """A way to start a builder: the words before `builder.py`, and its variables."""

    words: list[str]
    variables: dict[str, str]
    uid: int


def other_user() -> Builder:
    """Return how to build as an ordinary user: really another one, or as this one appears to be."""
    paths = [path for path in sys.path if path]
    variables = {"PYTHONPATH": ":".join(paths), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nowhere"}
    system = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin")
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if os.getuid() == 0 and system and shutil.which("setpriv"):
        # The interpreter of a virtual environment may lie where only its owner may go.
        probe = [*drop, system, "-c", "import msgspec, pyseccomp, branchline"]
        if subprocess.run(probe, env=variables, capture_output=True, check=False).returncode == 0:
            return Builder([*drop, system], variables, NOBODY)
    mapped = ["unshare", "--user", "--map-user=1234", "--map-group=1234"]
    return Builder([*mapped, sys.executable], variables, os.getuid())


@pytest.mark.slow
def test_the_same_lock_gives_the_same_image_anywhere(
    built_environment: Built, readable: Path
) -> None:
    """Another user, folder, umask and date, other mtimes, no network: the same digest."""
    builder = other_user()
    other = Store(readable / "a" / "quite" / "other" / "place")
    for pool in ("debs", "wheels", "texts"):
        place = built_environment.store.folder / pool
        shutil.copytree(place, other.folder / pool, ignore=unfinished)
    lock = write_lock(built_environment.locked.lock, readable)
    for path in [readable, *readable.rglob("*")]:
        os.chown(path, builder.uid, -1)
    words = ["unshare", "--net"] if os.getuid() == 0 else []
    words += builder.words
    if shutil.which("faketime") is not None:
        words = ["faketime", "2031-05-06 07:08:09", *words]
    done = subprocess.run(
        [*words, BUILDER, other.folder, lock],
        env=builder.variables | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        umask=0o077,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    built = digest_said(done.stdout)
    if built != built_environment.image.digest:
        here = seen(built_environment.store, built_environment.image)
        there = seen(other, images.open_image(other, built))
        differing = sorted(p for p in here.keys() | there.keys() if here.get(p) != there.get(p))
        pytest.fail(f"another image by uid {builder.uid}: {differing[:20]}")


@pytest.fixture
def extra(
    tmp_path: Path, cloned: Callable[..., Store], built_environment: Built
) -> tuple[Store, Lock]:
    """Give a store and a lock of which only one small package remains to be built."""
    store = cloned(built_environment.store)
    control = {"postinst": b"#!/bin/sh\ntouch /etc/made-up.done\n"}
    made = deb(tmp_path, "made-up", [member("./usr/x", b"x" * (8 << 20))], control=control)
    locked = locked_deb(made)
    store.debs.adopt(made, locked.sha256, locked.size)
    return store, with_debs(without_python(built_environment.lock), locked)


def test_a_build_killed_half_way_leaves_nothing_usable(
    extra: tuple[Store, Lock], tmp_path: Path
) -> None:
    """Killed at any step, there is no image; built again, it is sound, and the rest is gone."""
    store, lock = extra
    argv = [sys.executable, str(BUILDER), str(store.folder), str(write_lock(lock, tmp_path))]
    for step in ("reading", "unpacking", "configuring Debian packages: 1", "entering the layer"):
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert any(line.startswith(step) for line in process.stdout)
            process.kill()
        assert process.returncode == -9
        assert os.listdir(store.images) == []
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert os.listdir(store.folder / "temp") == []
    assert examine(images.open_image(store, digest_said(done.stdout)), store).sound


def test_two_programs_build_one_image(extra: tuple[Store, Lock], tmp_path: Path) -> None:
    """Started at once, both end with the same one, which is sound."""
    store, lock = extra
    argv = [sys.executable, str(BUILDER), str(store.folder), str(write_lock(lock, tmp_path))]
    processes = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    first, second = (digest_said(text) for text in said)
    assert first == second
    assert examine(images.open_image(store, first), store).sound


FULL = """
import sys
from pathlib import Path
from branchline.environment.image.store import Store
pools, folder = Path(sys.argv[1]), Path(sys.argv[2])
store = Store(folder)
for pool in ("debs", "wheels", "texts"):
    (folder / pool).symlink_to(pools / pool)
sys.argv = ["builder.py", str(folder), sys.argv[3]]
try:
    exec(compile(Path(sys.argv[0]).read_text(), "builder.py", "exec"))
finally:
    left = [p.name for p in folder.rglob("*") if "images" in p.parts or "temp" in p.parts]
    print([name for name in left if name not in ("images", "temp")])
"""


@pytest.mark.parametrize("size", ["2m", "40m", "125m"])
def test_a_full_disk_is_said_and_leaves_nothing(
    built_environment: Built, tmp_path: Path, size: str
) -> None:
    """While packages are unpacked, and while they configure themselves: one sentence, no image."""
    small = tmp_path / "small"
    small.mkdir()
    lock = write_lock(built_environment.locked.lock, tmp_path)
    program = FULL.replace("Path(sys.argv[0])", f"Path({str(BUILDER)!r})")
    argv = [*in_small_file_system(size, small), sys.executable, "-c", program]
    argv += [str(built_environment.store.folder), str(small), str(lock)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stdout + done.stderr
    assert f"The disk of the store {small} is full" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


# What is another in mmdebstrap's root of the same packages, and why. Everything else is equal. The
# page on images has the reasons in full.
EXPLAINED: dict[str, Callable[[str], bool]] = {
    "manuals, translations and documentation are left out": lambda p: (
        not is_wanted(p)
        or p.startswith(("usr/share/locale", "usr/share/doc", "usr/share/man"))
        or (p.startswith(("etc/alternatives/", "var/lib/dpkg/alternatives/")) and p.endswith(".gz"))
    ),
    "devices": lambda p: p.startswith("dev/"),
    "apt's own files": lambda p: p.startswith(("etc/apt/", "var/lib/apt", "var/cache/apt")),
    "mmdebstrap's own files": lambda p: p in ("etc/fstab", "var/lib/dpkg/arch"),
    "removed or emptied by the normal form": lambda p: (
        p in (*REMOVED, *EMPTIED_FILES) or p.startswith(tuple(f"{f}/" for f in EMPTIED_FOLDERS))
    ),
    "mount points of the sandbox": lambda p: p in FOLDERS,
    "compiled modules say they need no check": lambda p: p.endswith(".pyc"),
    "debconf notes who asked": lambda p: p == "var/cache/debconf/config.dat",
    "made by dpkg's first unpacking": lambda p: p == "var/lib/dpkg/statoverride",
}


@pytest.mark.slow
def test_the_base_is_what_mmdebstrap_makes(built_environment: Built, tmp_path: Path) -> None:
    """The same packages, unpacked and configured by dpkg itself, give the same root but for a list."""
    if shutil.which("mmdebstrap") is None or os.getuid() != 0:
        pytest.skip("mmdebstrap is not installed, or nobody lets us be root")
    store, lock = built_environment.store, built_environment.lock
    pool = tmp_path / "pool"
    pool.mkdir()
    index = []
    for package in lock.debian.packages:
        os.link(store.debs.path(package.sha256), pool / f"{package.name}.deb")
        stanza = read_control(pool / f"{package.name}.deb", package.name).stanza.rstrip()
        index.append(
            f"{stanza}\nFilename: ./{package.name}.deb\nSize: {package.size}\n"
            f"SHA256: {package.sha256}\n"
        )
    (pool / "Packages").write_text("\n".join(index))
    root = tmp_path / "root"
    command = ["mmdebstrap", "--quiet", "--variant=custom", "--mode=root"]
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    command += [f"--include={','.join(package.name for package in lock.debian.packages)}"]
    command += [lock.debian.suite, str(root), f"deb [trusted=yes] copy:{pool} ./"]
    variables = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": str(LAYER_DATE)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours = {
        entry.path: _ours(entry.kind, entry.mode, entry.sha256, entry.target)
        for entry in store.layer(built_environment.image.layers[0].digest).entries
    }
    theirs = dict(_theirs(root))
    differing = sorted(p for p in ours.keys() | theirs.keys() if ours.get(p) != theirs.get(p))
    unexplained = [p for p in differing if not any(why(p) for why in EXPLAINED.values())]
    assert unexplained == [], [(p, ours.get(p), theirs.get(p)) for p in unexplained[:10]]
    stale = [name for name, why in EXPLAINED.items() if not any(why(p) for p in differing)]
    assert stale == []
    assert len(ours.keys() & theirs.keys()) > 3000


def _ours(kind: str, mode: int, sha256: str, target: str) -> tuple[str, int, str]:
    return kind, 0 if kind == "link" else mode, sha256 + target


def _theirs(root: Path) -> Iterator[tuple[str, tuple[str, int, str]]]:
    """Yield what stands in mmdebstrap's root, with the special bits taken off as in our images."""
    for path in root.rglob("*"):
        name, mode = str(path.relative_to(root)), path.lstat().st_mode
        if path.is_symlink():
            yield name, ("link", 0, str(path.readlink()))
        elif path.is_dir():
            yield name, ("folder", mode & 0o1777, "")
        elif path.is_file():
            yield name, ("file", mode & 0o777, hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            yield name, ("other", 0, "")


def test_the_page_on_images_has_every_difference_and_list() -> None:
    """What differs from mmdebstrap, and what is removed and emptied, stands there as it is here."""
    page = next(page for page in PAGES if page.name == "image.md")
    text = page.read_text("utf-8")
    assert [name for name in EXPLAINED if f"| {name} |" not in text] == []
    listed = {block.note: tuple(block.text.split()) for block in blocks_of(page)}
    assert listed == {"removed files": REMOVED, "emptied folders": EMPTIED_FOLDERS}


def test_merged_folders_are_those_of_the_suite(built_environment: Built) -> None:
    """What stands for /usr's folders at the root is a link, and nothing else is."""
    found = seen(built_environment.store, built_environment.image)
    links = {path for path, entry in found.items() if "/" not in path and entry.kind == "link"}
    assert links <= set(MERGED)
    assert {"bin", "lib", "sbin"} <= links
