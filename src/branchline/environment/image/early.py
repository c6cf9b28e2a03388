"""The image's Python before the image is there: its packages unpacked alone, to compile modules.

Packages configure themselves one after another, and most processors would wait for them. Python
needs none of that to compile: what it makes of a module is the same here and in the finished image.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from branchline.environment.image import inside
from branchline.environment.image.confine import Confined, run
from branchline.environment.image.debian import Package, at_hand, unpack_alone
from branchline.environment.image.dpkg import relations
from branchline.environment.image.modes import make_folders
from branchline.environment.image.recipe import FOLDERS
from branchline.environment.image.store import Store
from branchline.environment.lock.model import Lock
from branchline.foundation.errors import Unavailable


def unpack_python(lock: Lock, store: Store, folder: Path) -> Path:
    """Make a root with a lock's own Python and what that depends on; return it.

    Args:
        lock: Names the packages, and the wheels whose Python it is.
        store: Holds the packages.
        folder: Where the root is made.

    Raises:
        NotFound: A package's file is not in the store.
        Corrupt: A package's file is not what the lock names.
        Unavailable: This Python cannot be started.
    """
    assert lock.python is not None
    root, python = folder / "root", f"python{lock.python.version}"
    unpack_alone(_needed(python, lock, store), root)
    for path in FOLDERS:
        make_folders(root / path)
    # Its own library is compiled once, not by each compiler anew.
    words = [f"/usr/bin/{python}", "-I", "-S", "/branchline/compile_modules.py"]
    here = Path(inside.__file__).parent
    writable = Confined(root, True, binds=[(here, "/branchline", False)])
    if run(writable, words, output=subprocess.DEVNULL) != 0:
        raise Unavailable(f"The environment's own {python} cannot be started")
    return root


def _needed(python: str, lock: Lock, store: Store) -> dict[str, Package]:
    """Return the packages of a Python, codecs included, and all of the lock they depend on."""
    locked = {package.name: package for package in lock.debian.packages}
    found: dict[str, Package] = {}
    left = [name for name in locked if name.startswith((python, f"lib{python}"))]
    while left:
        name = left.pop()
        if name in locked and name not in found:
            found[name] = at_hand(locked[name], store)
            fields = found[name].control.fields
            left += relations(fields.get("Pre-Depends", "")) + relations(fields.get("Depends", ""))
    return found
