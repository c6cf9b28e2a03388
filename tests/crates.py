"""An independent validator of RO-Crates."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
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

_OF_SCHEMA_ORG = (
    *("about", "actionStatus", "additionalType", "affiliation", "agent", "author", "contentSize"),
    *("datePublished", "description", "encodingFormat", "endTime", "error", "hasPart"),
    *(
        "identifier",
        "instrument",
        "jobTitle",
        "license",
        "mainEntity",
        "member",
        "mentions",
        "name",
    ),
    *("object", "programmingLanguage", "publisher", "result", "softwareVersion"),
    *("sourceOrganization", "startTime", "text", "url", "value", "version"),
    *("Action", "AssessAction", "ComputerLanguage", "CreateAction", "CreativeWork", "Dataset"),
    *("DownloadAction", "Organization", "Person", "PropertyValue", "SoftwareApplication"),
    *("SoftwareSourceCode", "UpdateAction"),
)
TERMS = {name: f"http://schema.org/{name}" for name in _OF_SCHEMA_ORG} | {
    "File": "http://schema.org/MediaObject",
    "sha256": "https://w3id.org/ro/terms/workflow-run#sha256",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    "Profile": "http://www.w3.org/ns/dx/prof/Profile",
    "Project": "http://xmlns.com/foaf/0.1/Project",
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
}
"""The terms of RO-Crate 1.2 that our crates use, as its context has them."""

ACCEPTED = {
    "does not reference the required context": "the copy that is judged has the terms in it",
    "`conformsTo` property with the RO-Crate specification version": "the profile's checks ask for 1.1",
    "SHOULD have a url": "a script is a file of the crate, and on no site",
    "SHOULD have a registry": "an image is named by its digest; where it is kept is a site's own matter",
    "id SHOULD be an absolute URI": "what ran is in the crate or named by its digest, and is on no site",
    "The Action SHOULD have a result": "a command may write nothing",
    "SHOULD have a `programmingLanguage`": "which language a script is in is on record nowhere",
    "Data Entities SHOULD have a `description`": "a file's name is all that is known of most",
    "PropertyValue entities for identifiers": "a plain URN says the same",
    "SHOULD have an absolute HTTP(S) URL as its @id": "the terms are in the crate",
    "ORCID identifier": "people are known by their keys",
    "affiliation": "likewise",
    "contactPoint": "likewise",
    "SHOULD be an `Organization`": "likewise",
    "SHOULD have a `contentSize`": "of the one file that is written after the metadata",
}
"""Sentences of issues that are no fault of a crate's, each with the reason."""


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

    It cannot fetch the context from afar here, and judges hardly anything without it: in a copy, the
    terms stand that our crates use, and a crate that uses another one is found out. What is accepted
    is in `ACCEPTED`, with the reason.
    """
    with tempfile.TemporaryDirectory(dir=crate.parent) as folder:
        judged = Path(folder) / "crate"
        shutil.copytree(crate, judged)
        file = judged / "ro-crate-metadata.json"
        text = json.loads(file.read_text())
        context = text["@context"]
        more = context[1] if isinstance(context, list) else {}
        file.write_text(json.dumps(text | {"@context": TERMS | more}))
        done = subprocess.run(
            [str(python), "-c", _VALIDATE, str(judged), *profiles],
            capture_output=True,
            check=True,
            text=True,
            timeout=240,
        )
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    assert [profile for profile, _ in answers] == list(profiles)
    every = [i for _, found in answers for i in found]
    return [i for i in every if not any(said in str(i[1]) for said in ACCEPTED)]
