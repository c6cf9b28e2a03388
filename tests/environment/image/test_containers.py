"""Podman and buildah take our OCI layouts: same digest, and programs run in what they unpack.

The image is a few real files of a real environment: these programs copy every layer several times.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.environment.built import Built
from tests.environment.image.makers import shell_image

from branchline.environment.image.dockerfile import build_dockerfile
from branchline.environment.image.oci import write_layout
from branchline.environment.image.store import Store
from branchline.environment.image.trees import check_trees, materialise

_COULD_NOT_START = (125, 126, 127)
"""Exit codes by which podman says that the container did not begin (podman-run(1))."""
_PROGRAM = ("sh", "-c", "echo $((6 * 7))")


@pytest.fixture(scope="module")
def storage() -> Iterator[list[str]]:
    """Give the options of a storage of its own; its path is short, as podman demands."""
    with tempfile.TemporaryDirectory(prefix="bl", ignore_cleanup_errors=True) as name:
        yield ["--root", f"{name}/r", "--runroot", f"{name}/n", "--storage-driver", "vfs"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, built_environment: Built) -> Built:
    """Give an image with Debian's shell and what it is linked to."""
    store = Store(tmp_path_factory.mktemp("containers") / "store")
    return replace(built_environment, store=store, image=shell_image(built_environment, store))


@pytest.fixture(scope="module")
def layout(made: Built) -> Path:
    """Give the image as an OCI layout."""
    folder = made.store.folder.parent / "layout"
    write_layout(made.store, made.image, folder)
    return folder


@pytest.fixture(scope="module")
def name(layout: Path, storage: list[str]) -> str:
    """Have podman take the layout in; return the image's name there."""
    podman = (installed("podman"), *storage)
    return answer(*podman, "pull", "--quiet", f"oci:{layout}").split()[-1]


def installed(program: str) -> str:
    """Return a program's path; skip where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def answer(*argv: str) -> str:
    """Run a command that must succeed, and return what it printed."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_podman_finds_the_same_digest(storage: list[str], name: str, made: Built) -> None:
    """Taken from the layout, the image has the name that we gave it."""
    inspect = ("podman", *storage, "image", "inspect", "--format", "{{.Digest}}", name)
    assert answer(*inspect) == made.image.digest


def test_podman_runs_a_program_in_it(storage: list[str], name: str) -> None:
    """The environment's shell computes in a container; where none may start, podman says why."""
    # As little as any machine allows: containers in containers may not raise their limits.
    little = ("--network=none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    ways: list[tuple[list[str], list[str]]] = [([], ["--cgroups=disabled"])]
    if runc := shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin"):
        ways.append((["--runtime", runc], []))
    for runtime, more in ways:
        words = ["podman", *storage, *runtime, "run", "--rm", *more, *little, name, *_PROGRAM]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode not in _COULD_NOT_START:
            break
    else:
        pytest.skip(f"podman starts no container on this machine: {done.stderr.strip()}")
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr


def test_buildah_runs_a_program_in_it(storage: list[str], name: str) -> None:
    """And in the folder that buildah makes of the layers, for which no container is needed."""
    buildah = (installed("buildah"), *storage)
    container = answer(*buildah, "from", "--pull-never", name)
    inside = ("run", "--isolation", "chroot", container, "--", *_PROGRAM)
    assert answer(*buildah, *inside) == "42"


def test_a_dockerfile_goes_on_from_an_environment(
    tmp_path: Path, layout: Path, made: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its base is an image of ours, its RUN is run; what comes out is marked and runs in our walls."""
    installed("buildah")
    monkeypatch.delenv("BUILDAH_ISOLATION", raising=False)
    (tmp_path / "Dockerfile").write_text(
        f"FROM oci:{layout}\nRUN echo 'echo made by $(cat /usr/share/who)' > /usr/bin/made\n"
        "COPY who /usr/share/who\n"
    )
    (tmp_path / "who").write_text("a Dockerfile\n")
    image = build_dockerfile(tmp_path, made.store)
    assert (image.reproducible, image.lock_digest) == (False, None)
    trees = materialise(image, made.store)
    assert check_trees(trees) == 0
    assert (trees.debian / "usr/bin/made").read_text() == "echo made by $(cat /usr/share/who)\n"
    assert (trees.debian / "usr/share/who").read_text() == "a Dockerfile\n"
    assert (trees.debian / "usr/bin/dash").is_file()
