"""Under which key confidential contents are named now."""

from __future__ import annotations

from pathlib import Path

from branchline.foundation.errors import NotFound, Refused
from branchline.project.data.rules import FILE, read_rules
from branchline.project.git.keyed import DataKey, held
from branchline.project.names import shown

_ADVICE = "Have somebody who has it share it, and take it in with 'branchline data key accept'"


def current(root: Path) -> DataKey | None:
    """Return the data key that new confidential contents are named with; None if there is none yet.

    Raises:
        NotFound: The project has one, and this clone does not.
    """
    file = root / FILE
    name = read_rules(file.read_bytes()).key if file.is_file() else ""
    if not name:
        return None
    found = held(root, name)
    if found is None:
        raise NotFound(f"This clone does not have the project's data key {name}", advice=_ADVICE)
    return found


def needed(root: Path, path: str) -> DataKey:
    """Return the data key, for a confidential file that is to be taken in.

    Raises:
        Refused: The project has none yet.
        NotFound: The project has one, and this clone does not.
    """
    found = current(root)
    if found is None:
        raise Refused(
            f"{shown(path)} is confidential, and the project has no key yet to name it with",
            advice="Make one with 'branchline data key new', then do the same again",
        )
    return found
