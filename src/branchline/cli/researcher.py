"""What the researcher's commands share: the home and the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from branchline.cli.frame import home_option, working

if TYPE_CHECKING:
    from branchline.workbench.client import Client

HOME = home_option("BRANCHLINE_HOME", ".branchline")


@contextmanager
def client(home: Path, what: str = "") -> Iterator[Client]:
    """Give a client; show on a terminal what it is asked to do, if that may take a while."""
    from branchline.workbench.client import Client

    with Client(home) as researcher:
        if not what:
            yield researcher
            return
        with working(what):
            yield researcher


@contextmanager
def sending(home: Path, what: str) -> Iterator[tuple[Client, Callable[[str], None]]]:
    """Give a client, and a function to say what of an image is being sent."""
    from branchline.workbench.client import Client

    with Client(home) as researcher, working(what) as progress:
        yield researcher, lambda said: progress(f"sending the environment: {said}")
