"""Names of confidential contents: nobody without the data key can hold a guess against them."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.project.conftest import BIN, Scene, quiet, run
from tests.project.data.test_guard import rule

from branchline.foundation.digest import digest_of
from branchline.foundation.errors import Conflict, Corrupt, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.files import value_of
from branchline.project.cloning import clone
from branchline.project.data.keys import accept, make, share
from branchline.project.data.naming import current
from branchline.project.git import backend
from branchline.project.git.keyed import BACKEND, DataKey, is_keyed, keep, keyring
from branchline.project.git.keys import digest_of_key, key_of, log_place, object_place

TRUE = "patient,positive\n4711,yes\n"
GUESSES = [f"patient,positive\n4711,{word}\n" for word in ("no", "yes", "unknown")]


@pytest.fixture
def keyed(scene: Scene) -> Scene:
    """A project with a rule, a data key, and one small confidential file."""
    rule(scene, "data/patients", named=False)
    with scene.project.working() as project:
        make(project, scene.identity, quiet)
    scene.write("data/patients/4711.csv", TRUE)
    scene.save()
    return scene


def confirmed(folder: Path, guess: str) -> bool:
    """Do what an outsider does: hold a guess against all that the repository says."""
    said = run(folder, "git", "log", "--all", "-p", "--format=%B").encode()
    names = run(folder, "git", "ls-tree", "-r", "--name-only", "origin/git-annex").encode()
    raw = guess.encode()
    marks = [hashlib.new(kind, raw).hexdigest() for kind in ("sha256", "sha1", "md5", "sha512")]
    marks.append(hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest())
    marks.append(log_place(key_of(digest_of(raw), len(raw), "4711.csv")))
    return any(mark.encode() in said + names for mark in marks)


def outsider(scene: Scene, tmp_path: Path) -> Path:
    """Clone with plain git: names and history, no content, no key."""
    run(tmp_path, "git", "clone", "-q", str(scene.root), str(tmp_path / "outside"))
    return tmp_path / "outside"


def test_plain_names_confirm_a_guess(scene: Scene, tmp_path: Path) -> None:
    """The attack works where nothing is confidential: or else its failure would prove nothing."""
    scene.write("data/patients/4711.csv", TRUE)
    scene.save()
    there = outsider(scene, tmp_path)
    assert [confirmed(there, guess) for guess in GUESSES] == [False, True, False]


def test_keyed_names_confirm_nothing(keyed: Scene, tmp_path: Path) -> None:
    """Not in history, not in records, not in what git-annex tells of copies."""
    there = outsider(keyed, tmp_path)
    assert [confirmed(there, guess) for guess in GUESSES] == [False] * 3
    assert not keyring(there).exists()


def test_git_annex_itself_verifies_with_the_key(keyed: Scene) -> None:
    """And finds a flipped bit."""
    keyed.annex("fsck", "--quiet")
    content = (keyed.root / "data/patients/4711.csv").resolve()
    assert content.name.startswith(BACKEND)
    os.chmod(content.parent, 0o755)
    content.chmod(0o644)
    content.write_text(TRUE.replace("yes", "non"))
    done = subprocess.run(
        ["git-annex", "fsck"],
        cwd=keyed.root,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "Bad file content" in done.stderr + done.stdout


def test_a_collaborator_with_the_key_gets_and_verifies(keyed: Scene, tmp_path: Path) -> None:
    """The key travels sealed to him; with it his clone names the same content alike."""
    other = Scene(clone(str(keyed.root), tmp_path / "c", quiet).project.root, Identity.create())
    with pytest.raises(NotFound, match="does not have the project's data key"):
        current(other.root)
    sealed = share(keyed.project, (other.identity.public.seal,))
    with pytest.raises(Corrupt):
        accept(other.project, Identity.create(), sealed)
    accept(other.project, other.identity, sealed)
    other.annex("get", "-q", "data/patients/4711.csv")
    other.annex("fsck", "-q", "data/patients/4711.csv")
    assert "-YES" in "".join(backend.answers("CANVERIFY", other.root))
    other.write("data/patients/again.csv", TRUE)
    other.save()
    links = {os.readlink(other.root / "data/patients" / n) for n in ("again.csv", "4711.csv")}
    assert len(links) == 1


def test_content_travels_where_nobody_has_the_key(keyed: Scene, tmp_path: Path) -> None:
    """A hub stores what it cannot check, and gives it back whole."""
    hub = tmp_path / "hub.git"
    run(tmp_path, "git", "init", "-q", "--bare", str(hub))
    run(hub, "git-annex", "init", "-q", "hub")
    keyed.git("remote", "add", "hub", str(hub))
    keyed.annex("copy", "-q", "--to=hub", "data/patients/4711.csv")
    keyed.annex("drop", "-q", "data/patients/4711.csv")
    assert not (keyed.root / "data/patients/4711.csv").exists()
    keyed.annex("get", "-q", "--from=hub", "data/patients/4711.csv")
    assert (keyed.root / "data/patients/4711.csv").read_text() == TRUE


def test_without_a_key_nothing_confidential_is_taken_in(scene: Scene) -> None:
    """It says what to do, and the file is as it was."""
    rule(scene, "data/patients", named=False)
    scene.write("data/patients/1.csv", TRUE)
    scene.write("data/open.csv", "a\n")
    with pytest.raises(Refused, match="no key yet to name it with"):
        scene.save()
    assert not (scene.root / "data/open.csv").is_symlink()
    with scene.project.working() as project:
        made = make(project, scene.identity, quiet)
    assert scene.save().commit
    assert scene.project.rules.key == made.id
    with scene.project.working() as project, pytest.raises(Conflict, match="has the data key"):
        make(project, scene.identity, quiet)


def test_who_lacks_the_key_can_still_save_code(keyed: Scene, tmp_path: Path) -> None:
    """Only confidential files are refused."""
    other = Scene(clone(str(keyed.root), tmp_path / "c", quiet).project.root, Identity.create())
    other.write("code/x.py", "1")
    assert other.save().commit
    other.write("data/patients/2.csv", "x\n")
    with pytest.raises(NotFound, match="data key accept"):
        other.save()


def test_unlocked_files_keep_their_keyed_names(keyed: Scene) -> None:
    """What is changed in place goes the same way, through git-annex."""
    keyed.annex("unlock", "data/patients/4711.csv")
    keyed.save()
    keyed.write("data/patients/4711.csv", "patient,positive\n4711,no\n")
    keyed.save()
    pointer = keyed.git("show", "HEAD:data/patients/4711.csv").strip()
    assert is_keyed(pointer.rpartition("/")[2])
    keyed.annex("fsck", "--quiet")


def test_records_name_confidential_contents_by_their_keyed_names(keyed: Scene) -> None:
    """A digest in the record would undo it all."""
    keyed.write("data/patients/5.csv", "x\n5\n")
    (data,) = [s.record for s in keyed.save().records if s.record.type == "data"]
    (told,) = value_of(keyed.project, data, "manifest")
    assert is_keyed(told["content"])


def test_a_repository_that_only_git_annex_knows_does_the_same(keyed: Scene) -> None:
    """Where files are added unlocked, say."""
    keyed.git("config", "annex.addunlocked", "true")
    keyed.write("data/patients/6.csv", "x\n6\n")
    keyed.write("code/private.py", "1\n")
    keyed.save()
    assert "/annex/objects/XHMACSHA256-" in keyed.git("show", "HEAD:data/patients/6.csv")
    keyed.annex("fsck", "--quiet")


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_names_tell_contents_apart_and_keys_apart(one: bytes, two: bytes) -> None:
    """Equal names mean equal contents under one key; another key names all of them otherwise."""
    first, second = DataKey(bytes(32)), DataKey(bytes([1]) * 32)

    def name(key: DataKey, content: bytes) -> str:
        state = key.state()
        state.update(content)
        return key.name(state.digest(), len(content))

    assert (name(first, one) == name(first, two)) == (one == two)
    assert name(first, one) != name(second, one)
    assert is_keyed(name(first, one))
    assert digest_of_key(name(first, one)) is None
    assert object_place(name(first, one)).endswith(name(first, one))


def test_the_program_answers_as_the_protocol_says(tmp_path: Path) -> None:
    """Line by line; an unknown one is an error, a wrong content does not fit."""
    (tmp_path / ".git").mkdir()
    key = DataKey(bytes(32))
    keep(tmp_path, key)
    (tmp_path / "branchline.toml").write_text(f'[confidential]\nkey = "{key.id}"\n')
    file = tmp_path / "with blank"
    file.write_bytes(b"content")
    name = key.name_of_file(file)
    other = name.replace(name[-8:], "00000000")
    foreign = DataKey(bytes([2]) * 32).name_of_file(file)
    asked = io.StringIO(
        "GETVERSION\nCANVERIFY\nISSTABLE\nISCRYPTOGRAPHICALLYSECURE\n"
        f"GENKEY {file}\nVERIFYKEYCONTENT {name} {file}\nVERIFYKEYCONTENT {other} {file}\n"
        f"VERIFYKEYCONTENT {foreign} {file}\nGENKEY {tmp_path}/none\nHELLO\n"
    )
    told = io.StringIO()
    backend.serve(asked, told, tmp_path)
    assert told.getvalue().splitlines() == [
        "VERSION 1",
        "CANVERIFY-YES",
        "ISSTABLE-YES",
        "ISCRYPTOGRAPHICALLYSECURE-YES",
        f"GENKEY-SUCCESS {name}",
        "VERIFYKEYCONTENT-SUCCESS",
        "VERIFYKEYCONTENT-FAILURE",
        "VERIFYKEYCONTENT-FAILURE",
        "GENKEY-FAILURE No such file or directory",
        "ERROR not understood",
    ]
    assert list(backend.answers("CANVERIFY", None)) == ["CANVERIFY-NO"]


def test_a_damaged_key_is_named(keyed: Scene) -> None:
    """Rather than naming contents with it."""
    (file,) = keyring(keyed.root).iterdir()
    file.write_bytes(bytes(32))
    with pytest.raises(Corrupt, match="is damaged"):
        current(keyed.root)
