"""A project in which commands and cells were run, carried away as a crate."""

from __future__ import annotations

import base64
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.project.conftest import Scene, begun, copied, quiet, settle  # noqa: F401

from branchline.project.activity.files import Recorder
from branchline.project.activity.record import Detail
from branchline.project.carrying.export import export
from branchline.project.notebook.cells import Cell, Failure, Output
from branchline.project.notebook.details import action_of, error_of, facts_of, parts_of
from branchline.project.runs.places import Place
from branchline.project.runs.run import Order, run

PNG = b"\x89PNG\r\n\x1a\n a figure"
IMAGE = "sha256:" + "5a" * 32
SCRIPT = "open('results/out.csv', 'w').write(open('data/wear.csv').read() * 2)\nprint('twice')\n"


def put_cell(scene: Scene, cell: Cell, environment: str = IMAGE) -> None:
    """Put a cell on record as a recording does."""
    with scene.project.working() as project:
        recorder = Recorder(project, scene.identity)
        details = [recorder.keep(*part) for part in parts_of(cell)[0]]
        if (failure := error_of(cell)) is not None:
            details.append(recorder.keep_json("error", failure))
        facts = {"notebook": "code/wear.ipynb", **facts_of(cell, [])}
        details += [recorder.keep_json("metadata", facts), Detail("environment", environment)]
        recorder.write({**action_of(cell)}, *details)


def carry_out(scene: Scene, *words: str, **more: Any) -> None:
    """Run a command in the project, on this machine."""
    order = Order(words, **more)
    run(scene.root, scene.identity, order, Place(None), quiet, (None, None))


def work(scene: Scene) -> None:
    """Run what may be run: a script twice, what fails, what writes nothing, and three cells."""
    scene.write("code/fit.py", SCRIPT)
    scene.write("data/wear.csv", "one\n")
    scene.save("first")
    words = (sys.executable, "code/fit.py")
    more: dict[str, Any] = {"inputs": ["data/wear.csv"], "outputs": ["results/out.csv"], "seed": 7}
    carry_out(scene, *words, message="Doubled", **more)
    scene.write("code/fit.py", SCRIPT.replace("* 2", "* 3"))
    carry_out(scene, *words, message="Tripled", **more)
    carry_out(scene, "false")
    figure = {"image/png": base64.b64encode(PNG).decode(), "text/plain": "<Figure>"}
    times = ("2026-11-21T10:00:00.000Z", "2026-11-21T10:00:01.500Z")
    put_cell(scene, Cell("plot()", 1, *times, "done", outputs=(Output("display", figure),)))
    failure = Failure("ZeroDivisionError", "division by zero", "line 1")
    put_cell(scene, Cell("1/0", 2, *times, "failed", failure=failure), "host")
    put_cell(scene, Cell("x = 2", 3, *times, "done"))
    scene.save("cells")


@pytest.fixture(scope="session")
def worked(begun: Scene, tmp_path_factory: pytest.TempPathFactory) -> Scene:  # noqa: F811
    """The project, and beside it ``crate.zip`` and ``plain.zip``; nobody changes them."""
    folder = tmp_path_factory.mktemp("worked")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        scene = copied(begun, folder / "project")
        work(scene)
        with scene.project.working() as project:
            export(project, scene.identity, folder / "crate.zip", quiet, crate=True)
            export(project, scene.identity, folder / "plain.zip", quiet)
    return scene


@pytest.fixture
def crate(worked: Scene, tmp_path: Path) -> Path:
    """A copy of the crate, to be changed."""
    return Path(shutil.copy(worked.root.parent / "crate.zip", tmp_path / "crate.zip"))


def unpacked(crate: Path, folder: Path) -> Path:
    """Unpack a crate."""
    with zipfile.ZipFile(crate) as archive:
        archive.extractall(folder)
    return folder
