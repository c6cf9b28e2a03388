"""The same winner, version, applied files and refusals as repo2docker has."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.environment.spec.oracle import Oracle, differing, ours
from tests.environment.spec.shapes import SHAPES
from tests.environment.spec.trees import Files, trees, write_tree

from branchline.environment.spec import SpecRefused
from branchline.environment.spec.differences import DIFFERENCES

PLAIN = {"not a regular file", "conflicting languages", "malformed Pipfile"}
"""The refusals of ours that generated trees may meet; see the table of differences."""

ON_PURPOSE = {reason for each in DIFFERENCES for reason in each.reasons}
_SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
_SMALL = settings(_SETTINGS, max_examples=300)
# Parts, so that none lasts as long as a test that hangs may; each draws examples of its own.
_PART = settings(_SETTINGS, max_examples=750, derandomize=False)


def check(oracle: Oracle, files: Files, allowed: set[str]) -> None:
    """Compare the two on a tree; only refusals of ours for an allowed reason may differ."""
    with TemporaryDirectory() as folder:
        tree = write_tree(Path(folder), files)
        theirs, own = oracle.ask(tree), ours(tree)
    if isinstance(own, SpecRefused):
        unseen = own.file == "pyproject.toml" and "setup.py" in files  # pip sees it, later
        assert "refused" in theirs or own.reason in allowed or unseen, (theirs, own)
    else:
        assert "refused" not in theirs, (theirs, own)
        assert differing(theirs, own) == {}


@pytest.mark.parametrize("shape", SHAPES)
def test_sample_repositories(shape: str, oracle: Oracle) -> None:
    """Every shape of repo2docker's own samples gives the same plan, without a refusal."""
    check(oracle, SHAPES[shape], allowed=set())


def test_there_are_fifty_shapes() -> None:
    """No shape was lost."""
    assert len(SHAPES) >= 50


@_SMALL
@given(files=trees())
def test_generated_trees(oracle: Oracle, files: Files) -> None:
    """Any spec files in any place: the same plan, or refused by both; folders are told apart."""
    check(oracle, files, allowed=PLAIN)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(8))
@_PART
@given(files=trees())
def test_thousands_of_generated_trees(part: int, oracle: Oracle, files: Files) -> None:
    """As above, thousands of times."""
    check(oracle, files, allowed=PLAIN)


@st.composite
def _damaged(draw: st.DrawFn) -> Files:
    """Draw a tree, and change a few characters of one of its files."""
    files: dict[str, str | None] = dict(draw(trees()))
    spec = sorted(path for path, text in files.items() if text)
    if spec:
        path = draw(st.sampled_from(spec))
        text = files[path] or ""
        at = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 3))
        added = draw(st.text(st.sampled_from("\n\t -=.#:;[]{}\"'$&*!|,aé3\\"), max_size=3))
        files[path] = text[:at] + added + text[at + cut :]
    return files


def check_damaged(oracle: Oracle, files: Files) -> None:
    """Compare as above; what an old TOML reader does not know may be read here."""
    with TemporaryDirectory() as folder:
        tree = write_tree(Path(folder), files)
        theirs, own = oracle.ask(tree), ours(tree)
    if isinstance(own, SpecRefused):
        assert "refused" in theirs or own.reason in ON_PURPOSE, (theirs, own)
    elif "refused" in theirs:
        old = ("TomlDecodeError", "IndexError", "Failed to find a matching Julia version")
        assert any(word in theirs["refused"] for word in old), (theirs, own)
    else:
        assert differing(theirs, own) == {}


@settings(_SETTINGS, max_examples=150)
@given(files=_damaged())
def test_damaged_trees(oracle: Oracle, files: Files) -> None:
    """A few wrong characters: refused by both, refused here on purpose, or the same plan."""
    check_damaged(oracle, files)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(4))
@_PART
@given(files=_damaged())
def test_thousands_of_damaged_trees(part: int, oracle: Oracle, files: Files) -> None:
    """As above, thousands of times."""
    check_damaged(oracle, files)
