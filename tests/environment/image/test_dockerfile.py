"""Dockerfiles, built by buildah into the same store and marked as not reproducible."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from branchline.environment.image import images
from branchline.environment.image.configure import BuildFailed
from branchline.environment.image.dockerfile import build_dockerfile
from branchline.environment.image.store import Store
from branchline.environment.image.trees import check_trees, materialise
from branchline.foundation.errors import Refused, Unavailable

needs_buildah = pytest.mark.skipif(
    shutil.which("buildah") is None, reason="buildah is not installed"
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a folder with a Dockerfile that needs no server."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        "FROM scratch\nCOPY tool /usr/bin/tool\nCOPY data /usr/local/share/data\nENV X=1\n"
    )
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o4755)
    (folder / "data").write_text("1,2,3\n")
    return folder


@needs_buildah
def test_a_dockerfile_becomes_an_image(store: Store, project: Path) -> None:
    """In the normal form of all images, laid out and checked as they are; with no lock, and marked."""
    image = build_dockerfile(project, store)
    assert (image.reproducible, image.lock_digest) == (False, None)
    assert images.lock_of(store, image.digest) is None
    trees = materialise(image, store)
    assert check_trees(trees) == 0
    assert (trees.debian / "usr/bin/tool").stat().st_mode & 0o7777 == 0o555
    assert (trees.local / "share/data").read_text() == "1,2,3\n"
    assert (trees.meta / "Dockerfile").read_text() == (project / "Dockerfile").read_text()
    assert "not reproducible" in (trees.meta / "README").read_text()
    assert {"tmp", "proc", "etc"} <= {path.name for path in trees.debian.iterdir()}


@needs_buildah
def test_a_dockerfile_that_fails_keeps_its_log(store: Store, project: Path) -> None:
    """One sentence, the log's name, no image."""
    (project / "Dockerfile").write_text("FROM scratch\nCOPY missing /missing\n")
    with pytest.raises(BuildFailed, match=r"logs/.*dockerfile\.log"):
        build_dockerfile(project, store)
    assert list(images.all_images(store)) == []
    assert list((store.folder / "temp").iterdir()) == []


def test_without_buildah_one_sentence_says_so(
    store: Store, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what to do instead."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="buildah, which is not installed"):
        build_dockerfile(project, store)


def test_a_folder_without_a_dockerfile_is_refused(store: Store, tmp_path: Path) -> None:
    """Nothing is guessed."""
    with pytest.raises(Refused, match="no Dockerfile"):
        build_dockerfile(tmp_path, store)
