"""Debian packages, read and placed as hostile bytes."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.environment.image.makers import deb, member

from branchline.environment.image.deb import payload, read_control
from branchline.environment.image.place import Placed, Root, replaces
from branchline.environment.image.recipe import LAYER_DATE, is_wanted
from branchline.foundation.errors import BranchlineError, Corrupt, Refused

SYMLINK, HARD_LINK, FOLDER, DEVICE = (
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.DIRTYPE,
    tarfile.CHRTYPE,
)


def place(root: Path, package: Path, owners: dict[str, str] | None = None) -> Placed:
    """Place a package into a root."""
    control = read_control(package, package.name)
    name = control.fields["Package"]
    target = Root(root, {} if owners is None else owners, replaces({name: control.fields}))
    placed = Placed()
    with payload(package, name) as members:
        for found in members:
            target.place(name, found, placed, is_wanted)
    return placed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a root as a build begins with."""
    made = tmp_path / "root"
    for name in ("bin", "lib"):
        (made / "usr" / name).mkdir(parents=True)
        (made / name).symlink_to(f"usr/{name}")
    return made


def test_a_package_is_read_as_dpkg_reads_it(tmp_path: Path) -> None:
    """Control fields and the names of files are those that dpkg-deb finds."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    members = [member("./usr/", kind=FOLDER, mode=0o755), member("./usr/" + "n" * 200, b"x")]
    made = deb(tmp_path, "made-up", members, fields="Replaces: other (<< 2)\n")
    said = subprocess.run(
        ["dpkg-deb", "--field", made], capture_output=True, text=True, check=True
    ).stdout
    control = read_control(made, "it")
    for line in said.splitlines():
        name, _, value = line.partition(": ")
        assert control.fields[name] == value
    listed = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", made], capture_output=True, check=True
    ).stdout
    with payload(made, "it") as found, tarfile.open(fileobj=__import__("io").BytesIO(listed)) as t:
        assert [m.name.rstrip("/") for m in found] == t.getnames()


def test_files_get_their_content_mode_and_the_one_date(tmp_path: Path, root: Path) -> None:
    """A program lands in /usr/bin also where its package says /bin, and no setuid bit is kept."""
    made = deb(tmp_path, "tool", [member("./bin/tool", b"#!/bin/sh\n", mode=0o4755)])
    placed = place(root, made)
    file = root / "usr/bin/tool"
    assert file.read_bytes() == b"#!/bin/sh\n"
    assert (file.stat().st_mode & 0o7777, file.stat().st_mtime) == (0o755, LAYER_DATE)
    assert placed.paths == ["/bin/tool"]


def test_manuals_stay_out_and_copyright_files_stay(tmp_path: Path, root: Path) -> None:
    """What is left out is listed in dpkg's database all the same, as dpkg does."""
    names = ["./usr/share/man/man1/x.1.gz", "./usr/share/doc/x/copyright", "./usr/share/doc/x/NEWS"]
    placed = place(root, deb(tmp_path, "x", [member(name, b"x") for name in names]))
    assert placed.paths == [name[1:] for name in names]
    assert [p.name for p in root.rglob("*") if p.is_file()] == ["copyright"]


HOSTILE = {
    "up": [member("../evil", b"x")],
    "up, later": [member("./usr/../../evil", b"x")],
    "absolute": [member("/evil", b"x")],
    "hard link out": [member("./x", kind=HARD_LINK, to="../../etc/passwd")],
    "device": [member("./dev/x", kind=DEVICE)],
    "pipe": [member("./x", kind=tarfile.FIFOTYPE)],
    "loop": [
        member("./a", kind=SYMLINK, to="b"),
        member("./b", kind=SYMLINK, to="a"),
        member("./a/x", b"x"),
    ],
    "file as folder": [member("./a", b"x"), member("./a/b", b"x")],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_package_is_refused(
    tmp_path: Path, root: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    """The sentence names the package, and nothing is made outside of the root."""
    made = deb(tmp_path, "evil-package", members)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Refused, match="evil-package"):
        place(root, made)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("to", ["/outside", "../../../../outside", "/../outside"])
def test_a_link_never_leads_out(tmp_path: Path, root: Path, to: str) -> None:
    """Files behind a package's own link land inside the root, as they would under chroot."""
    outside = tmp_path / "outside"
    outside.mkdir()
    members = [member("./usr/x", kind=SYMLINK, to=to), member("./usr/x/file", b"content")]
    place(root, deb(tmp_path, "sly", members))
    assert list(outside.iterdir()) == []
    assert (root / "outside/file").read_bytes() == b"content"


def test_two_packages_may_not_bring_one_file(tmp_path: Path, root: Path) -> None:
    """Unless one says that it replaces the other: then its file it is, in either order."""
    first = deb(tmp_path, "first", [member("./usr/x", b"1")])
    second = deb(tmp_path, "second", [member("./usr/x", b"2")])
    owners: dict[str, str] = {}
    place(root, first, owners)
    with pytest.raises(Refused, match=r"second and first both bring 'usr/x'"):
        place(root, second, owners)
    third = deb(tmp_path, "third", [member("./usr/x", b"3")], fields="Replaces: first\n")
    place(root, third, owners)
    assert (root / "usr/x").read_bytes() == b"3"


@given(cut=st.integers(0, 10_000))
def test_a_truncated_package_is_noticed(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wherever a download stopped, reading the package says so."""
    folder = tmp_path_factory.mktemp("deb")
    made = deb(folder, "x", [member(f"./usr/{n}", bytes([n]) * 2000) for n in range(5)])
    whole = made.read_bytes()
    made.write_bytes(whole[: cut % len(whole.rstrip(b"\n"))])
    with pytest.raises(Corrupt, match="it"):
        read_control(made, "it")
        with payload(made, "it") as members:
            for found in members:
                b"".join(found.pieces())


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_damaged_package_gives_one_of_our_errors(
    at: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A flipped bit never shows as anything but a refusal, or as other content (the hash decides)."""
    folder = tmp_path_factory.mktemp("deb")
    made = deb(folder, "x", [member(f"./usr/{n}", bytes([n]) * 500) for n in range(3)])
    data = bytearray(made.read_bytes())
    data[at % len(data)] ^= 1 << bit
    made.write_bytes(data)
    try:
        read_control(made, "it")
        with payload(made, "it") as members:
            for found in members:
                b"".join(found.pieces())
    except BranchlineError:
        pass
