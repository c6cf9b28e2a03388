"""Environments of their own for what we are measured beside."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def make_environment(cache: Path, name: str, requirements: Sequence[str]) -> Path:
    """Make a virtual environment with a peer, once; return its ``bin`` folder."""
    told = hashlib.sha256(repr((tuple(requirements), sys.version)).encode()).hexdigest()[:12]
    folder = cache / f"{name}-{told}"
    done = folder / "complete"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        options = ["--disable-pip-version-check", *requirements]
        with (folder / "install.log").open("wb") as log:
            command = [*pip, *options]
            subprocess.run(command, check=True, timeout=600, stdout=log, stderr=log)
        done.touch()
    return folder / "bin"
