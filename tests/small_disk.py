"""A small file system of a test's own, for programs that shall find the disk full."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

_MOUNTED = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


def in_small_file_system(size: str, folder: Path) -> list[str]:
    """Return the words that start a program with a small file system of its own at a folder."""
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNTED, "sh"]
    probe = [*words, "1m", str(folder), "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("this kernel lets nobody mount a small file system")
    return [*words, size, str(folder)]
