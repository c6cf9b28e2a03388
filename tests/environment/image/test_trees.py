"""Trees: laid out once, shared, and never used when anything in them has changed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.environment.image.makers import image, keep, layer, small_image

from branchline.environment.image import glance, index
from branchline.environment.image import trees as laid_out
from branchline.environment.image.entries import Entry
from branchline.environment.image.index import check_index
from branchline.environment.image.objects import DATE_NS
from branchline.environment.image.store import Store
from branchline.environment.image.trees import Trees, check_trees, materialise
from branchline.foundation.errors import Corrupt, NotFound, Refused


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True, params=["looked at", "one by one"])
def small_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Look at the smallest of trees as at large ones, in parts; or at each file by itself."""
    looks: bool = request.param == "looked at"
    monkeypatch.setattr(glance, "_WORTH", 0 if looks else 1 << 40)
    monkeypatch.setattr(glance, "_OF_A_PART", 2)
    monkeypatch.setattr(glance, "_FEW", 0)
    return looks


def test_an_image_is_laid_out_as_its_layers_say(store: Store) -> None:
    """Contents, modes, links and folders, in three trees; read-only, with one date."""
    trees = materialise(small_image(store), store)
    assert (trees.debian / "bin").readlink() == Path("usr/bin")
    assert (trees.debian / "bin/tool").read_bytes() == b"#!/bin/sh\necho tool\n"
    assert os.stat(trees.debian / "usr/bin/tool").st_mode & 0o7777 == 0o555
    assert os.stat(trees.debian / "etc/secret").st_mode & 0o7777 == 0o400
    assert os.stat(trees.debian / "tmp").st_mode & 0o7777 == 0o1777
    assert sorted(p.name for p in (trees.local / "lib").iterdir()) == [
        "again.py",
        "empty.py",
        "module.py",
    ]
    assert (trees.meta / "README").read_bytes() == b"read me"
    assert list((trees.debian / "usr/local").iterdir()) == []
    assert os.stat(trees.debian / "usr").st_mtime_ns == DATE_NS
    assert check_trees(trees) == 0


def test_a_content_lies_on_the_disk_once(store: Store) -> None:
    """Files of one content and mode are one file, in however many trees."""
    first = materialise(small_image(store), store)
    second = materialise(small_image(store, more=b"y = 2\n"), store)
    assert first.debian == second.debian
    assert (
        os.stat(first.local / "lib/again.py").st_ino
        == os.stat(first.local / "lib/module.py").st_ino
    )
    assert (
        os.stat(first.local / "lib/empty.py").st_ino
        == os.stat(second.local / "lib/empty.py").st_ino
    )


def test_a_new_tree_leaves_nothing_to_read_for_the_others(store: Store) -> None:
    """Hard links change times; the indexes of trees that share files are renewed at once."""
    first = materialise(small_image(store), store)
    before = os.stat(first.local / "lib/empty.py").st_ctime_ns
    materialise(small_image(store, more=b"y = 2\n"), store)
    assert os.stat(first.local / "lib/empty.py").st_ctime_ns != before
    assert check_trees(first) == 0


def writable(path: Path) -> Path:
    """Take the write protection off, as whoever wants to do harm would."""
    path.chmod(path.stat().st_mode | 0o200)
    return path


def flip(path: Path) -> None:
    """Change one bit and hide it as well as a program can: same size, same time, same mode."""
    mode, data = path.stat().st_mode, bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    writable(path).write_bytes(data)
    path.chmod(mode)
    os.utime(path, ns=(DATE_NS, DATE_NS))


def remove(path: Path) -> None:
    """Take it away."""
    path.unlink()


def replace(path: Path) -> None:
    """Put another file in its place."""
    other = path.with_name("other")
    other.write_bytes(path.read_bytes() + b" ")
    other.replace(path)


def to_link(path: Path) -> None:
    """Make it a link."""
    path.unlink()
    path.symlink_to("/etc/passwd")


def to_folder(path: Path) -> None:
    """Make it a folder."""
    path.unlink()
    path.mkdir()


def add(path: Path) -> None:
    """Put a file beside it that Python would import."""
    (path.parent / "sitecustomize.py").write_text("evil")


def executable(path: Path) -> None:
    """Change nothing but its mode."""
    path.chmod(0o755)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "flipped": (flip, "module.py"),
    "removed": (remove, "module.py"),
    "replaced": (replace, "module.py"),
    "link": (to_link, "module.py"),
    "folder": (to_folder, "module.py"),
    "added": (add, "sitecustomize.py"),
    "mode": (executable, "module.py"),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGES.values(), ids=list(DAMAGES))
