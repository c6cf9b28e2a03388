"""Export a verified result folder as a crate, and read one back."""

from __future__ import annotations

import json
from pathlib import Path

from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.crates import METADATA
from branchline.foundation.errors import Refused
from branchline.foundation.keys import Identity
from branchline.journey.messages import Evidence
from branchline.journey.request import JourneyRequest
from branchline.journey.verify import (
    EVIDENCE,
    MAX_EVIDENCE,
    REQUEST,
    RESULT,
    TRAIN,
    Report,
    verify_evidence,
)
from branchline.journey.verify_case import Case
from branchline.train.bundle import open_bundle
from branchline.workbench.crate.bag import Signed, read_bag, write_bag
from branchline.workbench.crate.describe import PROVENANCE, describe
from branchline.workbench.crate.prov import provenance

_FOLDER = "result/"


def export_crate(folder: Path, identity: Identity, clock: Clock) -> bytes:
    """Return a result folder as a signed Five Safes RO-Crate: one ZIP file's bytes.

    Args:
        folder: A result's folder, as ``branchline journey result`` writes it.
        identity: Who exports, and signs.
        clock: The time of the export.

    Raises:
        Corrupt: The result does not verify; nothing is exported.
        Refused: The folder is no result's.
    """
    files = _files(folder)
    case = _case(files)
    _verified(case).require()
    opened = open_bundle(case.bundle, case.request.train)
    code = {f"workflow/{path}": data for path, data in opened.files.items()}
    now = rfc3339(clock.now())
    parts = dict(sorted((files | code).items()))
    parts[PROVENANCE] = _json(provenance(case))
    parts["study.json"] = case.evidence.study
    metadata = _json(describe(case, opened.manifest, parts, now))
    return write_bag(case.request.journey, parts | {METADATA: metadata}, now[:10], identity)


def verify_crate(data: bytes, log_vkey: str | None = None) -> tuple[Signed, Report]:
    """Check a crate's sums and signature, and verify the result in it as ``verify`` does.

    Args:
        data: The ZIP file's bytes; nothing is unpacked to disk.
        log_vkey: The ledger's key from a source that is trusted; None to take the study's.

    Raises:
        Refused, Corrupt: It is no crate, or a file of it was changed.
    """
    signed, files = read_bag(data)
    return signed, _verified(_case(files, log_vkey))


def _verified(case: Case) -> Report:
    return verify_evidence(case.evidence, case.request, case.bundle, case.payload, case.log_vkey)


def _case(files: dict[str, bytes], log_vkey: str | None = None) -> Case:
    held = {name: files.get(_FOLDER + name) for name in (EVIDENCE, REQUEST, TRAIN, RESULT)}
    lacking = [name for name, data in held.items() if data is None]
    if lacking:
        raise Refused(
            f"There is no {lacking[0]} in it",
            advice="Give the folder that 'branchline journey result' wrote",
        )
    found = {name: data or b"" for name, data in held.items()}
    return Case(
        parse_json(found[EVIDENCE], Evidence, what=EVIDENCE, limit=MAX_EVIDENCE),
        parse_json(found[REQUEST], JourneyRequest, what=REQUEST),
        found[TRAIN],
        found[RESULT],
        log_vkey,
    )


def _files(folder: Path) -> dict[str, bytes]:
    """Read what stands directly in a result's folder; links and folders are not its own."""
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    return {_FOLDER + path.name: path.read_bytes() for path in found}


def _json(value: object) -> bytes:
    # Indented for people; canonical first, so that equal content is spelled in one way.
    return json.dumps(json.loads(canonical_json(value)), indent=1, ensure_ascii=False).encode()
