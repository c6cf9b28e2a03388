"""Data leave a clone with a proof that holds, and a receipt; forged words of copies delete nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.project.conftest import Scene, quiet, run
from tests.project.data.test_guard import RULE, rule

from branchline.foundation.errors import Conflict, NotAllowed, NotFound, Unavailable
from branchline.project.activity.feed import feed
from branchline.project.activity.verify import verify
from branchline.project.data.dropping import drop
from branchline.project.data.expiry import drop_expired, expired
from branchline.project.data.places import describe
from branchline.project.data.receipts import NOT_COVERED, Dropped
from branchline.project.finding import FILE
from branchline.project.git.keys import log_place
from branchline.project.git.proofs import read_proofs, trusted_uuids

FAKE = "deadbeef-0000-4000-8000-000000000000"
DAY = date(2026, 11, 21)


@pytest.fixture
def kept(scene: Scene, tmp_path: Path) -> Scene:
    """A project with a file, and a remote that git-annex knows."""
    scene.write("data/scan.bin", "slices")
    scene.save()
    hub = tmp_path / "hub.git"
    run(tmp_path, "git", "init", "-q", "--bare", str(hub))
    run(hub, "git-annex", "init", "-q", "hub")
    scene.git("remote", "add", "hub", str(hub))
    scene.annex("info", "--fast", "hub")
    return scene


def dropping(scene: Scene, *paths: str, reason: str = "") -> Dropped:
    """Drop what is at paths."""
    with scene.project.working() as project:
        return drop(project, scene.identity, paths, reason, quiet)


def key_of(scene: Scene, path: str) -> str:
    """Return git-annex's name of a content."""
    return (scene.root / path).readlink().name


def forge(scene: Scene, *files: tuple[str, str]) -> None:
    """Append lines to files of git-annex's branch, as anybody who may push can."""
    folder = scene.root.parent / f"forged-{len(files)}-{files[0][0].replace('/', '-')}"
    run(scene.root, "git", "clone", "-q", "--branch=git-annex", str(scene.root), str(folder))
    for name, line in files:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as more:
            more.write(line + "\n")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "update")
    run(folder, "git", "push", "-q", "origin", "git-annex")


def test_a_content_goes_with_a_proof_and_a_receipt(kept: Scene) -> None:
    """The copy elsewhere was locked; the receipt says what it does not cover."""
    key = key_of(kept, "data/scan.bin")
    kept.annex("copy", "-q", "--to=hub", "data/scan.bin")
    found = dropping(kept, "data", reason="Back at the hospital")
    assert not (kept.root / "data/scan.bin").exists()
    (gone,) = found.gone
    assert gone.proof is not None
    assert [copy.kind for copy in gone.proof.copies] == ["LockedCopy"]
    assert (found.kept, found.alarms) == ({}, [])
    (record,) = [s.record for s in feed(kept.project) if s.record.action == "drop"]
    assert record.message == "Removed 1 content from this clone. Back at the hospital"
    (told,) = record.detail("proof")
    assert (told["content"], told["paths"]) == (key, ["data/scan.bin"])
    assert told["claimed"] == [gone.proof.copies[0].uuid]
    assert record.detail("receipt")["does_not_cover"] == list(NOT_COVERED)
    assert not verify(kept.project).faults
    kept.annex("get", "-q", "data/scan.bin")
    assert (kept.root / "data/scan.bin").read_text() == "slices"


def test_the_last_copy_stays(kept: Scene) -> None:
    """With git-annex's own reason; nothing is put on record."""
    found = dropping(kept, "data/scan.bin")
    assert "Could not verify" in found.kept["data/scan.bin"]
    assert (found.gone, found.record) == ([], None)
    assert (kept.root / "data/scan.bin").exists()


def attack(scene: Scene) -> None:
    """Forge a copy, and trust in the one that claims it."""
    key = key_of(scene, "data/scan.bin")
    forge(
        scene,
        ("uuid.log", f"{FAKE} archive timestamp=1700000000s"),
        ("trust.log", f"{FAKE} 1 timestamp=1700000000s"),
        (log_place(key), f"1577836800s 1 {FAKE}"),
    )


def test_forged_trust_deletes_the_last_copy_with_git_annex_alone(kept: Scene) -> None:
    """The attack works there: or else its failure with us would prove nothing."""
    attack(kept)
    kept.annex("drop", "-q", "data/scan.bin")
    assert not (kept.root / "data/scan.bin").exists()


def test_forged_trust_deletes_nothing_here(kept: Scene) -> None:
    """Nobody's word stands for a copy; so with a forged wish for fewer copies."""
    attack(kept)
    forge(kept, ("numcopies.log", "1900000000s 0"), ("mincopies.log", "1900000000s 0"))
    found = dropping(kept, "data/scan.bin")
    assert "data/scan.bin" in found.kept
    assert (kept.root / "data/scan.bin").exists()


def test_a_claimed_copy_alone_is_none(kept: Scene) -> None:
    """A place that is said to have it is asked."""
    hub = kept.git("config", "remote.hub.annex-uuid").strip()
    forge(kept, (log_place(key_of(kept, "data/scan.bin")), f"1900000000s 1 {hub}"))
    assert "data/scan.bin" in dropping(kept, "data/scan.bin").kept