def test_a_changed_tree_is_refused(
    store: Store, damage: Callable[[Path], None], named: str
) -> None:
    """Whatever is done to a file, the tree is not used, the file is named, and again next time."""
    trees = materialise(small_image(store), store)
    damage(trees.local / "lib" / "module.py")
    for _ in range(2):
        with pytest.raises(Corrupt, match=named):
            check_trees(trees)


def test_a_flipped_object_is_refused_wherever_it_is_used(store: Store) -> None:
    """The object is the tree's file; a second tree with it cannot be laid out either."""
    first = materialise(small_image(store), store)
    entry = keep(store, "usr/bin/tool", b"#!/bin/sh\necho tool\n", 0o755)
    flip(Path(store.objects.path(entry)))
    with pytest.raises(Corrupt, match="usr/bin/tool"):
        check_trees(first)
    second = image(store, layer(store, entry), layer(store, keep(store, "x", b"x")))
    with pytest.raises(Corrupt, match="usr/bin/tool"):
        materialise(second, store)


@pytest.mark.parametrize("name", ["stats", "plan.json", "glance", "glance.0"])
def test_a_damaged_index_is_no_harm(store: Store, name: str, small_parts: bool) -> None:
    """What it no longer vouches for is read once more, and then it is right again."""
    trees = materialise(small_image(store), store)
    if name.startswith("glance") and not small_parts:
        return  # then there is none
    file = trees.local.parent / name
    before = file.read_bytes()
    flip(file)
    if not name.startswith("glance"):
        (trees.local.parent / "glance").unlink(missing_ok=True)
    check_trees(trees)
    assert check_trees(trees) == 0
    assert file.read_bytes() == before
    flip(file)
    flip(trees.local / "lib/module.py")
    with pytest.raises(Corrupt, match=r"module\.py"):
        check_trees(trees)


def test_a_look_is_enough_while_nothing_was_touched(
    store: Store, monkeypatch: pytest.MonkeyPatch, small_parts: bool
) -> None:
    """Files are looked at one by one only after something was touched, and then once."""
    trees = materialise(small_image(store), store)
    looked: list[Path] = []
    check_each = index._check_each

    def noted(tree: Path, *rest: Any) -> int:
        looked.append(tree)
        return check_each(tree, *rest)

    monkeypatch.setattr(index, "_check_each", noted)
    assert check_trees(trees) == 0
    assert looked == ([] if small_parts else [tree.parent for tree in trees.all])
    looked.clear()
    os.utime(trees.local / "lib/module.py", ns=(DATE_NS, DATE_NS))
    assert check_trees(trees) == 1
    assert looked.count(trees.local.parent) == 1
    assert check_trees(trees) == 0
    assert looked.count(trees.local.parent) == (1 if small_parts else 2)


def test_several_look_at_a_large_tree_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, small_parts: bool
) -> None:
    """Each looks at its part; together they see what one would, and each notices a change in it."""
    if not small_parts:
        return
    monkeypatch.setattr(glance, "_FEW", 4)
    names = [f"usr/local/lib/{folder}/-{name}.py" for folder in "abc[]d" for name in "xyz"]
    outside = keep(store, "usr/local/bin", b"no folder")
    files = [outside, *(keep(store, name, name.encode()) for name in names)]
    trees = materialise(
        image(store, layer(store, *files), layer(store, keep(store, "x", b"x"))), store
    )
    kept = msgspec.json.decode((trees.local.parent / "glance").read_bytes())
    assert (kept["base"], kept["above"]) == ("lib", ["", "bin", "lib"])
    assert kept["lists"] > 1
    lists = [(trees.local.parent / f"glance.{at}").read_bytes() for at in range(kept["lists"])]
    listed = [path for each in lists for path in each.decode().split("\0")[:-1]]
    assert len(set(listed)) == len(listed) == kept["count"]
    assert check_trees(trees) == 0
    for name in ["usr/local/bin", *names[::3]]:
        flip(trees.local / name[10:])
        with pytest.raises(Corrupt, match=re.escape(name[10:])):
            check_trees(trees)
        flip(trees.local / name[10:])
        assert check_trees(trees) == 1
        assert check_trees(trees) == 0


def test_a_tree_that_stands_elsewhere_is_not_taken_for_itself(
    store: Store, small_parts: bool
) -> None:
    """A root whose folders are links to the right ones is another root."""
    trees = materialise(small_image(store), store)
    root = trees.local
    moved = root.rename(root.with_name("moved"))
    root.mkdir()
    for each in moved.iterdir():
        (root / each.name).symlink_to(each)
    with pytest.raises(Corrupt, match="lib"):
        check_trees(trees)


