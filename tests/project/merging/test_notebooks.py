"""Notebooks are merged by cell: code as in programs, outputs by a rule."""

from __future__ import annotations

import json
from typing import Any

from tests.project.conftest import Scene
from tests.project.merging.conftest import merged, on, resumed

from branchline.project.merging.notebooks import merged_notebook


def cell(name: str, source: str, printed: str = "", count: int | None = None) -> dict[str, Any]:
    """One cell of code that printed something."""
    outputs = [{"name": "stdout", "output_type": "stream", "text": [printed]}] if printed else []
    return {
        "cell_type": "code",
        "execution_count": count,
        "id": name,
        "metadata": {},
        "outputs": outputs,
        "source": source.splitlines(keepends=True),
    }


def book(*cells: dict[str, Any]) -> bytes:
    """A notebook."""
    whole = {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1).encode()


BEFORE = book(cell("a", "x = 1", "1", 1), cell("b", "y = 2"), cell("c", "z = 3"))


def sources(text: bytes | None) -> list[str]:
    """The code of each cell."""
    assert text is not None
    return ["".join(each["source"]) for each in json.loads(text)["cells"]]


def test_changes_of_different_cells_go_together() -> None:
    """Also where as lines of JSON they would be a conflict."""
    mine = book(cell("a", "x = 10", "10", 4), cell("b", "y = 2"), cell("c", "z = 3"))
    theirs = book(cell("a", "x = 1", "1", 1), cell("b", "y = 20", "20", 5), cell("c", "z = 3"))
    assert sources(merged_notebook(BEFORE, mine, theirs)) == ["x = 10", "y = 20", "z = 3"]


def test_outputs_of_both_sides_are_kept_by_neither() -> None:
    """The same code ran on both and printed different things: nobody knows what the merge prints."""
    mine = book(cell("a", "x = 1", "one", 2), cell("b", "y = 2"), cell("c", "z = 3"))
    theirs = book(cell("a", "x = 1", "two", 9), cell("b", "y = 2", "2", 3), cell("c", "z = 3"))
    text = merged_notebook(BEFORE, mine, theirs)
    assert text is not None
    cells = json.loads(text)["cells"]
    assert cells[0]["outputs"] == []
    assert cells[1]["outputs"][0]["text"] == ["2"]


def test_two_changes_of_one_cell_are_a_conflict() -> None:
    """And so is what is no notebook at all."""
    mine = book(cell("a", "x = 10"), cell("b", "y = 2"), cell("c", "z = 3"))
    theirs = book(cell("a", "x = 100"), cell("b", "y = 2"), cell("c", "z = 3"))
    assert merged_notebook(BEFORE, mine, theirs) is None
    assert merged_notebook(BEFORE, b"{", theirs) is None
    assert merged_notebook(BEFORE, b'{"nbformat": 3}', theirs) is None
    assert merged_notebook(BEFORE, b"\xff", b"[]") is None


def test_a_project_merges_its_notebooks(scene: Scene) -> None:
    """By cell where that goes; else one is asked, and can edit a notebook that holds both."""
    scene.write("code/good.ipynb", BEFORE)
    scene.write("code/bad.ipynb", BEFORE)
    scene.save()
    on(scene, "aside")
    theirs = book(cell("a", "x = 100"), cell("b", "y = 2"), cell("c", "z = 3"))
    scene.write("code/good.ipynb", theirs)
    scene.write("code/bad.ipynb", theirs)
    scene.save()
    on(scene, "main")
    scene.write(
        "code/good.ipynb", book(cell("a", "x = 1"), cell("b", "y = 20"), cell("c", "z = 3"))
    )
    scene.write("code/bad.ipynb", book(cell("a", "x = 7"), cell("b", "y = 2"), cell("c", "z = 3")))
    waiting = merged(scene, "aside")
    assert [each.path for each in waiting.conflicts] == ["code/bad.ipynb"]
    resumed(scene, {"code/bad.ipynb": "hand"})
    both = "".join(sources((scene.root / "code/bad.ipynb").read_bytes()))
    assert "x = 7" in both
    assert "x = 100" in both
    scene.write("code/bad.ipynb", book(cell("a", "x = 107")))
    done = resumed(scene, {}, done=True)
    assert done.notebooks == ["code/good.ipynb"]
    text = (scene.root / "code/good.ipynb").read_bytes()
    assert sources(text) == ["x = 100", "y = 20", "z = 3"]
