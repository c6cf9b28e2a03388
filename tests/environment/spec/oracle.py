"""repo2docker's answer on a tree beside ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from branchline.environment.spec import Detected, SpecRefused, detect, read_tree

_WORKER = Path(__file__).with_name("oracle_worker.py")


@dataclass
class Oracle:
    """A process that runs repo2docker's detection and planning."""

    process: subprocess.Popen[str]
    asked: int = field(default=0)

    def ask(self, folder: Path) -> dict[str, Any]:
        """Return its plan, or {"refused": …}."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(str(folder)) + "\n")
        self.process.stdin.flush()
        self.asked += 1
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said


@contextmanager
def running_oracle() -> Iterator[Oracle]:
    """Start the process and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield Oracle(process)
        assert process.stdin is not None
        process.stdin.close()


def ours(folder: Path) -> Detected | SpecRefused:
    """Return what we say of a folder."""
    try:
        return detect(read_tree(folder))
    except SpecRefused as error:
        return error


def plan_of(found: Detected) -> dict[str, Any]:
    """Write our answer in the oracle's words."""
    version = found.language_version
    counted = {"runtime.txt", "setup.py", "pyproject.toml"}
    applied = [path for path in found.applied if path.rpartition("/")[2] not in counted]
    plan: dict[str, Any] = {"winner": found.winner, "applied": applied, "package": found.package}
    plan["python"] = version if found.winner in ("Conda", "Pipfile", "Python", "default") else None
    plan["r"] = version if found.winner == "R" else None
    plan["julia"] = version if found.winner == "JuliaProjectToml" else None
    return plan


def differing(theirs: dict[str, Any], found: Detected) -> dict[str, tuple[object, object]]:
    """Return where two plans differ: their value and ours, by name."""
    own = plan_of(found)
    if found.winner in ("R", "JuliaProjectToml", "JuliaRequire"):
        own["python"] = theirs["python"]  # the version of the server's Python beside the language
    return {key: (theirs[key], own[key]) for key in own if theirs[key] != own[key]}