def test_a_list_that_a_crash_cut_off_vouches_for_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, small_parts: bool
) -> None:
    """Fewer words than there are folders and files are none."""
    if not small_parts:
        return
    trees = materialise(small_image(store), store)

    def cut(file: Path, data: bytes) -> None:
        half = data[: len(data) // 2]
        file.write_bytes(half[: half.rindex(b"\0") + 1] if file.suffix else data)

    monkeypatch.setattr(glance, "write_durably", cut)
    (trees.local.parent / "glance").unlink()
    check_trees(trees)
    assert not (trees.local.parent / "glance").exists()
    flip(trees.local / "lib/module.py")
    with pytest.raises(Corrupt, match=r"module\.py"):
        check_trees(trees)


@pytest.mark.parametrize("found", [None, "/bin/false", "/nowhere/find"])
def test_without_find_everything_is_looked_at(
    store: Store, monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    """A machine without GNU's find is as safe, only slower; a look that failed vouches for nothing."""
    monkeypatch.setattr(shutil, "which", lambda name: found)
    trees = materialise(small_image(store), store)
    assert not (trees.local.parent / "glance").exists()
    assert check_trees(trees) == 0
    flip(trees.local / "lib/module.py")
    with pytest.raises(Corrupt, match=r"module\.py"):
        check_trees(trees)


def test_what_changes_after_the_look_is_noticed_next_time(store: Store, small_parts: bool) -> None:
    """A look is kept as it was begun: what came after it, though before it was kept, differs."""
    trees = materialise(small_image(store), store)
    with glance.Glance(trees.local.parent) as look:
        assert look.is_as_kept() == small_parts
        flip(trees.local / "lib/module.py")
        look.keep()
    with pytest.raises(Corrupt, match=r"module\.py"):
        check_trees(trees)


def test_a_damaged_list_is_never_believed(store: Store) -> None:
    """The list that says what must be there is named by its own digest."""
    trees = materialise(small_image(store), store)
    flip(trees.local.parent / "entries.json")
    flip(trees.local / "lib/module.py")
    with pytest.raises(Corrupt):
        check_trees(trees)


def test_a_lost_index_is_refused(store: Store) -> None:
    """A tree without an index is not used."""
    trees = materialise(small_image(store), store)
    (trees.local.parent / "stats").unlink()
    with pytest.raises(Corrupt, match="index"):
        check_trees(trees)


def test_a_moved_store_is_read_once_and_then_known(store: Store, tmp_path: Path) -> None:
    """A copy has other inodes; contents decide."""
    found = small_image(store)
    materialise(found, store)
    copy = Store(shutil.copytree(store.folder, tmp_path / "copy", symlinks=True))
    trees = materialise(found, copy)
    assert check_trees(trees) > 0
    assert check_trees(trees) == 0


def test_a_missing_content_is_named(store: Store) -> None:
    """An image whose object is gone is not laid out, and says which file is missing."""
    found = small_image(store)
    entry = keep(store, "etc/secret", b"hidden", 0o600)
    os.unlink(store.objects.path(entry))
    with pytest.raises(NotFound, match="etc/secret"):
        materialise(found, store)
    assert list(store.trees.iterdir()) == []


def test_a_layer_that_would_lead_out_is_refused(store: Store, tmp_path: Path) -> None:
    """A link to elsewhere, and a file behind it: nothing is made there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    first = layer(store, Entry("way", "link", target=str(outside)))
    second = layer(store, keep(store, "way/file", b"x"))
    third = layer(store, Entry("way", "link", target=str(outside)))
    for made in (image(store, first, second, third), image(store, second, third, first)):
        try:
            trees = materialise(made, store)
        except Refused:
            pass
        else:
            assert (
                not (trees.debian / "way").is_symlink() or not (trees.debian / "way/file").exists()
            )
        assert list(outside.iterdir()) == []


def test_a_file_with_too_many_names_is_copied(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File systems bound the number of hard links; the store goes on with a copy."""
    entry = keep(store, "empty", b"")
    link, refused = os.link, list[str]()

    def bounded(source: str, target: str) -> None:
        if not refused:
            refused.append(source)
            raise OSError(31, "Too many links")
        link(source, target)

    before = os.stat(store.objects.path(entry)).st_ino
    monkeypatch.setattr(os, "link", bounded)
    store.objects.link(entry, str(store.folder / "name"))
    after = os.stat(store.objects.path(entry)).st_ino
    assert after != before
    assert os.stat(store.folder / "name").st_ino == after
    assert store.objects.has(entry)


def test_trees_that_are_there_are_not_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second call only looks names up."""
    found = small_image(store)
    trees: Trees = materialise(found, store)

    def fail(*args: object) -> str:
        raise AssertionError

    monkeypatch.setattr(laid_out, "lay_out", fail)
    assert materialise(found, store) == trees
    assert check_index(trees.debian.parent) == 0
