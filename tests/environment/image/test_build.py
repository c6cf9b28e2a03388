"""Images built from locks: real packages, made-up ones, and bad luck."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.environment.built import Built, unfinished
from tests.environment.image.makers import deb, locked_deb, member, wheel

from branchline.environment.image import build, images
from branchline.environment.image.build import build_image
from branchline.environment.image.configure import BuildFailed
from branchline.environment.image.differences import OtherImage
from branchline.environment.image.entries import Entry, stacked
from branchline.environment.image.image import Image
from branchline.environment.image.recipe import LAYER_DATE
from branchline.environment.image.repair import examine, repair
from branchline.environment.image.store import Store
from branchline.environment.image.trees import Trees, check_trees, materialise
from branchline.environment.lock.model import DebianPackage, Lock, Wheel, parse_lock
from branchline.environment.lock.sbom import SBOM_NAME, list_of_parts
from branchline.environment.lock.texts import texts_of
from branchline.foundation.digest import parse_digest
from branchline.foundation.errors import BranchlineError, Corrupt, NotFound, Refused

Clone = Callable[..., Store]


def with_debs(lock: Lock, *packages: DebianPackage) -> Lock:
    """Return a lock with more Debian packages, and with no image."""
    debian = msgspec.structs.replace(lock.debian, packages=(*lock.debian.packages, *packages))
    return msgspec.structs.replace(lock, debian=debian, image=None)


def with_wheels(lock: Lock, *wheels: Wheel) -> Lock:
    """Return a lock with these wheels alone, and with no image."""
    assert lock.python is not None
    return msgspec.structs.replace(
        lock, python=msgspec.structs.replace(lock.python, wheels=wheels), image=None
    )


def without_python(lock: Lock) -> Lock:
    """Return a lock with no Python part, and with no image."""
    return msgspec.structs.replace(lock, python=None, image=None)


def add_deb(store: Store, file: Path) -> DebianPackage:
    """Put a made-up package into a store's pool."""
    locked = locked_deb(file)
    store.debs.adopt(file, locked.sha256, locked.size)
    return locked


