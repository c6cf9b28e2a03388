"""What the verifier that packages carry prints, to the letter, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.ledger import packages as world
from tests.ledger.histories import History, fork
from tests.ledger.ledgers import Ledger
from tests.ledger.vectors import entries

from branchline.ledger.entry import Entry, make_entry
from branchline.ledger.package import Package, topic_of, verifier_digest
from branchline.ledger.package_check import verify_package
from branchline.ledger.proof.evidence import find_evidence_in
from branchline.ledger.proof.note import to_base64
from branchline.ledger.standalone import verify as standalone

FULL = """\
Package for auditor, made 2026-11-21T00:00:00.000Z
All acts upon the dataset stays.

 1. files      ok     Every file is the one listed; none is missing, none was added.
                     files: 25
                     verifier: {verifier}
 2. policy     ok     The policy is well formed, and the one expected.
                     policy: {policy}
                     digest: compared
                     quorum: two-thirds
 3. checkpoint ok     The log signed the checkpoint, and a quorum of its witnesses cosigned it.
                     ledger: log.example/branchline
                     entries: 300
                     root: {root}
 4. receipts   ok     Every entry shown is in the ledger, by a receipt at that one checkpoint.
                     entries: 7
 5. signatures ok     Every entry shown is signed by a key that the package names.
                     station-a: 7
 6. fields     ok     Every field shown is one that the entry's signer committed to.
                     fields: 14
 7. ledger     ok     All entries of the ledger are here and give the root in the checkpoint.
                     entries: 300
                     tags: 16
 8. tags       --     The package holds no proof by a tag tree
 9. topics     ok     Of each topic these are all entries: their numbers have no gap, none stands twice.
                     dataset/stays: 7 entries are all up to size 300
10. evidence   --     The package holds no evidence

The keys that signed, to be compared with what is known of them elsewhere:
{keys}

Verified: every check holds.
"""
WRONG = """\
Package for auditor, made 2026-11-21T00:00:00.000Z
All acts upon the dataset stays.

 1. files      ok     Every file is the one listed; none is missing, none was added.
                     files: 23
                     verifier: {verifier}
 2. policy     FAILED The policy is {policy}; expected sha256:0
 3. checkpoint ..     Needs the check 'policy', which does not hold
 4. receipts   ..     Needs the check 'checkpoint', which does not hold
 5. signatures ok     Every entry shown is signed by a key that the package names.
                     station-a: 7
                     log: 1
 6. fields     ok     Every field shown is one that the entry's signer committed to.
                     fields: 22
 7. ledger     ..     Needs the check 'checkpoint', which does not hold
 8. tags       ..     Needs the check 'receipts', which does not hold
 9. topics     ..     Needs the check 'receipts', which does not hold
10. evidence   ..     Needs the check 'policy', which does not hold

The keys that signed, to be compared with what is known of them elsewhere:
{keys}

{entries}

7 checks do not hold. Do not rely on this package.
"""


@pytest.fixture(autouse=True, scope="module")
def _quick_signatures() -> Iterator[None]:
    """Verify each signature once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standalone, "verify_ed25519", cache(standalone.verify_ed25519))
        yield


def said() -> dict[str, str]:
    """Return what of a text follows from keys and salts."""
    keys, head = world.package(full=True).keys, world._tree().head
    shown = [
        {"position": 40 * n + 3, "signed by": "station-a",
         "fields": {"act": "stop.released", "round": n}}
        for n in range(world.ENTRIES)
    ]  # fmt: skip
    stated = {
        "act": "ledger.tags-stated",
        "ledger": "log.example/branchline",
        "size": head.size,
        "root": to_base64(head.root),
        "covered": 256,
        "tree": "RFC 6962",
        "hash": "SHA-256",
        "record": "tag16 || uint64be(position)",
    }
    shown.append({"position": 299, "signed by": "log", "fields": stated})
    return {
        "verifier": verifier_digest(),
        "policy": world.policy().digest,
        "root": to_base64(world.ledger().checkpoint.root),
        "keys": "\n".join(f"  {keys[name].id}  {name}" for name in sorted(keys)),
        "entries": "\n".join(map(json.dumps, shown)),
    }


def put(folder: Path, data: bytes) -> str:
    """Write a package."""
    path = folder / "package.zip"
    path.write_bytes(data)
    return str(path)


