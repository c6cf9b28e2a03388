"""What every test run has in common."""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from tests.crates import validator
from tests.groups import control_groups

if TYPE_CHECKING:
    from tests.environment.built import Built

    from branchline.environment.image.store import Store

__all__ = ["validator"]

# No deadline per example: these tests touch disks, keys and processes, and share their machine.
settings.register_profile(
    "quick", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
# The same examples on every run: a change is judged by what it changed.
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True, print_blob=True)
settings.register_profile("soak", settings.get_profile("quick"), max_examples=2000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "quick")
)

_BUSY = frozenset({"environment", "hub", "project"})
"""Rooms whose tests start programs all the time: after slow files, and before the many small."""


_MEMORY = Path("/dev/shm")
_ROOM = 8 << 30
"""Bytes: a run takes about a quarter of it."""


def pytest_configure(config: pytest.Config) -> None:
    """Have the tests' files lie in memory where there is plenty: no test cuts the power.

    What makes files durable is called as ever, and costs nothing there. A folder named with
    ``--basetemp`` or TMPDIR, and a store that is kept from run to run, stay where they are.
    """
    chosen = ("TMPDIR", "PYTEST_DEBUG_TEMPROOT", "PYTEST_XDIST_WORKER", "BRANCHLINE_TEST_STORE")
    if config.option.basetemp or any(name in os.environ for name in chosen):
        return
    if _room_in_memory() > _ROOM:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)


def _room_in_memory() -> int:
    """Return how many bytes of files memory could take."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        room = shutil.disk_usage(_MEMORY).free if os.access(_MEMORY, os.W_OK | os.X_OK) else 0
    except OSError:
        return 0
    (available,) = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return min(room, available * 1024)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have worker processes begin with the files that take longest, so that they end together.

    Files stay whole, and each is one worker's: its tests may share what they set up.
    """
    if not hasattr(config, "workerinput"):
        return
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))

    def rank(item: pytest.Item) -> tuple[int, bool]:
        rooms = item.path.relative_to(config.rootpath).parts
        return -slow[item.path], _BUSY.isdisjoint(rooms)

    items.sort(key=rank)


@pytest.fixture(scope="module", autouse=True)
def no_sandbox_left() -> Iterator[None]:
    """Check that what a file's tests started, in this process, ended its sandboxes, too."""
    before = control_groups()
    yield
    assert control_groups() <= before


@pytest.fixture(scope="module", autouse=True)
def nothing_unhandled() -> Iterator[None]:
    """Check that no server of a file's tests, in this process, met an error that it did not expect.

    It would answer, or have answered, and only its log would know.
    """
    met: list[str] = []
    logger, keeper = logging.getLogger("aiohttp.server"), logging.Handler(logging.ERROR)
    keeper.emit = lambda record: met.append(logging.Formatter().format(record))  # type: ignore[method-assign]
    logger.addHandler(keeper)
    yield
    logger.removeHandler(keeper)
    assert met == []


@pytest.fixture(scope="session")
def built_environment(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Give the one real environment of a run: whatever needs one shares it, in every process."""
    # Imported here: most runs need none of it.
    from tests.environment.built import build_once

    folder = tmp_path_factory.getbasetemp()
    # The folders of a run's worker processes lie in that of the run.
    run = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    return build_once(run / "environment")


@pytest.fixture
def cloned(tmp_path: Path) -> Callable[..., Store]:
    """Give a function that makes a store with the contents of another; see ``built.clone``."""
    from tests.environment.built import clone

    def make(store: Store, *, layers: bool = True, name: str = "clone") -> Store:
        return clone(store, tmp_path / name, layers=layers)

    return make
