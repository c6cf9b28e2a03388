"""Records are signed and chained: whatever is done to them is named; merges never conflict."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.project.conftest import Scene, run

from branchline.cli.root import root
from branchline.foundation.errors import BranchlineError, Refused
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.project.activity.chain import Seen, verify_records
from branchline.project.activity.feed import feed, mark, write_note
from branchline.project.activity.record import By, Record, Signed, read_record, sign
from branchline.project.activity.verify import verify

PROJECT = new_id("project")
KEYS = Identity.create()


def chain(clone: str, length: int, identity: Identity = KEYS) -> list[Signed]:
    """Return the records of one clone."""
    made: list[Signed] = []
    for seq in range(length):
        record = Record(
            project=PROJECT,
            clone=clone,
            seq=seq,
            previous=made[-1].digest if made else None,
            at=f"2026-11-{seq + 1:02d}T00:00:00.000Z",
            by=By("Mira", identity.public.sign),
            type="note",
            action="create",
            message=f"number {seq}",
        )
        made.append(sign(record, identity))
    return made


def files(records: list[Signed]) -> dict[str, bytes]:
    """Return records as they stand below ``activity``."""
    return {signed.name: signed.text for signed in records}


def faults(found: dict[str, bytes], seen: dict[str, Seen] | None = None) -> set[str]:
    """Return what verification names."""
    return {fault.what for fault in verify_records(found.items(), PROJECT, seen or {}).faults}


def test_a_whole_chain_has_no_fault() -> None:
    """And its head is known."""
    clone = new_id("clone")
    made = chain(clone, 5)
    verdict = verify_records(files(made).items(), PROJECT, {})
    assert verdict.faults == []
    assert verdict.heads[clone].digest == made[-1].digest


@given(st.data())
def test_any_changed_byte_is_named(data: st.DataObject) -> None:
    """Whatever byte of whatever record: it no longer counts, and the chain lacks it."""
    made = files(chain(new_id("clone"), 3))
    name = data.draw(st.sampled_from(sorted(made)))
    at = data.draw(st.integers(0, len(made[name]) - 1))
    flipped = bytearray(made[name])
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    assert "altered" in faults({**made, name: bytes(flipped)})


@given(st.integers(0, 4))
def test_any_missing_record_is_named(lost: int) -> None:
    """In the middle by the chain; at the end by what was seen before."""
    clone = new_id("clone")
    made = chain(clone, 5)
    head = {clone: Seen(4, made[4].digest, made[4].record.at)}
    rest = files([signed for signed in made if signed.record.seq != lost])
    assert "missing" in faults(rest, head)
    assert faults({}, head) == {"missing"}


def test_forks_and_new_orders_are_named() -> None:
    """Two records of one number; a record that continues another one; a chain written anew."""
    clone = new_id("clone")
    made, other = chain(clone, 4), chain(clone, 4, Identity.create())
    assert faults(files([*made, other[3]])) == {"forked"}
    assert faults(files([*made[:2], *other[2:]])) == {"reordered"}
    seen = {clone: Seen(2, made[2].digest, made[2].record.at)}
    assert faults(files(other), seen) == {"rewritten"}


def test_a_record_counts_only_where_it_belongs() -> None:
    """Under another clone's name, or in another project, it is somebody else's."""
    made = chain(new_id("clone"), 1)
    moved = made[0].name.replace(made[0].record.clone, new_id("clone"))
    assert "altered" in faults({moved: made[0].text})
    verdict = verify_records(files(made).items(), new_id("project"), {})
    assert [fault.what for fault in verdict.faults] == ["altered"]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(text: bytes) -> None:
    """Foreign files are refused in a sentence."""
    with pytest.raises(BranchlineError):
        read_record(text, "record")


def test_an_unknown_field_is_refused() -> None:
    """What is not understood is not shown as if it were."""
    plain = json.loads(chain(new_id("clone"), 1)[0].text)
    plain["record"]["extra"] = 1
    with pytest.raises(Refused):
        read_record(msgspec.json.encode(plain), "record")


def test_a_signature_is_of_this_record_by_this_key() -> None:
    """Neither another key nor another text passes."""
    clone = new_id("clone")
    one, two = chain(clone, 2)
    forged = Signed(two.record, one.signature)
    assert "altered" in faults({one.name: one.text, forged.name: forged.text})


def test_hiding_removes_nothing(scene: Scene) -> None:
    """A hidden note is out of the feed, and still there and verified."""
    with scene.project.working() as project:
        noted = write_note(project, scene.identity, "a mistake", milestone=False)
        mark(project, scene.identity, noted.digest[7:19], "hide")
    shown = [signed.digest for signed in feed(scene.project)]
    assert noted.digest not in shown
    assert noted.digest in [signed.digest for signed in feed(scene.project, hidden=True)]
    with scene.project.working() as project:
        mark(project, scene.identity, noted.digest, "show")
    assert noted.digest in [signed.digest for signed in feed(scene.project)]
    assert not verify(scene.project).faults


def test_a_note_leaves_what_is_changed_and_staged(scene: Scene) -> None:
    """It is committed by itself."""
    scene.write("code/a.py", "1")
    scene.git("add", "code/a.py")
    scene.write("code/b.py", "2")
    with scene.project.working() as project:
        write_note(project, scene.identity, "only this", milestone=True)
    assert scene.git("status", "--porcelain") == "A  code/a.py\n?? code/b.py\n"


def test_history_that_was_rewritten_is_noticed(scene: Scene) -> None:
    """By a commit that is gone, a record that is gone, or files other than those signed."""
    scene.write("code/a.py", "1")
    scene.save("first")
    scene.write("code/a.py", "2")
    scene.save("second")
    assert not verify(scene.project).faults
    tip = scene.git("rev-parse", "HEAD").strip()
    scene.git("reset", "-q", "--hard", "HEAD~1")
    assert {f.what for f in verify(scene.project).faults} == {"missing"}
    scene.git("reset", "-q", "--hard", tip)
    scene.write("code/a.py", "forged")
    scene.git("commit", "-q", "--amend", "--no-verify", "-a", "-m", "second")
    assert "holds other files" in verify(scene.project).faults[0].sentence
    scene.git("reset", "-q", "--hard", tip)
    scene.git("reset", "-q", "--soft", "HEAD~2")
    scene.git("commit", "-q", "--no-verify", "-m", "squashed")
    assert "rewritten" in {f.what for f in verify(scene.project).faults}


def test_an_older_branch_carries_the_chain_on(scene: Scene) -> None:
    """Where a commit before the last records is checked out, they are put back first."""
    scene.write("code/a.py", "1")
    scene.save()
    scene.git("checkout", "-q", "-b", "aside", "HEAD~1")
    scene.write("code/b.py", "2")
    scene.save()
    assert not verify(scene.project).faults
    scene.git("merge", "-q", "--no-edit", "main")
    assert not verify(scene.project).faults


def test_verify_takes_a_projects_folder(scene: Scene) -> None:
    """The same answer as that of log --verify, and the same exit code if a record was changed."""
    scene.write("code/a.py", "1")
    scene.save()
    done = CliRunner().invoke(root, ["verify", str(scene.root)])
    assert done.exit_code == 0
    assert "2 records of 1 clones are whole and signed" in done.output
    record = min((scene.root / "activity").rglob("000000-*.json"))
    record.write_bytes(record.read_bytes().replace(b"Began", b"Ended", 1))
    changed = CliRunner().invoke(root, ["verify", str(scene.root)])
    assert changed.exit_code == 6
    assert "altered" in changed.output


def test_a_copied_folder_is_a_clone_of_its_own(scene: Scene) -> None:
    """Two that go on under one name would contradict each other; so they do not."""
    twin = Scene(scene.root.parent / "twin", scene.identity)
    run(scene.root.parent, "cp", "-a", "project", "twin")
    scene.write("code/a.py", "1")
    twin.write("code/b.py", "2")
    scene.save()
    twin.save()
    assert scene.project.clone_id() != twin.project.clone_id()
    scene.git("pull", "-q", "--no-rebase", "--no-edit", str(twin.root), "main")
    checked = verify(scene.project)
    assert not checked.faults
    assert len(checked.clones) == 2


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(["a", "b", "ab", "ba"]), min_size=1, max_size=5))
def test_clones_that_work_on_the_same_project_merge_without_conflict(
    scene: Scene, steps: list[str]
) -> None:
    """Whoever works and whoever pulls when: git merges the activity, and all of it verifies."""
    with tempfile.TemporaryDirectory(dir=scene.root.parent) as folder:
        places = {name: Scene(Path(folder) / name, Identity.create()) for name in "ab"}
        for each in places.values():
            run(scene.root, "git", "clone", "-q", str(scene.root), str(each.root))
        for number, step in enumerate(steps):
            one = places[step[0]]
            if len(step) == 1:
                with one.project.working() as project:
                    write_note(project, one.identity, f"step {number}", milestone=False)
            else:
                other = places[step[1]]
                one.git("pull", "-q", "--no-rebase", "--no-edit", str(other.root), "main")
        for puller, source in (("a", "b"), ("b", "a")):
            where = str(places[source].root)
            places[puller].git("pull", "-q", "--no-rebase", "--no-edit", where, "main")
        checked = [verify(each.project) for each in places.values()]
        assert [each.faults for each in checked] == [[], []]
        assert checked[0].records == checked[1].records == 1 + sum(len(s) == 1 for s in steps)