def test_a_package_that_holds_is_told_of(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Every check, what it found, and whose keys signed."""
    path = put(tmp_path, world.sample(True))
    assert standalone.main([path, "--policy", world.policy().digest]) == 0
    assert capsysbinary.readouterr().out.decode() == FULL.format_map(said())


def test_a_package_that_does_not_hold_is_told_of(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """What failed, what could not be reached for it, and the entries all the same."""
    path = put(tmp_path, world.sample(False))
    assert standalone.main([path, "--policy", "sha256:0", "--entries"]) == 1
    assert capsysbinary.readouterr().out.decode() == WRONG.format_map(said())


def test_programs_are_told_the_same(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """As JSON, with the entries if they are asked for."""
    path = put(tmp_path, world.sample(False))
    assert standalone.main([path, "--json"]) == 0
    text = capsysbinary.readouterr().out.decode()
    found = json.loads(text)
    assert text == json.dumps(found, indent=2) + "\n"
    assert (set(found), found["verified"]) == ({"verified", "steps"}, True)
    steps = {step.pop("name"): step for step in found["steps"]}
    assert [step["number"] for step in steps.values()] == list(range(1, 11))
    assert steps["tags"] == {
        "number": 8,
        "says": "The tag tree's head is stated in the ledger, and the proof leads to it.",
        "outcome": "passed",
        "reason": "",
        "found": {"tags": 14, "covered": 256, "stated by": "log"},
    }
    assert steps["ledger"]["outcome"] == steps["evidence"]["outcome"] == "not-included"
    assert steps["policy"]["found"]["digest"] == "not compared: ask for it elsewhere"
    assert standalone.main([path, "--json", "--entries", "--policy", "sha256:0"]) == 1
    found = json.loads(capsysbinary.readouterr().out)
    assert found["verified"] is False
    assert "\n".join(map(json.dumps, found["entries"])) == said()["entries"]
    outcomes = {step["name"]: step["outcome"] for step in found["steps"]}
    assert outcomes["policy"] == "failed"
    assert outcomes["checkpoint"] == "not-reached"


def test_what_else_is_in_a_package_is_named(tmp_path: Path) -> None:
    """No topics; evidence that convicts, and a file that is none."""
    honest, forged = fork(1, 4)
    found = find_evidence_in(forged.subtree, honest.note(2), forged.note(4))
    assert found
    package = msgspec.structs.replace(
        world.package(full=True, evidence={"fork": found.text.encode(), "letter": b"Dear Sir"}),
        topics=[],
    )
    _, reports = standalone.verify(put(tmp_path, world.written(package)))
    steps = {report["name"]: report for report in reports}
    assert steps["topics"]["reason"] == "The package is about no topic"
    assert steps["evidence"]["found"] == {
        "fork": "log.example/branchline signed 4 entries that do not begin with the 2 it had signed",
        "letter": "kept as it is, not judged",
    }


def test_there_may_be_nothing_to_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That is another exit code than a failure."""
    assert standalone.main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("Nothing to check: ")


def test_the_help_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    """One line an option."""
    with pytest.raises(SystemExit):
        standalone.main(["--help"])
    lines = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert lines >= {
        "Check an auditor's package of a ledger.",
        "package the file, or its folder",
        "--policy POLICY the digest of the policy, as known from elsewhere",
        "--entries show the entries' open fields",
        "--json write JSON",
    }


def test_incidents_do_not_hide(tmp_path: Path) -> None:
    """Strangers on a topic's numbers are named, each with its position."""
    files = world.unpacked(world.sample(True))
    edited = world.edited(files["contents.json"], _nobody_may_write)
    _, steps = standalone.verify(put(tmp_path, world.packed(files | {"contents.json": edited})))
    assert steps[8]["found"] == {
        "dataset/stays": "0 entries are all up to size 300; by none of its actors, an incident: "
        "3, 43, 83, 123, 163, 203, 243"
    }


def _nobody_may_write(contents: Any) -> None:
    contents["topics"][0]["actors"] = []


# Ledgers of other sizes: tiles of two levels, partial ones, none.


def _only_the_ledger(size: int) -> Package:
    ledger = Ledger(entries(size))
    note = world.cosigned(ledger)
    return msgspec.structs.replace(
        world.package(full=True),
        checkpoint=note.encode(),
        entries=[],
        topics=[],
        read=ledger.read,
    )


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 513, 700])
def test_ledgers_of_any_size_are_hashed(size: int, tmp_path: Path) -> None:
    """Every tile and bundle, and each of them missed or noticed if it is changed."""
    log = History(entries(size))
    files = world.unpacked(world.written(_only_the_ledger(size)))
    path = put(tmp_path, world.packed(files))
    case, steps = standalone.verify(path)
    assert steps[6]["outcome"] == "passed"
    assert (case.checkpoint[1], case.checkpoint[2]) == (size, log.checkpoint(size).root)
    tiles = [name for name in files if name.startswith("log/tile/")]
    for name in tiles:
        data = files[name]
        for changed in (data + bytes(32), data[:-1], bytes(len(data))):
            path = put(tmp_path, world.packed({**files, name: changed}))
            assert standalone.verify(path)[1][6]["outcome"] == "failed", name
        without = {other: data for other, data in files.items() if other != name}
        assert standalone.verify(put(tmp_path, world.packed(without)))[1][6]["outcome"] == "failed"


