"""Fixtures of the sandbox's tests."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sandbox.trains import Bench, bubblewrap, footprint, left_since

from branchline.sandbox.bubblewrap import Bubblewrap


@pytest.fixture(autouse=True, scope="package")
def collected() -> None:
    """Collect what tests before these left, so that no descriptor goes, and comes again, meanwhile."""
    gc.collect()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a folder to make jobs in."""
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def engine() -> Bubblewrap:
    """Return the engine under test."""
    return bubblewrap()


@pytest.fixture
def untouched() -> Iterator[None]:
    """Check that the test leaves no process, mount, control group or descriptor behind."""
    before = footprint()
    yield
    assert left_since(before) == {}
