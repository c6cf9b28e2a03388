"""Another line of work comes in; where the two contradict each other, a person chooses."""

from __future__ import annotations

import pytest
from tests.project.conftest import Prepared, Scene
from tests.project.merging.conftest import left, merged, merging, on, resumed

from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.project.activity.feed import feed
from branchline.project.activity.verify import verify
from branchline.project.activity.where import commit_of


@pytest.fixture
def parted(prepared: Prepared) -> Scene:
    """Two branches that changed the same files in different ways; ``main`` is checked out."""
    return prepared(part)


def part(scene: Scene) -> None:
    """Change the same files on two branches in different ways."""
    scene.write("code/fit.py", "a = 1\nb = 2\n\n\n\nc = 3\n")
    scene.write("code/old.py", "old\n")
    scene.write("data/wear.csv", "age,wear\n20,0.4\n")
    scene.save("both begin with this")
    on(scene, "aside")
    scene.write("code/fit.py", "a = 10\nb = 2\n\n\n\nc = 3\n")
    scene.write("code/old.py", "old, but better\n")
    scene.write("data/wear.csv", "age,wear\n20,0.5\n")
    scene.write("code/new.py", "new\n")
    scene.save("theirs")
    on(scene, "main")
    scene.write("code/fit.py", "a = 11\nb = 2\n\n\n\nc = 3\n")
    (scene.root / "code/old.py").unlink()
    scene.write("data/wear.csv", "age,wear\n20,0.6\n")
    scene.save("mine")


def clean(scene: Scene) -> None:
    """Hold the project to be saved, whole and verified."""
    assert scene.git("status", "--porcelain") == ""
    assert verify(scene.project).faults == []
    assert not (scene.project.state / "merge.json").exists()


def test_what_goes_together_is_merged_and_put_on_record(scene: Scene) -> None:
    """Unsaved work is saved first; the record is in the merge's own commit and names both parents."""
    scene.write("code/a.py", "1\n2\n3\n4\n5\n")
    scene.save()
    on(scene, "aside")
    scene.write("code/a.py", "one\n2\n3\n4\n5\n")
    scene.write("data/b.csv", "b")
    scene.save()
    on(scene, "main")
    scene.write("code/a.py", "1\n2\n3\n4\nfive\n")
    done = merged(scene, "aside")
    assert (done.state, bool(done.saved)) == ("merged", True)
    assert (scene.root / "code/a.py").read_text() == "one\n2\n3\n4\nfive\n"
    assert (scene.root / "data/b.csv").read_text() == "b"
    assert done.record is not None
    record = done.record.record
    assert (record.type, record.action) == ("branch", "merge")
    assert record.detail("ref")["theirs"] == scene.git("rev-parse", "aside").strip()
    assert scene.git("rev-parse", "HEAD^2").strip() == record.detail("ref")["theirs"]
    assert feed(scene.project)[-1].digest == done.record.digest
    assert f"activity/{done.record.name}" in scene.git("ls-tree", "-r", "--name-only", "HEAD")
    clean(scene)
    assert merged(scene, "aside").state == "nothing"
    assert commit_of(scene.project, done.record) == done.commit
    # Whoever changes what was merged, and leaves the record as it is, is found out.
    scene.write("code/a.py", "another merge\n")
    scene.git("add", "code/a.py")
    scene.git("commit", "-q", "--amend", "--no-edit")
    assert "holds other files than its record" in verify(scene.project).faults[0].sentence


