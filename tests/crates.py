"""An independent validator of RO-Crates."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from branchline.environment.lock.python.uv import find_uv, variables

_VALIDATE = """
import json, sys
from rocrate_validator import models, services
for profile in sys.argv[2:]:
    settings = services.ValidationSettings(
        rocrate_uri=sys.argv[1], profile_identifier=profile,
        requirement_severity=models.Severity.RECOMMENDED, offline=True)
    found = services.validate(settings)
    print(json.dumps([profile, [[i.check.identifier, i.message] for i in found.get_issues()]]))
"""
VALIDATOR = "roc-validator==0.13.0"
_NEEDS_THE_NETWORK = "Unable to retrieve the JSON-LD context"


@pytest.fixture(scope="session")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a Python that has roc-validator: apart, as it asks for older libraries than ours.

    All worker processes of a run have the same: one installs it, the others wait.
    """
    folder = tmp_path_factory.getbasetemp()
    run = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    made = run / "validator"
    with (run / "validator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            _install(made)
    return made / "bin" / "python"


def _install(folder: Path) -> None:
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
    python = str(fresh / "bin" / "python")
    for words in (
        ("venv", "--python", sys.executable, str(fresh)),
        ("pip", "install", "--compile-bytecode", "--python", python, VALIDATOR),
    ):
        subprocess.run((find_uv(), *words, "--quiet"), env=variables(), check=True, timeout=300)
    fresh.rename(folder)


def issues(python: Path, crate: Path, *profiles: str) -> list[Any]:
    """Return what roc-validator finds wrong in a crate's folder, recommendations included.

    Its checks that fetch the context from afar cannot run here.
    """
    done = subprocess.run(
        [str(python), "-c", _VALIDATE, str(crate), *profiles],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    assert [profile for profile, _ in answers] == list(profiles)
    return [i for _, found in answers for i in found if _NEEDS_THE_NETWORK not in str(i[1])]
