"""Packages: what holds is found to hold, with Python alone; what was tampered with is named."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger import packages as world
from tests.ledger.histories import History
from tests.ledger.ledgers import Ledger
from tests.ledger.vectors import ORIGIN, entries, log_identity

from branchline.foundation.encoding import to_base64url
from branchline.foundation.errors import Corrupt, NotFound, Refused
from branchline.ledger.entry import make_entry, open_entry
from branchline.ledger.package import (
    Package,
    Shown,
    topic_of,
    verifier_digest,
    verifier_source,
    write_package,
)
from branchline.ledger.package_check import PackageReport, verify_package
from branchline.ledger.proof.evidence import find_evidence
from branchline.ledger.proof.merkle import growth_hashes
from branchline.ledger.proof.note import from_base64
from branchline.ledger.proof.policy import key_policy
from branchline.ledger.standalone import verify as standalone
from branchline.ledger.statements import make_statement
from branchline.ledger.tagproof import TagTreeHead
from branchline.ledger.topics import tag_of

Files = dict[str, bytes]
Change = Callable[[Files], None]


@pytest.fixture(autouse=True, scope="module")
def _quick_signatures() -> Iterator[None]:
    """Verify each signature once: the verifier is slow on purpose, and these tests repeat them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standalone, "verify_ed25519", cache(standalone.verify_ed25519))
        yield


def both(folder: Path, data: bytes, policy: str | None = None) -> tuple[PackageReport, Any]:
    """Check a package both ways; the outcome of every step has to be the same."""
    path = folder / "package.zip"
    path.write_bytes(data)
    report = verify_package(path, policy_digest=policy)
    case, steps = standalone.verify(str(path), policy)
    assert [(step.name, step.outcome) for step in report.steps] == [
        (step["name"], step["outcome"]) for step in steps
    ]
    assert {at: dict(fields) for at, fields in report.entries.items() if fields} == {
        position: entry.fields for position, entry in case.entries.items() if entry.fields
    }
    return report, steps


def failing(report: PackageReport) -> list[str]:
    """Name the steps that failed."""
    return [step.name for step in report.steps if step.outcome == "failed"]


@pytest.mark.parametrize("full", [True, False])
def test_a_package_holds(tmp_path: Path, full: bool) -> None:
    """Both verifiers find every step to hold, and open exactly the fields shown."""
    report, _ = both(tmp_path, world.sample(full), world.policy().digest)
    assert report.verified
    report.require()
    assert report.entries[43] == {"act": "stop.released", "round": 1}
    included = {step.name for step in report.steps if step.outcome == "passed"}
    assert included == set(_STEPS) - {"evidence", "tags" if full else "ledger"}
    covered = 300 if full else 256
    topic = report.step("topics").found["dataset/stays"]
    assert topic == {"entries": world.ENTRIES, "covered": covered, "incidents": []}


_STEPS = [name for name, *_ in standalone.RECIPE]


def test_the_ledger_itself_says_more_than_a_proof(tmp_path: Path) -> None:
    """Where a package holds both, topics are judged by all entries."""
    light = world.package(full=False)
    package = msgspec.structs.replace(light, read=world.package(full=True).read)
    report, steps = both(tmp_path, world.written(package))
    assert report.verified
    assert report.step("tags").found["covered"] == 256
    assert report.step("topics").found["dataset/stays"]["covered"] == 300
    assert "up to size 300" in str(steps)


def test_the_same_content_gives_the_same_bytes() -> None:
    """Nothing in a package depends on when or where it is written."""
    assert world.written(world.package(full=True)) == world.sample(True)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("way", ["itself", "verifier", "unpacked"])