def inside(trees: Trees, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an image that is laid out."""
    command = ["bwrap"]
    bound = {"/": trees.debian, "/usr/local": trees.local, "/usr/share/branchline": trees.meta}
    for path, tree in bound.items():
        command += ["--ro-bind", str(tree), path]
    command += ["--proc", "/proc", "--dev", "/dev"]
    command += ["--tmpfs", "/tmp", "--unshare-all", "--unshare-user", "--clearenv"]
    command += ["--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin"]
    command += ["--setenv", "LC_ALL", "C.UTF-8", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def seen(store: Store, image: Image) -> dict[str, Entry]:
    """Return what an image shows, by path."""
    return stacked([store.layer(layer.digest).entries for layer in image.layers])


def nothing_half_built(store: Store) -> bool:
    """Tell whether a store holds no image, and nothing under way."""
    return not os.listdir(store.images) and not os.listdir(store.folder / "temp")


def test_what_was_locked_runs(built_environment: Built) -> None:
    """The image's own Python imports numpy and pyarrow, compiled, and dpkg finds all in order."""
    store, image = built_environment.store, built_environment.image
    trees = materialise(image, store)
    code = "import numpy, pyarrow; print(numpy.__version__, numpy.__cached__, pyarrow.array([1]))"
    done = inside(trees, "python3", "-c", code)
    assert done.returncode == 0, done.stderr
    assert "/__pycache__/__init__.cpython-3" in done.stdout
    audit = inside(trees, "dpkg", "--audit")
    assert (audit.returncode, audit.stdout) == (0, "")
    check_trees(trees)


def test_the_image_documents_itself(built_environment: Built) -> None:
    """Its lock, the pylock and the recipe are in it; its labels and date are those of the lock."""
    store, image, lock = built_environment.store, built_environment.image, built_environment.lock
    meta = materialise(image, store).meta
    held = parse_lock((meta / "branchline.lock").read_bytes())
    assert (held.digest, held.image) == (lock.digest, None)
    assert (meta / "pylock.toml").read_bytes() == built_environment.locked.pylock
    # Read from the packages themselves, the list of parts is the same.
    assert (meta / SBOM_NAME).read_bytes() == list_of_parts(lock, texts_of(lock, store))
    readme = (meta / "README").read_text()
    assert lock.digest in readme
    for layer in image.layers[:-1]:
        assert layer.digest in readme
    assert str(LAYER_DATE) in (meta / "recipe").read_text()
    assert image.lock_digest == lock.digest
    assert image.reproducible
    assert image.created.timestamp() == lock.epoch
    kept = images.lock_of(store, image.digest)
    assert kept is not None
    assert (kept.digest, kept.image) == (lock.digest, image.digest)
    beside = images.folder_of(store, image.digest)
    for name in ("README", "recipe", "pylock.toml", SBOM_NAME):
        assert (beside / name).read_bytes() == (meta / name).read_bytes()


def test_the_image_is_in_normal_form(built_environment: Built) -> None:
    """No special bits, nothing that says when or where, compiled modules need no check."""
    store, image = built_environment.store, built_environment.image
    found = seen(store, image)
    assert {entry.mode & 0o7000 for entry in found.values() if entry.kind == "file"} == {0}
    assert {entry.mode & 0o6000 for entry in found.values()} == {0}
    assert found["tmp"].mode == 0o1777
    assert "var/cache/ldconfig/aux-cache" not in found
    assert {found[f"etc/{name}"].size for name in ("hostname", "hosts", "machine-id")} == {0}
    assert not [
        p for p, e in found.items() if p.startswith(("var/log/", "run/")) and e.kind == "file"
    ]
    compiled = [entry for path, entry in found.items() if path.endswith(".pyc")]
    flags = {b"".join(store.objects.pieces(entry))[4:8] for entry in compiled}
    # Some are compiled by a program's own import, by date: every file has the one date.
    assert flags <= {b"\x01\0\0\0", b"\0\0\0\0"}
    assert len(compiled) > 1000


def test_building_again_finds_everything(built_environment: Built) -> None:
    """Nothing is unpacked or compiled a second time."""
    said: list[str] = []
    again = build_image(built_environment.lock, built_environment.store, progress=said.append)
    assert again.digest == built_environment.image.digest
    assert not [s for s in said if "unpacking" in s or "configuring" in s]


def test_wheels_are_the_same_whichever_python_compiles(
    built_environment: Built, cloned: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one of a finished Debian makes what another made that was unpacked alone."""
    store = cloned(built_environment.store)
    for key in (store.folder / "layers" / "by-key").iterdir():
        if not store.layer(parse_digest(key.read_text())).title.startswith("Debian"):
            key.unlink()
    monkeypatch.delattr(build, "unpack_python")  # the Debian is there: nobody may want another

    assert build_image(built_environment.lock, store).digest == built_environment.image.digest


def test_two_locks_share_layers(built_environment: Built, cloned: Clone) -> None:
    """Another date and one wheel less: the layers are the same ones, the image is another."""
    store = cloned(built_environment.store)
    lock = built_environment.lock
    assert lock.python is not None
    other = msgspec.structs.replace(with_wheels(lock, lock.python.wheels[0]), epoch=lock.epoch + 1)
    image = build_image(other, store)
    assert image.digest != built_environment.image.digest
    mine = {layer.digest for layer in image.layers[:-1]}
    assert mine < {layer.digest for layer in built_environment.image.layers}


def test_another_image_than_the_lock_names_is_refused(
    built_environment: Built, cloned: Clone
) -> None:
    """The sentence says in which files they differ, and the image there stays the only one."""
    store = cloned(built_environment.store)
    named = build_image(msgspec.structs.replace(built_environment.lock, image=None), store)
    lock = with_wheels(built_environment.lock).with_image(named.digest)
    with pytest.raises(OtherImage, match=r"differ in \d+ files.*usr/local/.*only before") as caught:
        build_image(lock, store)
    assert any("numpy/__init__.py" in path for path in caught.value.detail["paths"])
    assert list(images.all_images(store)) == [named.digest]


def test_a_package_missing_in_the_pool_is_named(built_environment: Built, cloned: Clone) -> None:
    """And nothing is built without it."""
    store = cloned(built_environment.store, layers=False)
    package = next(p for p in built_environment.lock.debian.packages if p.name == "bash")
    store.debs.path(package.sha256).unlink()
    with pytest.raises(NotFound, match=re.escape(f"bash {package.version}")):
        build_image(built_environment.lock, store)
    assert nothing_half_built(store)


@pytest.mark.parametrize("pool", ["debs", "wheels"])
@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_damaged_file_in_the_pool_is_named(
    built_environment: Built, cloned: Clone, pool: str, damage: str
) -> None:
    """Neither a flipped bit nor a download that stopped ever gets into an image."""
    store = cloned(built_environment.store, layers=pool == "wheels")
    lock = built_environment.lock
    assert lock.python is not None
    victim = lock.debian.packages[3] if pool == "debs" else lock.python.wheels[0]
    if pool == "wheels":
        # The Debian layer is found; that of the wheel is not.
        for key in (store.folder / "layers" / "by-key").iterdir():
            if key.read_text() != built_environment.image.layers[0].digest:
                key.unlink()
    file = getattr(store, pool).path(victim.sha256)
    data = bytearray(file.read_bytes())
    file.unlink()  # the file itself is the other store's, too
    if damage == "cut":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(Corrupt, match=victim.name.replace("+", r"\+")):
        build_image(lock, store)
    assert nothing_half_built(store)


def test_a_hostile_wheel_builds_nothing(
    built_environment: Built, cloned: Clone, tmp_path: Path
) -> None:
    """A wheel that wants out of its place ends the build, by name."""
    store = cloned(built_environment.store)
    file, locked = wheel(tmp_path, {"../../../../bin/sh": b"evil"})
    store.wheels.adopt(file, locked.sha256, locked.size)
    with pytest.raises(BranchlineError, match=r"made_up-1\.0"):
        build_image(with_wheels(built_environment.lock, locked), store)
    assert nothing_half_built(store)


def test_a_wheel_without_its_python_is_refused(built_environment: Built, cloned: Clone) -> None:
    """An image with no such Python could not run it."""
    store, lock = cloned(built_environment.store), built_environment.lock
    assert lock.python is not None
    python = msgspec.structs.replace(lock.python, version="3.99")
    with pytest.raises(Refused, match=r"Python 3\.99"):
        build_image(msgspec.structs.replace(lock, python=python, image=None), store)


def test_a_lock_of_another_recipe_is_refused(built_environment: Built) -> None:
    """This program does not build what another one would."""
    other = msgspec.structs.replace(built_environment.lock, recipe=99, image=None)
    with pytest.raises(Refused, match="recipe 99"):
        build_image(other, built_environment.store)


POSTINST = b"""#!/bin/sh
set -e
[ "$1" = configure ]
echo made > /etc/made-up.made
rm -f /usr/share/base-files/motd
update-alternatives --install /usr/bin/made-up-link made-up-link /usr/bin/made-up 10
dpkg-trigger --no-await ldconfig
ln -s made-up.7.gz /usr/share/man/man7/alias.7.gz
date +%s > /var/log/made-up.log
chown nobody:nogroup /etc/made-up.made
chmod 4755 /usr/bin/made-up
touch "/usr/share/by-$(id -u)-$(umask)-$SOURCE_DATE_EPOCH"
! getent hosts example.org
"""


@pytest.fixture
def extra(tmp_path: Path, cloned: Clone, built_environment: Built) -> tuple[Store, Lock]:
    """Give a store and a lock with two packages of the part extra that do all that packages do."""
    store = cloned(built_environment.store)
    first = deb(
        tmp_path,
        "made-up",
        [
            member("./usr/bin/made-up", b"#!/bin/sh\necho made up\n", mode=0o755),
            member("./etc/made-up.conf", b"setting\n"),
            member("./usr/share/man/man7/", kind=tarfile.DIRTYPE, mode=0o755),
            member("./usr/share/man/man7/made-up.7.gz", b"manual"),
            member("./usr/lib/x86_64-linux-gnu/libmade.so.1", b"no library"),
        ],
        control={
            "postinst": POSTINST,
            "conffiles": b"/etc/made-up.conf\n",
            "triggers": b"activate-noawait ldconfig\n",
        },
    )
    second = deb(
        tmp_path,
        "made-up-other",
        [
            member("./usr/bin/made-up", b"#!/bin/sh\necho diverted\n", mode=0o755),
            member("./usr/share/debianutils/shells.d/made-up", b"/usr/bin/made-up\n"),
        ],
        fields="Depends: made-up\n",
        control={
            "preinst": b"#!/bin/sh\nset -e\ndpkg-divert --package made-up-other --add --rename "
            b"--divert /usr/bin/made-up.real /usr/bin/made-up\n",
        },
    )
    packages = [add_deb(store, first), add_deb(store, second)]
    return store, with_debs(without_python(built_environment.lock), *packages)


def test_packages_do_what_they_do_under_dpkg(extra: tuple[Store, Lock]) -> None:
    """Scripts, configuration files, alternatives, triggers and diversions; no owner, no network."""
    store, lock = extra
    image = build_image(lock, store)
    trees = materialise(image, store)
    status = inside(
        trees, "dpkg-query", "-W", "-f", "${Package} ${Status} ${Conffiles}\n", "made-up*"
    )
    assert status.stdout.count("install ok installed") == 2
    assert "/etc/made-up.conf" in status.stdout
    assert inside(trees, "made-up").stdout == "diverted\n"
    assert inside(trees, "/usr/bin/made-up.real").stdout == "made up\n"
    verified = inside(trees, "dpkg", "--verify", "made-up").stdout.splitlines()
    assert [line.split()[-1] for line in verified] == ["/usr/share/man/man7/made-up.7.gz"]
    found = seen(store, image)
    assert found["etc/alternatives/made-up-link"].target == "/usr/bin/made-up"
    shells = b"".join(store.objects.pieces(found["etc/shells"]))
    assert b"/usr/bin/made-up\n" in shells, "debianutils of the base was not triggered"
    assert f"usr/share/by-0-0022-{LAYER_DATE}" in found
    assert found["etc/made-up.made"].kind == "file"
    assert "usr/share/base-files/motd" not in found
    assert "var/log/made-up.log" not in found
    gone = [e.path for e in store.layer(image.layers[1].digest).entries if e.kind == "gone"]
    assert gone == ["usr/share/base-files/motd"]


def test_a_failing_script_names_its_package(
    built_environment: Built, cloned: Clone, tmp_path: Path
) -> None:
    """The sentence has the package and the log, which is kept; nothing else is."""
    store = cloned(built_environment.store)
    for script in ("preinst", "postinst"):
        control = {script: b"#!/bin/sh\necho the reason >&2\nexit 7\n"}
        made = deb(tmp_path, f"broken-{script}", [member("./usr/x", b"x")], control=control)
        lock = with_debs(without_python(built_environment.lock), add_deb(store, made))
        with pytest.raises(BuildFailed, match=f"broken-{script}") as caught:
            build_image(lock, store)
        assert "the reason" in Path(caught.value.detail["log"]).read_text()
        assert "the reason" in caught.value.detail["tail"]
        assert nothing_half_built(store)


def test_a_hostile_package_builds_nothing(
    built_environment: Built, cloned: Clone, tmp_path: Path
) -> None:
    """Names that lead out, and a file that is another package's."""
    store = cloned(built_environment.store)
    for name, members in {
        "climber": [member("../../../evil", b"x")],
        "thief": [member("./bin/bash", b"x")],
    }.items():
        made = add_deb(store, deb(tmp_path, name, members))
        with pytest.raises(Refused, match=name):
            build_image(with_debs(without_python(built_environment.lock), made), store)
        assert nothing_half_built(store)


def test_a_package_that_is_not_what_the_lock_says_is_refused(
    built_environment: Built, cloned: Clone, tmp_path: Path
) -> None:
    """Its own control file has another version."""
    store = cloned(built_environment.store)
    made = add_deb(store, deb(tmp_path, "made-up", [member("./usr/x", b"x")]))
    lock = with_debs(
        without_python(built_environment.lock), msgspec.structs.replace(made, version="2.0")
    )
    with pytest.raises(Corrupt, match=r"made-up 2\.0"):
        build_image(lock, store)


def test_two_builds_at_once_make_one_image(extra: tuple[Store, Lock]) -> None:
    """One builds each layer, the other waits and finds it."""
    store, lock = extra
    said: list[str] = []
    found: list[str] = []

    def build() -> None:
        found.append(build_image(lock, Store(store.folder), progress=said.append).digest)

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(set(found)) == 1
    assert len([s for s in said if s.startswith("unpacking")]) == 1


def test_damage_is_found_named_and_repaired(built_environment: Built, tmp_path: Path) -> None:
    """A flipped bit in an object, a file added to a tree, a lost record: built again, the same."""
    place, copy = built_environment.store.folder, tmp_path / "copy"
    store = Store(shutil.copytree(place, copy, symlinks=True, ignore=unfinished))
    image = images.open_image(store, built_environment.image.digest)
    trees = materialise(image, store)
    check_trees(trees)
    assert examine(image, store).sound
    found = seen(store, image)
    path = next(p for p in found if p.endswith("numpy/__init__.py"))
    victim = Path(store.objects.path(found[path]))
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes().replace(b"import", b"impart", 1))
    (trees.local / "evil.py").write_text("evil")
    (store.folder / "layers" / f"{image.layers[0].digest[7:]}.json").write_text("{}")
    health = examine(image, store)
    assert health.damaged == (path,)
    assert "evil.py" in health.trees
    assert health.layers == (image.layers[0].digest,)
    with pytest.raises(Corrupt, match="evil"):
        check_trees(trees)
    again = repair(image, store, health, progress=lambda sentence: None)
    assert again.digest == image.digest
    assert examine(image, store).sound
    assert check_trees(materialise(again, store)) == 0
