"""Fixtures of the sandbox's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sandbox.trains import Bench, bubblewrap, footprint

from branchline.sandbox.bubblewrap import Bubblewrap


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
    assert footprint() == before