def test_conflicts_are_explained_and_change_nothing(parted: Scene) -> None:
    """Who, when, why, sizes, and where they differ; rows of data are not printed."""
    head = parted.git("rev-parse", "HEAD")
    done = merged(parted, "aside")
    assert done.state == "waiting"
    told = {each.path: each for each in done.conflicts}
    assert set(told) == {"code/fit.py", "code/old.py", "data/wear.csv"}
    fit = told["code/fit.py"]
    assert (fit.line, fit.mine.lines, fit.theirs.lines) == (1, ("a = 11",), ("a = 10",))
    assert (fit.mine.who, fit.mine.why, fit.theirs.why) == ("Mira", "mine", "theirs")
    assert told["code/old.py"].said == "removed here, changed there"
    assert told["code/old.py"].mine.size is None
    data = told["data/wear.csv"]
    assert (data.line, data.mine.lines, data.mine.size) == (2, (), 16)
    assert parted.git("rev-parse", "HEAD") == head
    assert parted.git("status", "--porcelain") == ""
    assert (parted.root / "code/fit.py").read_text().startswith("a = 11")


def test_each_file_becomes_what_was_chosen(parted: Scene) -> None:
    """Answers may come one after the other; folders and all at once, too."""
    assert merged(parted, "aside", code__fit_py="theirs").state == "waiting"
    assert resumed(parted, {"code/old.py": "mine"}).state == "waiting"
    done = resumed(parted, {"data": "both"})
    assert done.state == "merged"
    assert (parted.root / "code/fit.py").read_text().startswith("a = 10")
    assert not (parted.root / "code/old.py").exists()
    assert (parted.root / "code/new.py").read_text() == "new\n"
    assert (parted.root / "data/wear.csv").read_text() == "age,wear\n20,0.6\n"
    assert (parted.root / "data/wear.from-aside.csv").read_text() == "age,wear\n20,0.5\n"
    assert done.record is not None
    assert done.record.record.detail("choice") == {
        "code/fit.py": "theirs",
        "code/old.py": "mine",
        "data/wear.csv": "both",
    }
    clean(parted)
    parted.annex("fsck", "--quiet")


def test_a_file_is_merged_by_hand(parted: Scene) -> None:
    """It holds both versions; it is not saved by mistake; it goes where the rules say."""
    assert merging(parted, "aside", {".": "hand", "code/old.py": "theirs"}).state == "waiting"
    both = (parted.root / "data/wear.csv").read_text()
    assert "20,0.6" in both
    assert "20,0.5" in both
    with pytest.raises(Conflict, match="being merged by hand"):
        parted.save()
    with pytest.raises(Conflict, match="still holds both"):
        resumed(parted, {}, done=True)
    parted.write("code/else.py", "work goes on\n")
    parted.write("code/fit.py", "a = 12\n")
    parted.write("data/wear.csv", "age,wear\n20,0.55\n")
    assert resumed(parted, {}, done=True).state == "merged"
    assert (parted.root / "code/fit.py").read_text() == "a = 12\n"
    assert (parted.root / "data/wear.csv").is_symlink()
    assert (parted.root / "data/wear.csv").read_text() == "age,wear\n20,0.55\n"
    assert (parted.root / "code/old.py").read_text() == "old, but better\n"
    assert "work goes on" in parted.git("show", "HEAD:code/else.py")
    clean(parted)


def test_a_merge_is_left_and_nothing_is_lost(parted: Scene) -> None:
    """What was edited by hand is kept aside."""
    head = parted.git("rev-parse", "HEAD")
    merged(parted, "aside", code__fit_py="hand")
    parted.write("code/fit.py", "half done\n")
    with pytest.raises(Conflict, match="is not done"):
        merged(parted, "elsewhere")
    done = left(parted)
    assert done.aside is not None
    assert (done.aside / "code/fit.py").read_text() == "half done\n"
    assert (parted.root / "code/fit.py").read_text().startswith("a = 11")
    assert parted.git("rev-parse", "HEAD") == head
    clean(parted)
    with pytest.raises(NotFound):
        left(parted)


def test_answers_hold_for_the_versions_they_were_given_for(parted: Scene) -> None:
    """Whoever changes a file after choosing is asked again."""
    merged(parted, "aside", code__fit_py="mine")
    parted.write("code/fit.py", "a = 111\nb = 2\n\n\n\nc = 3\n")
    done = resumed(parted, {"data": "mine", "code/old.py": "mine"})
    assert [each.path for each in done.conflicts] == ["code/fit.py"]
    assert resumed(parted, {".": "mine"}).state == "merged"


