"""Bring the analysis to data that may not move.

One package, three programs that are strangers to each other: the *workbench* (the researcher's
commands and this Python client), the *station* (a hospital's side) and *central* (the meeting
point). Each folder beside this file is a room; its first lines say what it does, what it must
not do and what it may know. ``ARCHITECTURE.md`` draws the house.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from branchline.workbench.client import Client

__all__ = ["Client", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import the client when it is first asked for.

    Stations and central never ask, so they never load it. The import is by name because an
    import statement here would tie every room that reads ``__version__`` to the workbench.
    """
    if name == "Client":
        return import_module("branchline.workbench.client").Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
