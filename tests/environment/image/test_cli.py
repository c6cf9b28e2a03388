"""The commands about images: build, show, verify, export, import, gc."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.environment.built import Built
from tests.environment.image.makers import keep, small_image

from branchline.cli.root import root
from branchline.environment.image.store import Store
from branchline.environment.lock.folder import write_locked
from branchline.environment.lock.model import parse_lock


def run(*words: object) -> tuple[int, dict[str, Any]]:
    """Run a command; return its exit code and what it says as JSON."""
    result = CliRunner().invoke(root, ["environment", *map(str, words), "--json"])
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def project(built_environment: Built, tmp_path: Path) -> Path:
    """Give a folder with a lock, and what belongs beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_locked(built_environment.locked, folder)
    return folder


def test_an_environment_is_built_shown_and_carried_away(
    built_environment: Built, cloned: Callable[..., Store], project: Path, tmp_path: Path
) -> None:
    """Build writes the digest into the lock; export and import bring the very image elsewhere."""
    store, image = cloned(built_environment.store), built_environment.image
    here = ("--store", store.folder)
    code, built = run("build", project, "--offline", "--oci", tmp_path / "layout", *here)
    assert (code, built["image"]) == (0, image.digest)
    assert built["bytes"] == image.size
    assert {"fetch", "base", "wheels", "total"} <= set(built["seconds"])
    assert (tmp_path / "layout" / "index.json").exists()
    assert parse_lock((project / "branchline.lock").read_bytes()).image == image.digest

    for what in (project, project / "branchline.lock", image.digest):
        code, shown = run("show", what, *here)
        assert (code, shown["image"], shown["lock"]) == (0, image.digest, image.lock_digest)
        assert shown["debian"] == len(built_environment.lock.debian.packages)
        assert shown["packages_bytes"] == built_environment.lock.packages_bytes
        assert (shown["bytes"], shown["seconds"] >= 0) == (image.size, True)

    file, other = tmp_path / "file", ("--store", tmp_path / "elsewhere")
    code, exported = run("export", project, file, *here)
    assert (code, exported["bytes"]) == (0, file.stat().st_size)
    code, imported = run("import", file, "--image", image.digest, *other)
    assert (code, imported["image"]) == (0, image.digest)
    code, verified = run("verify", image.digest, *other)
    assert (code, verified["sound"]) == (0, True)
    code, collected = run("gc", "--forget", image.digest, "--packages", *other)
    assert (code, collected["images"]) == (0, 1)
    assert collected["bytes"] > image.size // 2


def test_a_lock_without_an_image_is_shown(built_environment: Built, project: Path) -> None:
    """What it asks for is known before anything is built."""
    empty = project / "store"
    code, shown = run("show", project, "--store", empty)
    assert (code, shown["image"], shown["lock"]) == (0, None, built_environment.lock.digest)


def test_offline_names_what_is_missing(project: Path, tmp_path: Path) -> None:
    """Nothing is fetched, nothing is built, and the exit code says "not found"."""
    code, said = run("build", project, "--offline", "--store", tmp_path / "empty")
    assert (code, said["error"]) == (4, "not-found")


def test_damage_has_its_own_exit_code(tmp_path: Path) -> None:
    """Verify names the file and exits with 6; an image from no lock cannot be repaired."""
    store = Store(tmp_path / "store")
    image = small_image(store)
    path = Path(store.objects.path(keep(store, "etc/secret", b"hidden", 0o600)))
    path.chmod(0o600)
    path.write_bytes(b"hiddem")
    code, said = run("verify", image.digest, "--store", store.folder)
    assert (code, said["damaged"], said["sound"]) == (6, ["/etc/secret"], False)
    code, said = run("verify", image.digest, "--repair", "--store", store.folder)
    assert (code, said["error"]) == (4, "not-found")


@pytest.mark.parametrize("words", [["export", "sha256:" + "0" * 64], ["import"]])
def test_a_file_or_a_registry_has_to_be_named(words: list[str], tmp_path: Path) -> None:
    """One of the two."""
    code, said = run(*words, "--store", tmp_path / "store")
    assert (code, said["error"]) == (2, "usage")


def test_people_are_told_in_words(tmp_path: Path) -> None:
    """Without --json there are sentences and tables."""
    store = Store(tmp_path / "store")
    image = small_image(store)
    place = ["--store", str(store.folder)]
    shown = CliRunner().invoke(root, ["environment", "show", image.digest, *place])
    assert image.digest in shown.stdout
    assert "not reproducible" in shown.stdout
    done = CliRunner().invoke(root, ["environment", "gc", *place])
    assert done.stdout.strip() == "nothing to do"
