"""One oracle for all tests that ask it: it takes half a second to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.environment.spec.oracle import Oracle, running_oracle


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    """Give the running process."""
    with running_oracle() as oracle:
        yield oracle