def test_what_a_rule_wants_here_stays_here(kept: Scene) -> None:
    """And what it wants elsewhere has to be there, by its own word, before it goes from here."""
    kept.annex("copy", "-q", "--to=hub", "data/scan.bin")
    with kept.project.working() as project:
        describe(project, kept.identity, "desk", "", "", quiet)
        describe(kept.project, kept.identity, "hub", "hub", "", quiet)
    text = (kept.root / FILE).read_text()
    (kept.root / FILE).write_text(text + RULE.format("data", "internal", 'required = ["desk"]'))
    with pytest.raises(NotAllowed, match="has to be kept at desk, which is this clone"):
        dropping(kept, "data/scan.bin")
    (kept.root / FILE).write_text(text + RULE.format("data", "internal", 'required = ["hub"]'))
    assert dropping(kept, "data/scan.bin").gone
    kept.annex("get", "-q", "data/scan.bin")
    kept.annex("drop", "-q", "--force", "--from=hub", "data/scan.bin")
    with pytest.raises(Conflict, match="has to be kept at hub, and is not there"):
        dropping(kept, "data/scan.bin")
    kept.git("remote", "remove", "hub")
    with pytest.raises(Unavailable, match="no remote leads there"):
        dropping(kept, "data/scan.bin")


def test_what_git_keeps_cannot_be_dropped(kept: Scene) -> None:
    """It says so, rather than doing nothing."""
    with pytest.raises(NotFound, match="Git itself keeps what is there"):
        dropping(kept, "code")
    with pytest.raises(NotFound, match="nothing saved at 'data/none'"):
        dropping(kept, "data/none")


def test_what_has_expired_is_listed_and_removed(scene: Scene) -> None:
    """Earlier versions, too, and what was moved; the rest stays."""
    rule(scene, "data/old", more="expires = 2026-11-20")
    scene.write("data/old/a.csv", "first\n")
    scene.write("data/new.csv", "other\n")
    scene.save()
    scene.write("data/old/a.csv", "second\n")
    scene.save()
    scene.git("mv", "data/old/a.csv", "data/moved.csv")
    scene.save()
    assert expired(scene.project, date(2026, 11, 20)) == []
    found = expired(scene.project, DAY)
    assert [(e.paths, e.present) for e in found] == [
        (("data/moved.csv", "data/old/a.csv"), True),
        (("data/old/a.csv",), True),
    ]
    with scene.project.working() as project:
        done = drop_expired(project, scene.identity, found, quiet)
    assert len(done.gone) == 2
    assert done.record is not None
    assert done.record.record.message.endswith("Its time had ended")
    assert not (scene.root / "data/moved.csv").exists()
    assert (scene.root / "data/new.csv").read_text() == "other\n"
    assert [each.present for each in expired(scene.project, DAY)] == [False, False]
    assert "second" not in "".join(
        f.read_text() for f in (scene.root / ".git/annex/objects").rglob("XHMAC*") if f.is_file()
    )
    assert not verify(scene.project).faults


def test_an_expired_file_in_git_is_named_and_not_removed(scene: Scene) -> None:
    """Nobody can take it out of every clone's history."""
    rule(scene, "code/x.txt", "internal", "expires = 2026-11-20")
    scene.write("code/x.txt", "1\n")
    scene.save()
    (each,) = expired(scene.project, DAY)
    assert each.key.startswith("git:")
    with scene.project.working() as project:
        done = drop_expired(project, scene.identity, [each], quiet)
    assert done.kept == {"code/x.txt": "git itself keeps it, in every clone and for good"}
    assert done.record is None


LINE = "[2026-11-21 17:42:15.695864897] (Command.Drop) Dropping from here proof: {}"
KEY = "SHA256E-s2--4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
LOCK = (
    '(Just (ContentRemovalLock (MkKey {keyData = Key {keyName = "x", keySize = Just 2}, '
    f'keySerialization = "{KEY}"}})))'
)


def proof(copies: str, num: int = 1) -> str:
    """Return a proof as git-annex 10.20261026 writes it."""
    return LINE.format(
        f"Just (SafeDropProof (NumCopies {num}) (MinCopies 1) [{copies}] Nothing {LOCK})"
    )


@pytest.mark.parametrize(
    ("line", "good"),
    [
        (proof(f'LockedCopy UUID "{FAKE}"'), True),
        (proof(f'LockedCopy UUID "{FAKE}"', 2), False),
        (proof(f'LockedCopy UUID "{FAKE}",LockedCopy UUID "{FAKE}"', 2), False),
        (proof(f'RecentlyVerifiedCopy UUID "{FAKE}"'), True),
        (proof(f'TrustedCopy UUID "{FAKE}"'), False),
        (proof(""), False),
        (LINE.format("Nothing"), None),
        (proof(f'LockedCopy UUID "{FAKE}" extra'), None),
        ("x" + proof(f'LockedCopy UUID "{FAKE}"'), None),
    ],
)
def test_only_copies_that_were_looked_at_prove_anything(line: str, good: bool | None) -> None:
    """What does not parse is no proof."""
    found = read_proofs(f"noise\n{line}\nmore noise\n")
    assert (found[KEY].good if KEY in found else None) == good


@given(st.text(max_size=300))
def test_any_other_words_are_no_proof(text: str) -> None:
    """Whatever git-annex says."""
    assert read_proofs(text) == {}


def test_who_was_ever_trusted_is_asked_all_the_same() -> None:
    """Whatever the times in the log say."""
    log = f"{FAKE} 1 timestamp=1s\n{FAKE} 0 timestamp=9s\naaaaaaaa-1 0 timestamp=1s\nbroken\n"
    assert trusted_uuids(log) == [FAKE]
