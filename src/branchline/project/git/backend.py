"""What git-annex asks of the program behind the backend XHMACSHA256: names, and whether they fit.

Source: git-annex's page "design/external backend protocol", version 1. Lines in, lines out. A clone
without data keys says that it cannot verify; content then travels and is kept as any other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from branchline.foundation.errors import BranchlineError
from branchline.project.git.keyed import held, holds_any, key_id_of

_VERSION = "1"


def main() -> None:
    """Answer git-annex on standard input and output until it ends."""
    serve(sys.stdin, sys.stdout, here())


def serve(asked: TextIO, answered: TextIO, root: Path | None) -> None:
    """Answer line by line.

    Args:
        asked: What git-annex says.
        answered: What it is told.
        root: The clone; None if there is none, as at a hub.
    """
    for line in asked:
        for said in answers(line.rstrip("\n"), root):
            answered.write(f"{said}\n")
            answered.flush()


def answers(line: str, root: Path | None) -> Iterator[str]:
    """Yield what is said to one line of git-annex's."""
    word, _, rest = line.partition(" ")
    if word == "GETVERSION":
        yield f"VERSION {_VERSION}"
    elif word == "CANVERIFY":
        yield f"CANVERIFY-{'YES' if root is not None and holds_any(root) else 'NO'}"
    elif word == "ISSTABLE":
        yield "ISSTABLE-YES"
    elif word == "ISCRYPTOGRAPHICALLYSECURE":
        yield "ISCRYPTOGRAPHICALLYSECURE-YES"
    elif word == "GENKEY":
        yield _made(Path(rest), root)
    elif word == "VERIFYKEYCONTENT":
        key, _, file = rest.partition(" ")
        yield f"VERIFYKEYCONTENT-{'SUCCESS' if _fits(key, Path(file), root) else 'FAILURE'}"
    else:
        yield "ERROR not understood"


def here() -> Path | None:
    """Return the clone that git-annex works in; None if it has no folder of files."""
    told = os.environ.get("GIT_DIR")
    if told:
        folder = Path(told).resolve()
        return folder.parent if folder.name == ".git" else None
    for each in (Path.cwd(), *Path.cwd().parents):
        if (each / ".git").is_dir():
            return each
        if each.name == ".git":
            return each.parent
    return None


def _made(file: Path, root: Path | None) -> str:
    from branchline.project.data.naming import current

    try:
        key = None if root is None else current(root)
        if key is None:
            return (
                "GENKEY-FAILURE This clone has no data key: branchline data key new, or accept FILE"
            )
        return f"GENKEY-SUCCESS {key.name_of_file(file)}"
    except (BranchlineError, OSError) as error:
        said = error.refused if isinstance(error, BranchlineError) else error.strerror
        return f"GENKEY-FAILURE {said}"


def _fits(key: str, file: Path, root: Path | None) -> bool:
    name = key_id_of(key)
    secret = held(root, name) if root is not None and name is not None else None
    return secret is not None and secret.name_of_file(file) == key
