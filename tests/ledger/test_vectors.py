"""The published test vectors: made from the seeds, and what they say holds.

They are read here as somebody else's implementation would read them: from the file alone.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from tests.ledger import make_vectors
from tests.ledger.vectors import (
    GROWTH,
    LOG_VKEY,
    RECEIPT,
    ROOTS,
    SIGNED_BY_BOTH,
    WITNESS_VKEY,
    entries,
)

from branchline.foundation.errors import BranchlineError
from branchline.ledger.edge import Edge
from branchline.ledger.growth import Held, grow
from branchline.ledger.proof.checkpoint import open_checkpoint
from branchline.ledger.proof.cose import check_cose_receipt
from branchline.ledger.proof.cosignature import parse_cosigner_key, verify_cosignature
from branchline.ledger.proof.evidence import check_evidence
from branchline.ledger.proof.merkle import check_growth, check_inclusion, leaf_hash
from branchline.ledger.proof.note import from_base64, parse_key, parse_note, parse_signatures
from branchline.ledger.proof.policy import parse_policy
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt
from branchline.ledger.witness.wire import parse_request

VECTORS: dict[str, Any] = json.loads(make_vectors.FILE.read_text())
KEY = VECTORS["log"]["vkey"]
POLICY = parse_policy(f"log {KEY}\nwitness a {VECTORS['witness']['vkey']}\nquorum a\n".encode())


def root_of(size: int) -> bytes:
    """Return the root that the file gives for a size, or that of its own entries."""
    told = VECTORS["roots"].get(str(size))
    if told is not None:
        return from_base64(told)
    edge = Edge()
    edge.extend(map(leaf_hash, entries(size)))
    return edge.root()


def test_the_file_is_what_the_seeds_give() -> None:
    """Whoever changes a format has to write the vectors anew, and sees what changed."""
    assert make_vectors.FILE.read_text() == make_vectors.text()


def test_they_are_the_vectors_that_go_accepts() -> None:
    """Where both have the same, the file agrees with the published ones."""
    assert (VECTORS["log"]["vkey"], VECTORS["witness"]["vkey"]) == (LOG_VKEY, WITNESS_VKEY)
    assert {size: VECTORS["roots"][str(size)] for size in ROOTS} == ROOTS
    paths = {(each["old"], each["new"]): each["path"] for each in VECTORS["consistency"]}
    assert {sizes: tuple(paths[sizes]) for sizes in GROWTH} == GROWTH
    assert VECTORS["checkpoint"]["cosigned"] == SIGNED_BY_BOTH
    assert RECEIPT in [each["receipt"] for each in VECTORS["receipts"]]


def test_paths_lead_to_roots() -> None:
    """Every inclusion and every consistency path checks."""
    for each in VECTORS["inclusion"]:
        leaf, path = from_base64(each["leaf_hash"]), list(map(from_base64, each["path"]))
        check_inclusion(leaf, each["index"], each["size"], path, root_of(each["size"]))
    for each in VECTORS["consistency"]:
        old, new, path = each["old"], each["new"], list(map(from_base64, each["path"]))
        check_growth(old, new, root_of(old), root_of(new), path)


@pytest.mark.parametrize("size", [1, 256, 257, 1000])
def test_files_have_their_digests(size: int) -> None:
    """Tiles and bundles of a size, by the digests of their bytes."""
    files = grow(Held(Edge()), entries(size)).files
    digests = {path: sha256(data).hexdigest() for path, data in files.items()}
    assert digests == VECTORS["files"][str(size)]


def test_cosignatures_hold() -> None:
    """Under both algorithms."""
    cosigned = POLICY.open(VECTORS["checkpoint"]["cosigned"].encode())
    assert cosigned.cosigned["a"].at == VECTORS["witness"]["time"]
    (line,) = parse_signatures(VECTORS["ml_dsa_witness"]["line"])
    key = parse_cosigner_key(VECTORS["ml_dsa_witness"]["vkey"])
    text = parse_note(VECTORS["checkpoint"]["note"].encode()).text
    assert verify_cosignature(line, key, text).at == VECTORS["ml_dsa_witness"]["time"]


def test_receipts_verify() -> None:
    """Each proves its entry and not the next one."""
    for each in VECTORS["receipts"]:
        receipt = parse_receipt(each["receipt"])
        verify_receipt(receipt, each["entry"].encode(), POLICY, cosigned_by=["a"])
        with pytest.raises(BranchlineError):
            verify_receipt(receipt, each["entry"].encode() + b"0", POLICY)


def test_policies_are_judged_as_said() -> None:
    """Valid ones have their canonical text, digest and quorums; the others are refused."""
    for each in VECTORS["policies"]:
        if not each["valid"]:
            with pytest.raises(BranchlineError):
                parse_policy(each["text"].encode())
            continue
        policy = parse_policy(each["text"].encode())
        assert (policy.text, policy.digest) == (each["canonical"], each["digest"])
        for names, enough in each["quorums"].items():
            assert policy.satisfied_by(names.split()) is enough


def test_requests_have_their_status() -> None:
    """One for every status that a witness answers with."""
    statuses = [each["status"] for each in VECTORS["requests"]]
    assert statuses == [200, 200, 200, 409, 400, 422, 422, 422, 404, 403]
    for each in VECTORS["requests"]:
        assert parse_request(each["body"].encode()).body.decode() == each["body"]


def test_evidence_and_cose_receipts_check() -> None:
    """Evidence convicts the log of the vectors; COSE receipts lead to the roots named."""
    for each in VECTORS["evidence"]:
        shown = check_evidence(each["evidence"].encode(), KEY)
        assert [shown.smaller.size, shown.larger.size] == each["sizes"]
    for each in VECTORS["cose"]:
        data, entry = from_base64(each["receipt"]), each["entry"].encode()
        assert check_cose_receipt(data, entry, KEY) == from_base64(each["root"])


@pytest.mark.parametrize("what", VECTORS["malformed"]["notes"])
def test_a_malformed_note_is_refused(what: str) -> None:
    """Each for the reason that its name gives."""
    with pytest.raises(BranchlineError):
        open_checkpoint(VECTORS["malformed"]["notes"][what].encode(), parse_key(KEY))


@pytest.mark.parametrize("what", VECTORS["malformed"]["receipts"])
def test_a_malformed_receipt_is_refused(what: str) -> None:
    """Each for the reason that its name gives."""
    with pytest.raises(BranchlineError):
        verify_receipt(parse_receipt(VECTORS["malformed"]["receipts"][what]), b"entry 2", POLICY)
