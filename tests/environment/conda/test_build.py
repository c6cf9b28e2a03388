"""Conda's packages in an image: built from a lock, reproducible, and run."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from tests.environment.built import Built
from tests.environment.conda.channel import PURE, Server

from branchline.cli.root import root
from branchline.environment.image.build import build_image
from branchline.environment.image.gc import collect
from branchline.environment.image.image import Image
from branchline.environment.image.store import Store
from branchline.environment.image.trees import materialise
from branchline.environment.lock.fetch import absent, fetch
from branchline.environment.lock.locking import Locked, lock_environment
from branchline.environment.lock.model import parse_lock
from branchline.environment.lock.wanted import Options
from branchline.environment.mount import mount_image
from branchline.environment.spec import Tree, detect
from branchline.foundation.errors import NotFound, Unavailable

SPEC = b"""
channels: [lab]
dependencies:
  - pure-thing >=1
  - pip:
    - tabulate
"""


def lock(built: Built, store: Store, **more: object) -> Locked:
    """Lock the sample's spec file; Debian's packages stay those of the shared environment."""
    before = dataclasses.replace(built.locked, lock=msgspec.structs.replace(built.lock, image=None))
    found = detect(Tree({"environment.yml": SPEC}))
    options = Options(runtime=False, **more)  # type: ignore[arg-type]
    return lock_environment(found, options, store, before=before)


def test_an_image_with_condas_packages(
    built_environment: Built, cloned: Callable[..., Store], channel: Server, tmp_path: Path
) -> None:
    """From environment.yml to a command in the image; the same digest elsewhere and offline."""
    store = cloned(built_environment.store)
    locked = lock(built_environment, store)
    made = locked.lock
    assert made.spec.winner == "Conda"
    assert made.conda is not None
    assert {p.name for p in made.conda.packages} == {"python", "tool", "pure-thing"}
    assert made.python is not None
    assert ([w.name for w in made.python.wheels], made.python.version) == (["tabulate"], "3.11")
    assert parse_lock(made.text.encode()).digest == made.digest
    assert "127.0.0.1" not in made.text
    files = {package.file for package in made.conda.packages}
    assert files <= set(absent(made, store))
    fetch(made, locked.pylock, store)
    image = build_image(made, store)
    check_what_runs(store, image)
    channel.stop()
    # Its Debian layers are built already; conda's packages and the wheel are not.
    elsewhere = cloned(built_environment.store, name="elsewhere")
    for pool in ("condas", "wheels", "texts"):
        (elsewhere.folder / pool).mkdir(exist_ok=True)
        for file in (store.folder / pool).iterdir():
            if not (elsewhere.folder / pool / file.name).exists():
                os.link(file, elsewhere.folder / pool / file.name)
    fetch(made, locked.pylock, elsewhere, offline=True)
    assert build_image(made, elsewhere).digest == image.digest
    assert lock(built_environment, store, offline=True).lock == made
    check_what_is_told(store, image, made.text, tmp_path)
    pools = {p.sha256 for p in made.conda.packages}
    collect(store, pools=True)
    assert all(store.condas.has(sha256) for sha256 in pools)
    collect(store, forget=[image.digest], pools=True)
    assert not any(store.condas.has(sha256) for sha256 in pools)
    assert files <= set(absent(made, store))
    with pytest.raises(NotFound, match="The store lacks"):
        fetch(made, locked.pylock, store, offline=True)


def check_what_runs(store: Store, image: Image) -> None:
    """Programs of both kinds, modules with theirs compiled, and nothing of the link script."""
    tree = materialise(image, store).debian / "opt/conda"
    cached = tree / "lib/python3.11/site-packages/pure_thing/__pycache__"
    assert [file.name for file in cached.iterdir()] == ["__init__.cpython-311.pyc"]
    assert not (tree / "lib/python3.11/__pycache__/old.cpython-311.pyc").exists()
    assert not (tree / "messages").exists()
    mount = mount_image(store, image.digest)
    assert mount.python == "/opt/conda/bin/python3.11"
    script = "tool; pure; python -c 'import tabulate, sys; print(tabulate.__file__, sys.prefix)'"
    program = (
        "import sys; from pathlib import Path\n"
        "from branchline.cli.root import root\n"
        "root(['environment', 'run', *sys.argv[1:]])"
    )
    words = [image.digest, "--store", str(store.folder), "--no-work", "--", "sh", "-c", script]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    packages = "/opt/conda/lib/python3.11/site-packages"
    assert done.stdout.splitlines() == [
        "/opt/conda/share",
        f"pure {packages}/pure_thing/__init__.py",
        f"{packages}/tabulate.py /opt/conda"
        if "tabulate.py" in done.stdout
        else f"{packages}/tabulate/__init__.py /opt/conda",
    ], done.stderr


def check_what_is_told(store: Store, image: Image, text: str, tmp_path: Path) -> None:
    """The image, its list of parts, and the commands know the packages."""
    meta = materialise(image, store).meta
    readme = (meta / "README").read_text()
    assert "None was run" in readme
    assert "/opt/conda/bin/.tool-post-link.sh" in readme
    parts = json.loads((meta / "sbom.cdx.json").read_bytes())["components"]
    (pure,) = [part for part in parts if part["name"] == PURE.name]
    assert pure["purl"].startswith("pkg:conda/pure-thing@2.0?build=0&channel=lab&subdir=noarch")
    assert pure["licenses"] == [{"license": {"id": "MIT"}}]
    (tmp_path / "branchline.lock").write_text(text)
    for words, said in (
        (["show", image.digest], "3 of conda's (lab)"),
        (["diff", str(tmp_path), str(tmp_path)], ""),
        (["audit", str(tmp_path), "--offline"], "conda"),
    ):
        store_ = ["--store", str(store.folder)] if words[0] == "show" else []
        done = CliRunner().invoke(root, ["environment", *words, *store_])
        assert said in done.output, done.output


def test_a_channel_that_is_away_refuses_the_whole(
    built_environment: Built, cloned: Callable[..., Store], channel: Server
) -> None:
    """Nothing of a part is locked; the sentence names the channel, and what can be done."""
    store = cloned(built_environment.store, layers=False)
    channel.stop()
    with pytest.raises(Unavailable, match="conda channel lab is needed") as refused:
        lock(built_environment, store)
    assert "environment.yml" in (refused.value.advice or "")
