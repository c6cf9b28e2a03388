"""Make files and folders whose modes do not depend on the umask of who builds."""

from __future__ import annotations

from pathlib import Path


def put(path: Path, data: str | bytes, mode: int = 0o644) -> None:
    """Write a file anew, with a mode."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(mode)


def append(path: Path, text: str) -> None:
    """Add text to a file, which is made if it is missing."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    path.chmod(0o644)


def make_folders(path: Path) -> None:
    """Make a folder and its parents; those that exist stay as they are."""
    if not path.is_dir():
        make_folders(path.parent)
        path.mkdir()
        path.chmod(0o755)