def test_a_file_against_a_folder(scene: Scene) -> None:
    """The folder keeps the name, if both are wanted."""
    scene.write("code/x.py", "x")
    scene.save()
    on(scene, "file")
    scene.write("notes", "a file\n")
    scene.save()
    on(scene, "main")
    scene.write("notes/one.md", "in a folder\n")
    scene.save()
    (told,) = merged(scene, "file").conflicts
    assert (told.path, told.ways) == ("notes", ("mine", "theirs", "both"))
    assert resumed(scene, {"notes": "both"}).state == "merged"
    assert (scene.root / "notes/one.md").read_text() == "in a folder\n"
    assert (scene.root / "notes.from-file").read_text() == "a file\n"
    clean(scene)


def test_a_file_that_was_renamed_goes_on_under_its_new_name(scene: Scene) -> None:
    """One side renames, the other edits."""
    text = "".join(f"line {i}\n" for i in range(30))
    scene.write("code/old.py", text)
    scene.save()
    on(scene, "aside")
    scene.write("code/old.py", text + "more\n")
    scene.save()
    on(scene, "main")
    (scene.root / "code/old.py").rename(scene.root / "code/new.py")
    assert merged(scene, "aside").state == "merged"
    assert (scene.root / "code/new.py").read_text().endswith("more\n")
    assert not (scene.root / "code/old.py").exists()
    clean(scene)


def test_a_file_that_got_two_new_names_keeps_both_if_both_are_wanted(scene: Scene) -> None:
    """Each name is asked about by itself; what was edited under either goes on."""
    text = "".join(f"line {i}\n" for i in range(30))
    scene.write("code/old.py", text)
    scene.save()
    on(scene, "aside")
    (scene.root / "code/old.py").rename(scene.root / "code/theirs.py")
    scene.save()
    on(scene, "main")
    (scene.root / "code/old.py").rename(scene.root / "code/mine.py")
    scene.write("code/mine.py", text + "more\n")
    told = merged(scene, "aside").conflicts
    assert [each.path for each in told] == ["code/mine.py", "code/theirs.py"]
    assert resumed(scene, {".": "both"}).state == "merged"
    assert (scene.root / "code/mine.py").read_text().endswith("more\n")
    assert (scene.root / "code/theirs.py").exists()
    assert not (scene.root / "code/old.py").exists()
    clean(scene)


def test_what_cannot_be_merged_is_refused(parted: Scene) -> None:
    """No branch, no conflict, no text; a name that elsewhere is another's."""
    for name in ("nowhere", "git-annex"):
        with pytest.raises(NotFound, match="no branch"):
            merged(parted, name)
    with pytest.raises(NotFound, match="no conflict at"):
        merged(parted, "aside", code__new_py="mine")
    with pytest.raises(Refused, match="by hand"):
        merged(parted, "aside", code__old_py="hand")
    on(parted, "hostile")
    parted.write("code/Old.py", "of such a name there is one on the other branch\n")
    parted.save()
    on(parted, "aside")
    with pytest.raises(Refused, match="cannot tell its name"):
        merging(parted, "hostile", {".": "mine"})
    assert parted.git("status", "--porcelain") == ""


def test_records_that_the_other_side_removed_stay(scene: Scene) -> None:
    """Nothing removes a record, whatever a branch says."""
    scene.write("code/a.py", "1")
    first = scene.save().records[0]
    on(scene, "hostile")
    scene.git("rm", "-q", f"activity/{first.name}")
    scene.git("commit", "-qm", "without a record")
    scene.git("checkout", "-q", "main")
    assert merged(scene, "hostile").state == "merged"
    assert (scene.root / f"activity/{first.name}").exists()
    assert scene.git("status", "--porcelain") == ""
