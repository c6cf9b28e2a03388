"""What every parser of the ledger promises of any bytes, and a script that lets atheris try.

python fuzzing.py <target> <seconds> <corpus>         needs atheris on the path; run by the soak
"""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

if __name__ == "__main__":  # as a script: the folders are the package, as pytest sees them
    tests = ModuleType("tests")
    tests.__path__ = [str(Path(__file__).parents[1])]
    sys.modules["tests"] = tests

from tests.ledger import packages
from tests.ledger.histories import fork
from tests.ledger.ledgers import Ledger
from tests.ledger.vectors import (
    LOG_LINE,
    LOG_VKEY,
    RECEIPT,
    SIGNED_BY_BOTH,
    WITNESS_LINE,
    WITNESS_VKEY,
    log_identity,
)

from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import BranchlineError
from branchline.ledger.audit import replay
from branchline.ledger.beside import parse_beside
from branchline.ledger.classes import ActorSecret, Classes, seal_by_class
from branchline.ledger.edge import Edge
from branchline.ledger.entry import leaf_tags, read_leaf
from branchline.ledger.package_check import verify_package
from branchline.ledger.proof.checkpoint import parse_checkpoint
from branchline.ledger.proof.cose import check_cose_receipt, cose_receipt
from branchline.ledger.proof.cosignature import parse_cosigner_key
from branchline.ledger.proof.evidence import find_evidence_in, parse_evidence
from branchline.ledger.proof.note import parse_key, parse_note
from branchline.ledger.proof.policy import parse_policy
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt
from branchline.ledger.standalone import verify as standalone
from branchline.ledger.tagproof import check_tags, parse_tag_proof
from branchline.ledger.tagtree import TagTree
from branchline.ledger.tiles import decode_bundle, encode_bundle, parse_path
from branchline.ledger.topics import tag_of
from branchline.ledger.witness.decision import Accepted, Declined, consider
from branchline.ledger.witness.wire import parse_answer, parse_request

WITNESS = parse_cosigner_key(WITNESS_VKEY)
CHECKPOINT = SIGNED_BY_BOTH.partition("\n\n")[0] + "\n"
SMALL = Ledger([b"entry %d" % number for number in range(300)])
TILE = "tile/0/001.p/44"
TRUE, FORGED = fork(shared=2, size=9)
KEYS = [parse_key(LOG_VKEY)]
COSE = cose_receipt(TRUE.receipt(2, 5), log_identity())
POLICY = f"log {LOG_VKEY}\nwitness a {WITNESS_VKEY}\ngroup g any a\nquorum g\n".encode()
EVIDENCE = find_evidence_in(FORGED.subtree, TRUE.note(5), FORGED.note(9))


def note(data: bytes) -> None:
    """A note has one spelling, and so has a checkpoint in it."""
    found = parse_note(data)
    assert found.full_text.encode() == data
    assert parse_checkpoint(found.text).text == found.text


def receipt(data: bytes) -> None:
    """A receipt has one spelling; what verifies is the one that was published."""
    text = data.decode(errors="surrogateescape")
    found = parse_receipt(text)
    assert found.text == text
    assert verify_receipt(found, b"entry 2", LOG_VKEY).size == 5


def policy(data: bytes) -> None:
    """A policy has one canonical text, which is read as the same policy."""
    found = parse_policy(data)
    assert parse_policy(found.text.encode(errors="surrogateescape")) == found


def request(data: bytes) -> None:
    """A request has one spelling, and every one is decided on."""
    found = parse_request(data)
    assert found.body == data
    assert isinstance(consider(found, KEYS, None), Accepted | Declined)


def evidence(data: bytes) -> None:
    """Evidence has one spelling."""
    assert parse_evidence(data).text.encode() == data


def cose(data: bytes) -> None:
    """A COSE receipt that holds is of the root that was signed."""
    assert check_cose_receipt(data, b"entry 2", LOG_VKEY) == TRUE.checkpoint(5).root


def vkey(data: bytes) -> None:
    """A verifier key has one spelling."""
    text = data.decode(errors="surrogateescape")
    assert parse_cosigner_key(text).text == text


def cosignatures(data: bytes) -> None:
    """Cosignatures that hold are on the checkpoint that was asked for, by the witness asked."""
    for found in parse_answer(data, CHECKPOINT, [WITNESS]):
        assert found.key == WITNESS
        assert found.signature.line == WITNESS_LINE