def test_a_machine_with_python_alone_is_enough(tmp_path: Path, full: bool, way: str) -> None:
    """The package runs as a program; or its verifier checks it, packed or unpacked."""
    package = tmp_path / "package.zip"
    package.write_bytes(world.sample(full))
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "unpacked")
    program = {
        "itself": [str(package)],
        "verifier": [str(tmp_path / "unpacked/verify.py"), str(package)],
        "unpacked": [str(tmp_path / "unpacked/verify.py")],
    }[way]
    done = _run([*program, "--policy", world.policy().digest, "--entries"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verified: every check holds." in done.stdout
    assert "7 entries are all up to size" in done.stdout
    assert '"fields": {"act": "stop.released", "round": 1}' in done.stdout
    wrong = _run([*program, "--policy", "sha256:" + "0" * 64, "--json"], tmp_path)
    assert wrong.returncode == 1
    steps = json.loads(wrong.stdout)["steps"]
    assert [step["name"] for step in steps if step["outcome"] == "failed"] == ["policy"]


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python without site packages and apart from everything else."""
    command = [sys.executable, "-I", "-S", *arguments]
    return subprocess.run(
        command, cwd=folder, env={}, capture_output=True, text=True, encoding="utf-8", check=False
    )


@pytest.mark.parametrize("what", [b"", b"not a zip", None])
def test_what_is_no_package_is_said_to_be_none(tmp_path: Path, what: bytes | None) -> None:
    """Neither verifier breaks down over a stray file."""
    path = tmp_path / "package.zip"
    if what is not None:
        path.write_bytes(what)
    with pytest.raises(Corrupt if what is not None else NotFound):
        verify_package(path)
    with pytest.raises(standalone.Failed):
        standalone.verify(str(path))
    assert standalone.main([str(path)]) == 2


def test_the_verifier_has_a_digest_to_compare(tmp_path: Path) -> None:
    """What a package carries is the file in this program, byte for byte."""
    source = verifier_source()
    assert world.unpacked(world.sample(False))["verify.py"] == source
    assert verifier_digest() == "sha256:" + hashlib.sha256(source).hexdigest()
    _, steps = both(tmp_path, world.sample(False))
    assert steps[0]["found"]["verifier"] == verifier_digest()


# Tampering by somebody who also mends the list of files.


def _set(name: str, data: bytes) -> Change:
    return lambda files: files.update({name: data})


def _replace(name: str, old: bytes, new: bytes) -> Change:
    def change(files: Files) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new, 1)

    return change


def _move(source: str, target: str) -> Change:
    return lambda files: files.update({target: files[source]})


def _contents(change: Callable[[Any], None]) -> Change:
    def edit(files: Files) -> None:
        files["contents.json"] = world.edited(files["contents.json"], change)

    return edit


def _drop_disclosed_entry(files: Files) -> None:
    del files["entries/43.sd-jwt"], files["entries/43.tlog-proof"]


def _stranger(files: Files) -> None:
    entry = make_entry({"act": "x"}, world.STRANGER)
    files["entries/43.sd-jwt"] = f"{entry.jws}~".encode()


def _wrong_disclosure(files: Files) -> None:
    leaf = files["entries/43.sd-jwt"].split(b"~")[0]
    other = files["entries/83.sd-jwt"].split(b"~")[1]
    files["entries/43.sd-jwt"] = b"~".join((leaf, other, b""))


def _swap_leaves(files: Files) -> None:
    bundle = files["log/tile/entries/000"]
    one, two = b"another's entry 10", b"another's entry 11"
    files["log/tile/entries/000"] = bundle.replace(one, b"#").replace(two, one).replace(b"#", two)


def _tile(files: Files) -> None:
    files["log/tile/0/000"] = bytes(32) + files["log/tile/0/000"][32:]


def _other_topic(contents: Any) -> None:
    contents["topics"][0]["secret"] = to_base64url(bytes([8]) * 32)


def _more_than_there_are(contents: Any) -> None:
    contents["topics"][0]["at_least"] = world.ENTRIES + 1


def _beyond_all_measure(contents: Any) -> None:
    contents["topics"][0]["at_least"] = 2**62


def _unknown_actor(contents: Any) -> None:
    contents["topics"][0]["actors"] = ["somebody"]


def _another_head(contents: Any) -> None:
    contents["head"]["position"] = 43


def _another_keeper(contents: Any) -> None:
    contents["head"]["keeper"] = world.STATION.id


def _fewer_keys(contents: Any) -> None:
    contents["keys"] = [key for key in contents["keys"] if key["name"] != "station-a"]


_WEAK = world.cosigned(world.ledger(), 2).encode()
_OTHER = world.cosigned(Ledger(entries(300))).encode()
_TAMPERED: list[tuple[str, bool, Change, str]] = [
    ("a file more", True, _set("more", b""), "files"),
    ("a folder more", True, _set("tags/more", b""), "files"),
    ("an entry without a receipt", True, _move("entries/3.sd-jwt", "entries/4.sd-jwt"), "files"),
    ("an entry without its end", True, _set("entries/3.sd-jwt", b"a.b.c"), "files"),
    ("a position too large", True, _move("vkey", f"entries/{2**63}.sd-jwt"), "files"),
    ("a policy cut", True, _replace("policy.txt", b"quorum", b"quora"), "policy"),
    ("a weaker policy", True, _replace("policy.txt", b"3 site-0", b"9 site-0"), "policy"),
    ("another key", True, _set("vkey", b"x\n"), "policy"),
    ("too few witnesses", True, _set("log/checkpoint", _WEAK), "checkpoint"),
    ("no checkpoint", True, _set("log/checkpoint", b"\n\n"), "checkpoint"),
    ("another ledger", False, _set("log/checkpoint", _OTHER), "receipts"),
    ("a cosignature", True, _replace("log/checkpoint", b"witness ", b"witness A"), "checkpoint"),
    ("a receipt's position", True, _replace("entries/3.tlog-proof", b"x 3", b"x 4"), "receipts"),
    (
        "a receipt of another",
        True,
        _move("entries/3.tlog-proof", "entries/43.tlog-proof"),
        "receipts",
    ),
    ("a receipt cut", True, _set("entries/3.tlog-proof", b"c2sp.org/tlog-proof@v1\n"), "receipts"),
    ("an entry of another", True, _move("entries/3.sd-jwt", "entries/43.sd-jwt"), "receipts"),
    ("a stranger's entry", True, _stranger, "receipts signatures"),
    ("a field of another", True, _wrong_disclosure, "fields"),
    ("a key less", True, _contents(_fewer_keys), "signatures"),
    ("two entries exchanged", True, _swap_leaves, "ledger"),
    ("a tile", True, _tile, "ledger"),
    ("a tile more", True, _set("log/tile/5/000", bytes(32)), "ledger"),
    ("a topic of somebody", True, _contents(_unknown_actor), "topics"),
    ("a topic too short", True, _contents(_more_than_there_are), "topics"),
    ("a topic too short, lightly", False, _contents(_more_than_there_are), "topics"),
    ("a topic beyond all measure", True, _contents(_beyond_all_measure), "topics"),
    ("another topic, lightly", False, _contents(_other_topic), "topics"),
    ("a proof cut", False, _set("tags/proof", b"bl-tag-proof/v1\n"), "tags"),
    ("another head", False, _contents(_another_head), "tags"),
    ("another keeper", False, _contents(_another_keeper), "tags"),
    ("an entry not shown", False, _drop_disclosed_entry, "topics"),
    (
        "evidence of nothing",
        True,
        _set("evidence/x", b"branchline/ledger-evidence@v1\n\n"),
        "evidence",
    ),
]


def test_a_head_that_no_mirror_could_check_is_not_believed(tmp_path: Path) -> None:
    """The true head, but sealed under salts of one's own, or by another than the ledger's key."""
    fields = open_entry(world.head_entry(), log_identity().public)
    tags = world.head_entry().tags
    sealed = make_entry(fields, log_identity(), tags=tags)
    by_another = make_statement(TagTreeHead(**_head_in(fields)), ORIGIN, world.CENTRAL)
    for number, (head, keeper) in enumerate(((sealed, ""), (by_another, world.CENTRAL.id))):
        (place := tmp_path / str(number)).mkdir()
        data = world.written(world.package(full=False, head=head, keeper=keeper))
        report, _ = both(place, data)
        assert failing(report) == ["tags"]
        assert "no statement of this head" in report.step("tags").reason


def _head_in(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in ("size", "covered")} | {
        "root": from_base64(fields["root"])
    }


@pytest.mark.parametrize(
    ("full", "change", "step"),
    [case[1:] for case in _TAMPERED],
    ids=[case[0] for case in _TAMPERED],
)
def test_tampering_is_named(tmp_path: Path, full: bool, change: Change, step: str) -> None:
    """Each kind of tampering fails its own step, in both verifiers, though the list was mended."""
    files = world.unpacked(world.sample(full))
    change(files)
    report, _ = both(tmp_path, world.packed(files))
    assert not report.verified
    assert failing(report) == step.split()
    with pytest.raises(Corrupt, match=f"\\({step.split()[0]}\\) fails"):
        report.require()


def test_a_topic_without_entries_is_complete(tmp_path: Path) -> None:
    """That a dataset was never touched is a result too."""
    files = world.unpacked(world.sample(True))

    def other(contents: Any) -> None:
        contents["topics"][0] |= {"secret": to_base64url(bytes([8]) * 32), "at_least": 0}

    _contents(other)(files)
    report, steps = both(tmp_path, world.packed(files))
    assert report.verified
    assert report.step("topics").found["dataset/stays"]["entries"] == 0
    assert "0 entries are all up to size 300" in str(steps)


@pytest.mark.parametrize("full", [True, False])
def test_a_changed_file_is_noticed_before_anything(tmp_path: Path, full: bool) -> None:
    """Where the list was not mended, every changed or missing file fails the first step."""
    files = world.unpacked(world.sample(full))
    for name in sorted(set(files) - {"contents.json"}):
        for other in ({**files, name: files[name] + b" "}, {**files}):
            if other == files:
                del other[name]
            report, _ = both(tmp_path, world.packed(other, listed=False))
            assert failing(report) == ["files"], name


@given(st.booleans(), st.data())
def test_both_verifiers_agree_on_whatever_was_changed(full: bool, data: st.DataObject) -> None:
    """Any bytes changed in any file, the list mended: the same steps fail in both."""
    files = world.unpacked(world.sample(full))
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    at = data.draw(st.integers(0, max(len(content) - 1, 0)))
    how = data.draw(st.sampled_from(["flip", "cut", "insert", "take"]))
    if how == "flip":
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del content[at : at + data.draw(st.integers(1, 80))]
    elif how == "insert":
        content[at:at] = data.draw(st.binary(min_size=1, max_size=3))
    else:
        content[:] = files[data.draw(st.sampled_from(sorted(files)))]
    changed = {**files, name: bytes(content)}
    whole = world.packed(changed, listed=name != "contents.json")
    _agree(whole)


def _agree(whole: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "package.zip"
        path.write_bytes(whole)
        try:
            report = verify_package(path)
        except Corrupt:
            with pytest.raises(standalone.Failed):
                standalone.verify(str(path))
            return
        _, steps = standalone.verify(str(path))
    outcomes = [(step.name, step.outcome) for step in report.steps]
    assert outcomes == [(step["name"], step["outcome"]) for step in steps]


def _sequenced(leaves: list[bytes]) -> Package:
    """Pack a ledger of these leaves with the station's topic and no entry shown."""
    ledger = Ledger(leaves)
    return msgspec.structs.replace(
        world.package(full=True),
        checkpoint=world.cosigned(ledger).encode(),
        read=ledger.read,
        entries=[],
        topics=[topic_of("t", world.SECRET, {"a": world.STATION.public}, 0)],
    )


def test_what_a_sequencer_did_is_named(tmp_path: Path) -> None:
    """A gap and a double are failures; a stranger's entry is an incident, and shown as one."""
    own = [world.own(number).leaf for number in range(4)]
    stranger = make_entry({}, world.STRANGER, tags=[tag_of(world.SECRET, 1)]).leaf
    gap, _ = both(tmp_path, world.written(_sequenced([own[0], own[2]])))
    double, _ = both(tmp_path, world.written(_sequenced([own[0], own[0]])))
    foreign, steps = both(tmp_path, world.written(_sequenced([own[0], stranger, own[2]])))
    assert failing(gap) == failing(double) == ["topics"]
    assert foreign.verified
    assert foreign.step("topics").found["t"]["incidents"] == [1]
    assert "by none of its actors, an incident: 1" in str(steps)


def test_an_empty_ledger_is_a_ledger(tmp_path: Path) -> None:
    """Nothing happened, provably."""
    report, _ = both(tmp_path, world.written(_sequenced([])))
    assert report.verified


def test_evidence_is_judged(tmp_path: Path) -> None:
    """Two histories signed by the log are said to be that; other files are kept as they are."""
    honest, forged = History(entries(9)), History([*entries(4), b"x", *entries(4)])
    forks = {
        "fork": find_evidence(honest.note(5), forged.note(5)),
        "rewritten": find_evidence(honest.note(5), forged.note(8), tuple(_growth(forged, 5, 8))),
    }
    files = {name: fork.text.encode() for name, fork in forks.items() if fork is not None}
    assert set(files) == set(forks)
    package = world.package(full=False, evidence={**files, "vote.pdf": b"%PDF"})
    report, steps = both(tmp_path, world.written(package))
    assert report.verified
    assert steps[-1]["found"] == report.step("evidence").found
    assert "two different histories of 5 entries" in steps[-1]["found"]["fork"]
    assert "do not begin with the 5" in steps[-1]["found"]["rewritten"]
    assert steps[-1]["found"]["vote.pdf"] == "kept as it is, not judged"


def _growth(history: History, old: int, new: int) -> tuple[bytes, ...]:
    return growth_hashes(history.subtree, old, new)


def test_what_cannot_be_shown_is_not_packed() -> None:
    """An entry twice, receipts at two checkpoints, a topic without a proof: refused at once."""
    light = world.package(full=False)
    other = Shown(light.entries[0].entry, world.ledger().receipt(3, _WEAK.decode()))
    refused = [
        msgspec.structs.replace(light, entries=[*light.entries, light.entries[0]]),
        msgspec.structs.replace(light, entries=[other]),
        msgspec.structs.replace(light, tags=None),
        msgspec.structs.replace(light, evidence={"../x": b""}),
        msgspec.structs.replace(light, evidence={"": b""}),
    ]
    for package in refused:
        with pytest.raises(Refused):
            write_package(io.BytesIO(), package)
    with pytest.raises(Corrupt):
        write_package(io.BytesIO(), msgspec.structs.replace(light, checkpoint=_WEAK))


def test_a_log_without_witnesses_has_packages_too(tmp_path: Path) -> None:
    """The policy may ask for the log's signature alone."""
    policy = key_policy(world.policy().logs[0].key)
    package = msgspec.structs.replace(world.package(full=True), policy=policy)
    report, _ = both(tmp_path, world.written(package), policy.digest)
    assert report.verified


def test_a_compressed_package_is_refused(tmp_path: Path) -> None:
    """What unpacks to more than it weighs is not opened."""
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in world.unpacked(world.sample(False)).items():
            archive.writestr(name, data)
    with pytest.raises(Corrupt, match="uncompressed"):
        verify_package(path)
    with pytest.raises(standalone.Failed, match="compress"):
        standalone.verify(str(path))


def test_what_a_package_says_cannot_move_the_cursor(tmp_path: Path) -> None:
    """Names and sentences from a package are shown without control characters."""
    path = tmp_path / "package.zip"
    about = "\x1b[2J\nVerified\u202e"
    path.write_bytes(world.written(msgspec.structs.replace(world.package(full=False), about=about)))
    done = _run([str(path)], tmp_path)
    assert done.returncode == 0
    assert "?[2J?Verified?" in done.stdout


def test_topics_keep_their_secrets_out_of_messages() -> None:
    """The text of a topic names it and nothing more."""
    assert repr(world.package(full=True).topics[0]) == "Topic('dataset/stays')"
