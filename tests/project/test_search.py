"""Words are found in records and files, as they are now, and whatever became of the index."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.project.conftest import Scene

from branchline.foundation.errors import Refused
from branchline.project.activity.feed import write_note
from branchline.project.search import Hit, find


def names(scene: Scene, words: str, kind: str = "") -> list[str]:
    """Return what is found, by what it says it is."""
    return [hit.title for hit in find(scene.project, words, kind=kind)]


def test_records_and_files_are_found_by_all_words_and_by_their_beginnings(scene: Scene) -> None:
    """In any order and case, with or without accents."""
    scene.write("code/fit.py", "def fit_bayesian_model(molars):\n    return molars\n")
    scene.write("notes.md", "The café has teeth\n")
    scene.save("A model of wear")
    with scene.project.working() as project:
        write_note(project, scene.identity, "Reviewer asks for the median", milestone=False)
    assert names(scene, "MOLARS fit") == ["code/fit.py"]
    assert names(scene, "cafe") == ["notes.md"]
    assert names(scene, "review medi") == ["note create: Reviewer asks for the median"]
    assert "code create: A model of wear" in names(scene, "wear", "record")
    assert names(scene, "wear molars nothing") == []
    (hit,) = find(scene.project, "bayesian", kind="file")
    assert isinstance(hit, Hit)
    assert "[fit_bayesian_model]" in hit.found or "[bayesian]" in hit.found


def test_what_changed_is_found_as_it_is_now(scene: Scene) -> None:
    """A file that was saved anew, or is gone, is not found by what it was."""
    scene.write("code/a.py", "alpha\n")
    scene.save()
    assert names(scene, "alpha", "file") == ["code/a.py"]
    scene.write("code/a.py", "beta\n")
    scene.save()
    assert names(scene, "alpha", "file") == []
    assert names(scene, "beta", "file") == ["code/a.py"]
    (scene.root / "code/a.py").unlink()
    scene.save()
    assert names(scene, "beta", "file") == []


def test_data_in_git_annex_and_bytes_have_no_words(scene: Scene) -> None:
    """Only their names; a search never reads data of patients."""
    scene.write("data/secret.csv", "patient\nxylophone\n")
    scene.write("code/bytes.bin", b"\0xylophone")
    scene.save("data")
    assert names(scene, "xylophone", "file") == []
    assert names(scene, "bytes", "file") == ["code/bytes.bin"]


def test_an_index_that_is_gone_or_damaged_is_made_anew(scene: Scene) -> None:
    """It holds nothing that cannot be had again."""
    scene.write("code/a.py", "alpha\n")
    scene.save()
    assert names(scene, "alpha", "file") == ["code/a.py"]
    index: Path = scene.project.state / "search.sqlite"
    for damage in (b"", b"not a database at all " * 400):
        for file in scene.project.state.glob("search.sqlite*"):
            file.unlink()
        index.write_bytes(damage)
        assert names(scene, "alpha", "file") == ["code/a.py"]
    assert "search" not in scene.git("status", "--porcelain", "--ignored")


@pytest.mark.parametrize("words", ["", "   ", '"*" -- ()', "!?"])
def test_no_word_is_refused(scene: Scene, words: str) -> None:
    """One sentence; what the index's own language means is not understood as such."""
    with pytest.raises(Refused, match="no word to look for"):
        find(scene.project, words)


@pytest.mark.parametrize("words", ["a OR b", "NEAR(a b)", "title:a", "a NOT zebra", 'x" OR "y'])
def test_words_are_words(scene: Scene, words: str) -> None:
    """The index's own language has no meaning here."""
    scene.write("code/a.py", "a\n")
    scene.save()
    assert names(scene, words, "file") == []
