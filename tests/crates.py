"""An independent validator of RO-Crates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
_NEEDS_THE_NETWORK = "Unable to retrieve the JSON-LD context"


@pytest.fixture(scope="session")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a Python that has roc-validator: apart, as it asks for older libraries than ours."""
    folder = tmp_path_factory.mktemp("validator") / "venv"
    python = folder / "bin" / "python"
    for words in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "roc-validator==0.13.0"],
    ):
        subprocess.run(words, check=True, timeout=300)
    return python


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