def test_a_folder_is_read_like_the_file_it_came_from(tmp_path: Path) -> None:
    """Names with folders in them, and bytes as they are."""
    for name, data in world.unpacked(world.sample(True)).items():
        (tmp_path / "unpacked" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "unpacked" / name).write_bytes(data)
    _, steps = standalone.verify(str(tmp_path / "unpacked"), world.policy().digest)
    assert {step["outcome"] for step in steps} == {"passed", "not-included"}
    (tmp_path / "unpacked/log/more").write_bytes(b"")
    assert "not listed" in standalone.verify(str(tmp_path / "unpacked"))[1][0]["reason"]


def test_closed_entries_are_shown_closed(tmp_path: Path) -> None:
    """An entry without a disclosure is one."""
    package = world.package(full=True)
    entries = [
        msgspec.structs.replace(each, entry=Entry(each.entry.jws)) for each in package.entries
    ]
    _, steps = standalone.verify(
        put(tmp_path, world.written(msgspec.structs.replace(package, entries=entries)))
    )
    assert steps[5]["found"] == {"fields": 0}


def test_a_package_without_a_verifier_says_so(tmp_path: Path) -> None:
    """Whoever checks it has one of his own."""
    files = world.unpacked(world.sample(True))
    del files["verify.py"]
    _, steps = standalone.verify(put(tmp_path, world.packed(files)))
    assert steps[0]["found"] == {"files": 24, "verifier": "none"}


@pytest.mark.parametrize(
    ("name", "step", "says"),
    [
        ("vkey", 1, "does not know the log"),
        ("entries/3.tlog-proof", 3, "is malformed"),
        ("policy.txt", 1, "does not end"),
        ("log/checkpoint", 2, "not a signed note"),
    ],
)
def test_bytes_that_are_no_text_fail_their_check(
    name: str, step: int, says: str, tmp_path: Path
) -> None:
    """And break nothing."""
    files = world.unpacked(world.sample(True)) | {name: b"\xff\xfe"}
    _, steps = standalone.verify(put(tmp_path, world.packed(files)))
    assert (steps[step]["outcome"], says in steps[step]["reason"]) == ("failed", True)


def test_a_signer_whom_the_package_does_not_name_is_told(tmp_path: Path) -> None:
    """In another sentence than a signature that does not hold."""
    files = world.unpacked(world.sample(True))
    stranger = make_entry({}, world.STRANGER)
    for jws, says in (
        (stranger.jws, "signed by a key that the package does not name"),
        (world.own(1).jws[:-4] + "AAAA", "does not hold"),
    ):
        changed = files | {"entries/43.sd-jwt": f"{jws}~".encode()}
        _, steps = standalone.verify(put(tmp_path, world.packed(changed)))
        assert says in steps[4]["reason"]


def test_topics_are_found_in_every_bundle(tmp_path: Path) -> None:
    """Entries of a topic beyond the first 256 stand where they stand."""
    leaves = entries(700)
    for number, position in enumerate((10, 300, 511, 512, 650)):
        leaves[position] = world.own(number).leaf
    ledger = Ledger(leaves)
    package = msgspec.structs.replace(
        world.package(full=True),
        checkpoint=world.cosigned(ledger).encode(),
        entries=[],
        topics=[topic_of("dataset/stays", world.SECRET, {"station-a": world.STATION.public}, 5)],
        read=ledger.read,
    )
    path = put(tmp_path, world.written(package))
    _, steps = standalone.verify(path)
    assert steps[8]["found"] == {"dataset/stays": "5 entries are all up to size 700"}
    assert verify_package(Path(path)).verified


def test_a_ledger_with_tiles_of_three_levels_is_hashed(tmp_path: Path) -> None:
    """Beyond 65,536 entries full tiles of level 1 are compared, and level 2 begins."""
    path = put(tmp_path, world.written(_only_the_ledger(66_100)))
    case, steps = standalone.verify(path)
    assert (steps[6]["outcome"], case.checkpoint[1]) == ("passed", 66_100)
