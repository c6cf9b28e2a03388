"""Reading a folder: the spec files and what they refer to, and nothing outside."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.environment.spec.trees import write_tree

from branchline.environment.spec import Detected, SpecRefused, detect, read_tree
from branchline.environment.spec.tree import MAX_FILE, MAX_LOCK_FILE
from branchline.foundation.digest import digest_of


def test_only_spec_files_and_their_references_are_read(tmp_path: Path) -> None:
    """Other files stay unread, whatever they hold; the digests are of what was read."""
    write_tree(
        tmp_path,
        {
            "requirements.txt": "-r parts/more.txt\n-c parts/bounds.txt\n-r absent.txt",
            "parts/more.txt": "six\n-r even.txt",
            "parts/even.txt": "attrs",
            "parts/bounds.txt": "six<2",
            "notes.txt": "-r secret.txt",
            "secret.txt": "x",
        },
    )
    tree = read_tree(tmp_path)
    assert set(tree.files) == {
        "requirements.txt", "parts/more.txt", "parts/even.txt", "parts/bounds.txt",
    }  # fmt: skip
    write_tree(tmp_path, {"requirements.txt": "-r parts/more.txt\n"})
    found = detect(read_tree(tmp_path))
    assert found.python == ("six", "attrs")
    assert found.files == {
        "parts/even.txt": digest_of(b"attrs"),
        "parts/more.txt": digest_of(b"six\n-r even.txt"),
        "requirements.txt": digest_of(b"-r parts/more.txt\n"),
    }


def test_references_of_an_environment_are_read(tmp_path: Path) -> None:
    """pip's lines in an environment.yml refer from where that lies."""
    write_tree(
        tmp_path,
        {
            "binder/environment.yml": "dependencies:\n  - pip:\n    - -r requirements.txt\n    - six\n",
            "binder/requirements.txt": "attrs",
        },
    )
    found = detect(read_tree(tmp_path))
    assert found.python == ("attrs", "six")
    assert set(found.files) == {"binder/environment.yml", "binder/requirements.txt"}
    assert found.ignored == ()


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    """In binder/ it often stands for the root's file; the folder itself may be one, too."""
    write_tree(tmp_path, {"requirements.txt": "six", "env/apt.txt": "curl"})
    (tmp_path / "binder").symlink_to("env")
    (tmp_path / "env" / "requirements.txt").symlink_to("../requirements.txt")
    found = detect(read_tree(tmp_path))
    assert (found.folder, found.python, found.debian) == ("binder", ("six",), ("curl",))


def test_nothing_outside_is_opened(tmp_path: Path) -> None:
    """Links of files and folders out of the tree are refused; references out of it too."""
    outside = write_tree(tmp_path / "outside", {"apt.txt": "curl", "more.txt": "six"})
    first = write_tree(tmp_path / "first", {})
    (first / "binder").symlink_to(outside)
    with pytest.raises(SpecRefused, match="binder is a symbolic link that leads out"):
        read_tree(first)
    second = write_tree(tmp_path / "second", {"requirements.txt": "-r link.txt"})
    (second / "link.txt").symlink_to(outside / "more.txt")
    assert set(read_tree(second).files) == {"requirements.txt"}
    with pytest.raises(SpecRefused, match=r"'link[.]txt', which is not there"):
        detect(read_tree(second))
    third = write_tree(tmp_path / "third", {"requirements.txt": "-r deep/more.txt"})
    (third / "deep").symlink_to(outside)
    assert set(read_tree(third).files) == {"requirements.txt"}


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    """It leads nowhere."""
    (tmp_path / "apt.txt").symlink_to("apt.txt")
    with pytest.raises(SpecRefused, match="leads nowhere"):
        read_tree(tmp_path)


def test_special_files_are_refused(tmp_path: Path) -> None:
    """Pipes, sockets, devices; at once."""
    os.mkfifo(tmp_path / "start")
    with pytest.raises(SpecRefused, match="start is not a regular file"):
        read_tree(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(other / "apt.txt"))
        with pytest.raises(SpecRefused, match=r"apt[.]txt is not a regular file"):
            read_tree(other)


@pytest.mark.parametrize(("name", "most"), [("apt.txt", MAX_FILE), ("Pipfile.lock", MAX_LOCK_FILE)])
def test_sizes_are_bounded(name: str, most: int, tmp_path: Path) -> None:
    """As long as may be is read; one byte more is refused with both numbers."""
    file = tmp_path / name
    with file.open("wb") as opened:
        opened.truncate(most)
    assert len(read_tree(tmp_path).files[name]) == most
    with file.open("wb") as opened:
        opened.truncate(most + 1)
    with pytest.raises(SpecRefused, match=f"has {most + 1} bytes; at most {most}"):
        read_tree(tmp_path)


def test_a_spec_folder_hides_the_root(tmp_path: Path) -> None:
    """The root's files are not even read, but told; its Dockerfile is looked at all the same."""
    with (write_tree(tmp_path, {"binder/apt.txt": "curl"}) / "requirements.txt").open("wb") as file:
        file.truncate(MAX_FILE + 1)
    found = detect(read_tree(tmp_path))
    assert found.ignored == ("requirements.txt",)
    assert any("the folder binder is there" in note for note in found.notes)
    write_tree(tmp_path, {"Dockerfile": "FROM andrewosh/binder-base"})
    with pytest.raises(SpecRefused, match="since 2020"):
        detect(read_tree(tmp_path))


def test_a_misspelt_name_is_told(tmp_path: Path) -> None:
    """Upper and lower case count, and people err."""
    write_tree(tmp_path, {"Requirements.txt": "six", "postbuild": "", "apt.txt": "curl"})
    found = detect(read_tree(tmp_path))
    assert isinstance(found, Detected)
    assert "Requirements.txt has no effect: the name is requirements.txt" in found.notes
    assert "postbuild has no effect: the name is postBuild" in found.notes


def test_what_is_no_folder(tmp_path: Path) -> None:
    """The system's own error says it."""
    with pytest.raises(FileNotFoundError):
        read_tree(tmp_path / "absent")
