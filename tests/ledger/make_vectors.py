"""Write the test vectors of the log: ``python tests/ledger/make_vectors.py``.

Everything follows from the seeds, but for the ML-DSA-44 cosignature, which is randomised: that one is
taken over from the file as long as it holds.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

if __name__ == "__main__":  # as a script: the folders are the package, as pytest sees them
    tests = ModuleType("tests")
    tests.__path__ = [str(Path(__file__).parents[1])]
    sys.modules["tests"] = tests

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tests.ledger.histories import History, fork
from tests.ledger.vectors import (
    COSIGNED_AT,
    ORIGIN,
    WITNESS,
    entries,
    log_identity,
    witness_identity,
)

from branchline.foundation.errors import Corrupt
from branchline.ledger.edge import Edge
from branchline.ledger.growth import Held, grow
from branchline.ledger.proof.cose import cose_receipt
from branchline.ledger.proof.cosignature import (
    cosign,
    cosign_ml_dsa,
    cosigner_key,
    ml_dsa_key,
    verify_cosignature,
)
from branchline.ledger.proof.evidence import find_evidence_in
from branchline.ledger.proof.merkle import EMPTY_ROOT
from branchline.ledger.proof.note import key_of, parse_signatures, sign_note, to_base64
from branchline.ledger.proof.policy import parse_policy
from branchline.ledger.witness.decision import Accepted, Known, consider
from branchline.ledger.witness.wire import Request

FILE = Path(__file__).parents[2] / "docs/formats/ledger-vectors.json"
SIZES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 255, 256, 257, 1000, 70_000)
LOG = History(entries(1000))
TRUE, FORGED = fork(shared=2, size=9)
PRIVATE = MLDSA44PrivateKey.from_seed_bytes(bytes([2]) * 32)
LOG_KEY = key_of(ORIGIN, log_identity().public)
WITNESS_KEY = cosigner_key(WITNESS, witness_identity().public)


def vectors() -> dict[str, Any]:
    """Return all vectors."""
    return {
        "about": "See ledger.md. Entries are the ASCII texts 'entry 0', 'entry 1', … Keys follow from "
        "seeds of one byte, 32 times. Written by tests/ledger/make_vectors.py.",
        "log": {"seed": "01", "origin": ORIGIN, "vkey": LOG_KEY.text},
        "witness": {"seed": "02", "name": WITNESS, "vkey": WITNESS_KEY.text, "time": COSIGNED_AT},
        "ml_dsa_witness": _ml_dsa(),
        "roots": {str(size): to_base64(_root(size)) for size in SIZES},
        "inclusion": [_inclusion(position, size) for position, size in _INCLUDED],
        "consistency": [_consistency(old, new) for old, new in _GROWN],
        "files": {str(size): _files(size) for size in (1, 256, 257, 1000)},
        "checkpoint": {"size": 5, "note": LOG.note(5), "cosigned": _cosigned(5)},
        "receipts": [_receipt(position, size) for position, size in _INCLUDED],
        "policies": [_policy(*each) for each in _POLICIES],
        "requests": [_request(*each) for each in _REQUESTS],
        "evidence": [_evidence(old, new) for old, new in ((3, 9), (4, 9), (9, 9))],
        "cose": [_cose(position, size) for position, size in ((0, 1), (2, 5), (256, 1000))],
        "malformed": {"notes": _bad_notes(), "receipts": _bad_receipts()},
    }


_INCLUDED = ((0, 1), (2, 5), (4, 5), (0, 256), (255, 256), (256, 257), (0, 1000), (999, 1000))
_GROWN = ((1, 5), (3, 5), (4, 5), (5, 5), (7, 8), (255, 257), (256, 257), (256, 1000), (999, 1000))
_FIRST = f"log {LOG_KEY.text}\nwitness a {WITNESS_KEY.text}\n"
_POLICIES: tuple[tuple[str, dict[str, bool] | None], ...] = (
    (_FIRST + "quorum a\n", {"": False, "a": True}),
    (_FIRST + "quorum none\n", {"": True, "a": True}),
    (
        "# who\n\n" + _FIRST.replace(" ", " \t ") + "  group g any a \nquorum g\n",
        {"": False, "a": True},
    ),
    (_FIRST, None),
    (_FIRST + "quorum b\n", None),
    (_FIRST + "quorum a", None),
    (_FIRST + "group g 2 a\nquorum g\n", None),
    (_FIRST + "group g any none\nquorum g\n", None),
    (_FIRST + f"witness b {WITNESS_KEY.text}\nquorum a\n", None),
    (_FIRST + "quorum a\nquorum a\n", None),
)
_REQUESTS: tuple[tuple[int, Request], ...] = (
    (0, TRUE.request(0, 5)),
    (3, TRUE.request(3, 5)),
    (3, TRUE.request(3, 3)),
    (3, TRUE.request(2, 5)),
    (3, Request(6, (), TRUE.note(5).encode())),
    (3, Request(3, (), TRUE.note(5).encode())),
    (3, FORGED.request(3, 5)),
    (3, FORGED.request(3, 3)),
    (3, History(entries(5), "other.example").request(3, 5)),
    (3, Request(3, TRUE.path(3, 5), TRUE.note(5).replace("1dfIEDMp", "1dfIEDMq").encode())),
)


def _root(size: int) -> bytes:
    edge = Edge()
    edge.extend(History(entries(size)).hashes)
    return edge.root() if size else EMPTY_ROOT


def _cosigned(size: int) -> str:
    text = LOG.checkpoint(size).text
    return LOG.note(size) + cosign(text, WITNESS, witness_identity(), COSIGNED_AT).line


def _ml_dsa() -> dict[str, Any]:
    key, text = ml_dsa_key(WITNESS, PRIVATE), LOG.checkpoint(5).text
    told = json.loads(FILE.read_text())["ml_dsa_witness"] if FILE.exists() else {}
    try:
        line = str(told["line"])
        verify_cosignature(parse_signatures(line)[0], key, text)
    except (KeyError, Corrupt):
        line = cosign_ml_dsa(text, WITNESS, PRIVATE, COSIGNED_AT).line
    return {"seed": "02", "name": WITNESS, "vkey": key.text, "time": COSIGNED_AT, "line": line}


def _inclusion(position: int, size: int) -> dict[str, Any]:
    path = [to_base64(each) for each in LOG.receipt(position, size).path]
    leaf = to_base64(LOG.hashes[position])
    return {"index": position, "size": size, "leaf_hash": leaf, "path": path}


def _consistency(old: int, new: int) -> dict[str, Any]:
    return {"old": old, "new": new, "path": [to_base64(each) for each in LOG.path(old, new)]}


def _files(size: int) -> dict[str, str]:
    growth = grow(Held(Edge()), entries(size))
    return {path: sha256(data).hexdigest() for path, data in sorted(growth.files.items())}


def _receipt(position: int, size: int) -> dict[str, Any]:
    text = LOG.receipt(position, size, _cosigned(size)).text
    return {"entry": f"entry {position}", "receipt": text}


def _policy(text: str, quorums: dict[str, bool] | None) -> dict[str, Any]:
    if quorums is None:
        return {"text": text, "valid": False}
    policy = parse_policy(text.encode())
    said = {"canonical": policy.text, "digest": policy.digest, "quorums": quorums}
    return {"text": text, "valid": True, **said}


def _request(known: int, request: Request) -> dict[str, Any]:
    memory = Known(TRUE.checkpoint(known), TRUE.note(known)) if known else None
    keys = [LOG_KEY] if request.origin == ORIGIN else []
    decision = consider(request, keys, memory)
    status = 200 if isinstance(decision, Accepted) else decision.status
    return {"known": known, "body": request.body.decode(), "status": status}


def _evidence(old: int, new: int) -> dict[str, Any]:
    found = find_evidence_in(FORGED.subtree, TRUE.note(old), FORGED.note(new))
    assert found
    return {"sizes": [old, new], "evidence": found.text}


def _cose(position: int, size: int) -> dict[str, Any]:
    data = cose_receipt(LOG.receipt(position, size), log_identity())
    root = to_base64(LOG.checkpoint(size).root)
    return {"entry": f"entry {position}", "root": root, "receipt": to_base64(data)}


def _bad_notes() -> dict[str, str]:
    note, text = LOG.note(5), LOG.checkpoint(5).text

    def signed(other: str) -> str:
        return sign_note(other, ORIGIN, log_identity()).full_text

    return {
        "without a signature": text + "\n",
        "signature of another text": note.replace("\n5\n", "\n6\n"),
        "no empty line": note.replace("\n\n", "\n"),
        "last line not ended": note[:-1],
        "a hyphen for the dash": note.replace("—", "-"),
        "base64 with stray bits": note.replace("qkw0=", "qkw1="),
        "an extension line": signed(text + "extension\n"),
        "a size with a leading zero": signed(text.replace("\n5\n", "\n05\n")),
        "a root too short": signed(f"{ORIGIN}\n5\nAAAA\n"),
        "size 0 with another root": signed(text.replace("\n5\n", "\n0\n")),
        "another origin": signed(text.replace(ORIGIN, "other.example")),
    }


def _bad_receipts() -> dict[str, str]:
    receipt = LOG.receipt(2, 5, _cosigned(5)).text
    lines = receipt.split("\n")
    return {
        "another position": receipt.replace("index 2", "index 3"),
        "a position outside": receipt.replace("index 2", "index 5"),
        "a leading zero": receipt.replace("index 2", "index 02"),
        "a hash missing": "\n".join([*lines[:2], *lines[3:]]),
        "a hash too many": "\n".join([*lines[:3], lines[2], *lines[3:]]),
        "hashes exchanged": "\n".join([*lines[:2], lines[3], lines[2], *lines[4:]]),
        "an extra line": receipt.replace("index 2", "extra AAAA\nindex 2"),
        "the header of another version": receipt.replace("@v1", "@v2"),
        "a cosignature of another time": receipt.replace("BpLajA2", "BpLajA3"),
    }


def text() -> str:
    """Return the file's content."""
    return json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