def tile(data: bytes) -> None:
    """A ledger with another tile than its own is no ledger."""
    files = SMALL.files | {TILE: data}
    replay(files.__getitem__, Edge(), SMALL.checkpoint)
    assert data == SMALL.files[TILE]


def package(data: bytes) -> None:
    """Both verifiers say the same of a package; where it holds, its files are those packed."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            _, reports = standalone.verify(file.name)
            others = [(each["name"], each["outcome"]) for each in reports]
        except standalone.Failed:
            others = []
        try:
            steps = verify_package(Path(file.name)).steps
        except BranchlineError:
            assert not others
            raise
    assert [(step.name, step.outcome) for step in steps] == others
    if {outcome for _, outcome in others} <= {"passed", "not-included"}:
        assert packages.unpacked(data) == packages.unpacked(packages.sample(False))


def bundle(data: bytes) -> None:
    """A whole bundle has one spelling."""
    leaves, whole = decode_bundle(data)
    assert not whole or encode_bundle(leaves) == data


def path(data: bytes) -> None:
    """A tile has one name."""
    text = data.decode(errors="replace")
    name = parse_path(text)
    assert name is None or name.path == text


def leaf(data: bytes) -> None:
    """What is read as an entry's leaf is one to the standalone verifier too, with the same tags."""
    assert list(leaf_tags(data)) == standalone.leaf_tags(data)
    assert list(read_leaf(data).tags) == list(leaf_tags(data))


def tag_proof(data: bytes) -> None:
    """A proof by a tag tree has one spelling; what it settles is what the tree says."""
    found = parse_tag_proof(data)
    assert found.data == data
    assert check_tags(found, TREE.head, TAGS) == {tag: TREE.positions(tag) for tag in TAGS}


def blob(data: bytes) -> None:
    """What lies beside an entry is read as what it is written as."""
    found = parse_beside(data)
    assert parse_beside(found.data) == found


TAGS = [tag_of(bytes([3]) * 32, number) for number in range(4)]
TREE = TagTree(b"".join(from_base64url(tag) + at.to_bytes(8) for at, tag in enumerate(TAGS[:3])), 3)
SEALED = seal_by_class(
    {"a": 1, "b": 2},
    log_identity(),
    secret=ActorSecret(1, bytes(32)),
    classes=Classes({"a": "core", "b": "people"}, personal=["people"]),
    tags=TAGS[:2],
)

TARGETS: dict[str, tuple[Callable[[bytes], None], bytes]] = {
    "note": (note, SIGNED_BY_BOTH.encode()),
    "receipt": (receipt, RECEIPT.encode()),
    "policy": (policy, POLICY),
    "request": (request, TRUE.request(3, 9).body),
    "evidence": (evidence, EVIDENCE.text.encode() if EVIDENCE else b""),
    "cose": (cose, COSE),
    "vkey": (vkey, WITNESS_VKEY.encode()),
    "cosignatures": (cosignatures, (LOG_LINE + WITNESS_LINE).encode()),
    "tile": (tile, SMALL.files[TILE]),
    "package": (package, packages.sample(False)),
    "bundle": (bundle, encode_bundle(TRUE.leaves)),
    "path": (path, b"tile/0/x001/x234/067.p/8"),
    "leaf": (leaf, SEALED.entry.leaf),
    "tag proof": (tag_proof, TREE.prove(TAGS).data),
    "blob": (blob, SEALED.beside.data),
}


def promised(target: Callable[[bytes], None], data: bytes) -> None:
    """Hold a target to its promise: it refuses in our own words, or what it says holds."""
    try:
        target(data)
    except BranchlineError:
        pass


def _fuzz(name: str, seconds: int, corpus: Path) -> None:
    atheris = import_module("atheris")  # not one of our packages: the soak brings it
    target, sample = TARGETS[name]
    corpus.mkdir(parents=True)
    (corpus / "sample").write_bytes(sample)
    longest = max(4096, len(sample) + 256)
    arguments = [sys.argv[0], str(corpus), f"-max_total_time={seconds}", f"-max_len={longest}"]
    functions = [each for each in gc.get_objects() if isinstance(each, FunctionType)]
    for function in functions:
        # What others wrote is not to be explored; and all of it would take half a minute.
        if (function.__module__ or "").startswith("branchline."):
            atheris.instrument_func(function)
    atheris.Setup(arguments, lambda data: promised(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
