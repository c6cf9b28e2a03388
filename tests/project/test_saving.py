"""Files come in, are committed and put on record; git and git-annex then say the same as we do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.project.conftest import Scene, quiet, run

from branchline.foundation.digest import digest_of
from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.files import value_of
from branchline.project.activity.verify import verify
from branchline.project.adding import add
from branchline.project.beginning import begin
from branchline.project.differing import changes_of
from branchline.project.git import reading
from branchline.project.place import Project


def test_a_new_project_is_saved_and_readable_with_git(scene: Scene) -> None:
    """Everything that was written is committed, and says what it is for."""
    assert scene.git("status", "--porcelain") == ""
    tracked = scene.git("ls-files").split()
    assert {"branchline.toml", "code/README.md", "data/README.md"} <= set(tracked)
    assert scene.project.described.name == "project"
    assert not verify(scene.project).faults


def test_data_go_to_the_annex_and_code_to_git(scene: Scene) -> None:
    """And git-annex itself finds nothing wrong, and knows where each content is."""
    for i in range(40):
        scene.write(f"data/sub/{i}.csv", f"row {i // 2}\n")
    scene.write("code/fit.py", "print(1)\n")
    scene.write("code/model.bin", bytes(2 << 20))
    saved = scene.save("first data")
    content = {entry.path: entry.content for entry in saved.entries}
    assert content["data/sub/3.csv"] == digest_of(b"row 1\n")
    assert content["code/model.bin"] == digest_of(bytes(2 << 20))
    assert (content["code/fit.py"] or "").startswith("git:")
    assert scene.git("status", "--porcelain") == ""
    scene.annex("fsck", "--quiet")
    uuid = scene.project.annex.uuid
    told = [json.loads(line) for line in scene.annex("whereis", "--json").splitlines()]
    data = [each for each in told if each["file"].startswith(("data/", "code/"))]
    assert len(data) == 41
    assert all([w["uuid"] for w in each["whereis"]] == [uuid] for each in data)
    assert (scene.root / "data/sub/3.csv").read_text() == "row 1\n"


def test_many_files_of_few_contents_come_in_at_once(scene: Scene) -> None:
    """Several are taken in at a time; of one content there is one copy, whole."""
    for i in range(900):
        scene.write(f"data/{i % 7}/{i}.csv", f"content {i % 3}\n" * 50)
    saved = scene.save()
    assert len(saved.entries) == 900
    assert len({entry.content for entry in saved.entries}) == 3
    places = {(scene.root / f"data/{i % 7}/{i}.csv").resolve() for i in range(900)}
    assert len(places) == 3
    assert {place.read_text() for place in places} == {f"content {i}\n" * 50 for i in range(3)}
    assert scene.git("status", "--porcelain") == ""
    assert not [path for path in (scene.root / "data").rglob("*") if path.name.endswith(".tmp")]
    scene.annex("fsck", "--quiet", "--fast")


@pytest.mark.parametrize("large", [4 << 20, 1])
def test_one_file_that_cannot_be_read_stops_the_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    """What came in before it is in; nothing is lost; the next save takes all."""
    for i in range(500):
        scene.write(f"data/{i}.csv", f"{i}\n")
    real = reading.read_file

    def fails(file: str, path: str, secret: None, *, durable: bool) -> reading.Read:
        if path == "data/250.csv":
            raise PermissionError(13, "Permission denied", file)
        return real(file, path, secret, durable=durable)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "read_file", fails)
        patch.setattr(reading, "LARGE", large)
        with pytest.raises(PermissionError):
            scene.save()
    for i in range(500):
        assert (scene.root / f"data/{i}.csv").read_text() == f"{i}\n"
    assert len(scene.save().entries) == 500
    scene.annex("fsck", "--quiet", "--fast")


def test_what_git_annex_dropped_comes_back_on_record(scene: Scene) -> None:
    """The location told last counts, also within the same second."""
    scene.write("data/a", "kept elsewhere")
    scene.save()
    scene.annex("drop", "--force", "data/a")
    scene.write("data/b", "kept elsewhere")
    scene.save()
    assert str(scene.project.annex.uuid) in scene.annex("whereis", "--json", "data/a")
    scene.annex("fsck", "--quiet")


def test_the_annex_as_git_annex_left_it_is_carried_on(scene: Scene) -> None:
    """What git-annex has in its journal, not committed yet, is not lost."""
    scene.write("data/x", "x" * 100)
    scene.save()
    run(scene.root, "git", "config", "annex.alwayscommit", "false")
    scene.annex("metadata", "-q", "-s", "reviewed=yes", "data/x")
    scene.write("data/y", "y" * 100)
    scene.save()
    run(scene.root, "git", "config", "annex.alwayscommit", "true")
    assert "reviewed=yes" in scene.annex("metadata", "data/x")
    scene.annex("fsck", "--quiet")


def test_the_record_of_a_save_says_what_changed(scene: Scene) -> None:
    """Code and data have a record each; a long list is a blob beside it."""
    scene.write("code/a.py", "1")
    for i in range(300):
        scene.write(f"data/{i}", f"{i}")
    saved = scene.save("why")
    kinds = {signed.record.type: signed.record for signed in saved.records}
    assert set(kinds) == {"code", "data"}
    assert kinds["data"].action == "add"
    assert kinds["data"].message == "why"
    listed = value_of(scene.project, kinds["data"], "manifest")
    assert len(listed) == 300
    assert {"path": "data/7", "change": "new", "content": digest_of(b"7"), "size": 1} in listed
    assert kinds["data"].by.name == "Mira"
    assert not verify(scene.project).faults


def test_changes_and_removals_are_saved(scene: Scene) -> None:
    """A changed data file is a new content; a removed one is gone from the project only."""
    scene.write("data/a", "one")
    scene.write("data/b", "two")
    scene.write("code/c", "three")
    scene.save()
    scene.write("data/a", "another")
    (scene.root / "data/b").unlink()
    (scene.root / "code/c").unlink()
    saved = scene.save()
    assert {e.path: e.change for e in saved.entries} == {
        "data/a": "changed",
        "data/b": "removed",
        "code/c": "removed",
    }
    assert scene.save().commit is None
    scene.annex("fsck", "--quiet")


def test_a_file_becomes_a_folder_and_back(scene: Scene) -> None:
    """Git's index holds no path beside one below it."""
    scene.write("data/a", "file")
    scene.save()
    (scene.root / "data/a").unlink()
    scene.write("data/a/b", "in a folder")
    scene.save()
    assert scene.git("ls-files", "data/a").split() == ["data/a/b"]
    (scene.root / "data/a/b").unlink()
    (scene.root / "data/a").rmdir()
    scene.write("data/a", "file again")
    scene.save()
    assert scene.git("ls-files", "data/a").split() == ["data/a"]
    assert scene.git("status", "--porcelain") == ""


def test_only_what_is_named_is_saved(scene: Scene) -> None:
    """What else changed waits; names are names, not patterns."""
    scene.write("code/a.py", "1")
    scene.write("code/*.py", "not kept on Windows")
    (scene.root / "code/*.py").unlink()
    scene.write("code/b.py", "2")
    saved = scene.save("", "code/a.py")
    assert [e.path for e in saved.entries] == ["code/a.py"]
    assert [c.path for c in changes_of(scene.project)] == ["code/b.py"]


def test_added_files_are_kept_by_the_next_save(scene: Scene) -> None:
    """Adding takes content in; saving commits it and puts it on record."""
    scene.write("data/a", "content")
    with scene.project.working() as project:
        add(project, ["data"], quiet)
    assert (scene.root / "data/a").is_symlink()
    saved = scene.save()
    assert [e.path for e in saved.entries] == ["data/a"]


def test_bad_names_stop_everything_before_anything_is_taken_in(scene: Scene) -> None:
    """The good ones beside them are still there as they were."""
    scene.write("data/good", "1")
    scene.write("data/aux.csv", "2")
    with pytest.raises(Refused, match="reserved on Windows"):
        scene.save()
    assert not (scene.root / "data/good").is_symlink()
    (scene.root / "data/aux.csv").unlink()
    assert [e.path for e in scene.save().entries] == ["data/good"]


def test_what_is_no_file_is_refused(scene: Scene) -> None:
    """A repository inside, or a link that leads out."""
    run(scene.root, "git", "init", "-q", "code/inner")
    scene.write("code/inner/x", "1")
    run(scene.root / "code/inner", "git", "add", "x")
    run(scene.root / "code/inner", "git", "commit", "-qm", "x")
    with pytest.raises(Refused, match="repository of its own"):
        scene.save()
    run(scene.root, "rm", "-rf", "code/inner")
    os.symlink("/etc/passwd", scene.root / "data/users")
    with pytest.raises(Refused, match="leads out of the project"):
        scene.save()


def test_a_file_that_changes_while_it_is_read_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays what it is, writable, with all that was written; the next save takes it."""
    file = scene.write("data/growing", "one\n")
    real = os.link

    def grow(path: str, place: str, *, follow_symlinks: bool) -> None:
        real(path, place, follow_symlinks=follow_symlinks)
        with file.open("a") as more:
            more.write("two\n")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", grow)
        with pytest.raises(Conflict, match="changed while it was read"):
            scene.save()
    assert file.read_text() == "one\ntwo\n"
    assert file.stat().st_mode & 0o200
    assert scene.save().entries[0].content == digest_of(b"one\ntwo\n")
    scene.annex("fsck", "--quiet")


@pytest.mark.parametrize("count", [1, 20])
def test_a_file_with_another_name_elsewhere_stays_writable_there(
    scene: Scene, tmp_path: Path, count: int
) -> None:
    """Its content is copied; few files and many are made durable in ways of their own."""
    elsewhere = [tmp_path / f"{i}.csv" for i in range(count)]
    (scene.root / "data").mkdir(exist_ok=True)
    for i, file in enumerate(elsewhere):
        file.write_text(f"row {i}\n")
        os.link(file, scene.root / f"data/{i}.csv")
    assert len(scene.save().entries) == count
    for i, file in enumerate(elsewhere):
        assert file.stat().st_mode & 0o200
        file.write_text("changed by whoever has it, too")
        assert (scene.root / f"data/{i}.csv").is_symlink()
        assert (scene.root / f"data/{i}.csv").read_text() == f"row {i}\n"
        assert not (scene.root / f"data/{i}.csv").stat().st_mode & 0o222
    scene.annex("fsck", "--quiet")


def test_large_files_that_are_read_ahead_come_in_as_all_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their order among small ones."""
    monkeypatch.setattr(reading, "LARGE", 100)
    for i in range(40):
        scene.write(f"data/{i:02}.bin", bytes([i]) * (5 if i % 3 else 500))
    content = {entry.path: entry.content for entry in scene.save().entries}
    for i in range(40):
        assert content[f"data/{i:02}.bin"] == digest_of(bytes([i]) * (5 if i % 3 else 500))
        assert (scene.root / f"data/{i:02}.bin").read_bytes() == bytes([i]) * (5 if i % 3 else 500)
    scene.annex("fsck", "--quiet")


def test_many_small_files_of_code_are_one_pack(scene: Scene) -> None:
    """Git keeps of each what it would have kept by itself, whatever it makes of it."""
    scene.write(".gitattributes", "*.txt text\n*.raw -text\n* annex.largefiles=nothing\n")
    texts = {f"code/{i}.py": f"print({i})\n".encode() for i in range(250)}
    texts |= {
        "code/lines.txt": b"one\r\ntwo\r\n",
        "code/lines.raw": b"one\r\ntwo\r\n",
        "code/odd.txt": b"\0one\r\n",
        "code/empty.py": b"",
        "code/large.py": b"#" * (3 << 20),
    }
    for path, text in texts.items():
        scene.write(path, text)
    os.symlink("1.py", scene.root / "code/link.py")
    (scene.root / "code/2.py").chmod(0o755)
    assert len(scene.save().entries) == len(texts) + 2
    for path, text in texts.items():
        stored = scene.git("rev-parse", f"HEAD:{path}").strip()
        assert stored == scene.git("hash-object", f"--path={path}", path).strip()
        assert (scene.root / path).read_bytes() == text
    assert scene.git("ls-files", "-s", "code/link.py").startswith("120000")
    assert scene.git("ls-files", "-s", "code/2.py").startswith("100755")
    counted = dict(line.split(": ") for line in scene.git("count-objects", "-v").splitlines())
    assert int(counted["in-pack"]) > 250
    assert int(counted["count"]) < 100
    assert scene.git("status", "--porcelain") == ""
    scene.git("fsck", "--strict", "--no-dangling")


def test_damaged_content_gives_way_to_good(scene: Scene) -> None:
    """Where the same content comes in again, what lay there is looked at."""
    scene.write("data/a", "good content")
    scene.save()
    place = (scene.root / "data/a").resolve()
    place.chmod(0o644)
    place.write_text("bad  content")
    scene.write("data/b", "good content")
    scene.save()
    assert (scene.root / "data/a").read_text() == "good content"
    scene.annex("fsck", "--quiet")


def test_unlocked_files_stay_what_they_are(scene: Scene) -> None:
    """A file that git-annex unlocked is taken in by git-annex, never by git."""
    scene.write("data/a", "first")
    scene.save()
    scene.annex("unlock", "-q", "data/a")
    (scene.root / "data/a").write_text("second, longer")
    scene.save()
    assert "/annex/objects/" in scene.git("cat-file", "-p", ":data/a")
    assert scene.git("status", "--porcelain") == ""
    scene.annex("fsck", "--quiet")


def test_a_repository_is_adopted_with_its_history(tmp_path: Path, person: Identity) -> None:
    """Commits, files and attributes stay; what is not committed stays as it is."""
    root = tmp_path / "old"
    run(tmp_path, "git", "init", "-q", "old")
    (root / "requirements.txt").write_text("numpy\n")
    (root / ".gitattributes").write_text("*.txt text")
    run(root, "git", "add", ".")
    run(root, "git", "commit", "-qm", "old work")
    before = run(root, "git", "rev-parse", "HEAD").strip()
    (root / "draft.py").write_text("1")
    begun = begin(root, person, quiet)
    assert begun.adopted
    assert begun.found == ["a Binder repository for Python"]
    assert begun.kept == 1
    assert run(root, "git", "rev-list", "HEAD").split()[-1] == before
    assert run(root, "git", "status", "--porcelain") == "?? draft.py\n"
    assert (root / ".gitattributes").read_text().startswith("*.txt text\n")
    with pytest.raises(Conflict, match="a project already"):
        begin(root, person, quiet)


def test_status_loads_little() -> None:
    """People ask it often: no keys, no tables, no database."""
    heavy = ("cryptography", "numpy", "pyarrow", "sqlalchemy", "aiohttp", "rich")
    code = (
        "import sys, branchline.project.differing, branchline.cli.project.status\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_folder_within_a_repository_is_no_project(tmp_path: Path, person: Identity) -> None:
    """Nor is one without any."""
    run(tmp_path, "git", "init", "-q", "old")
    with pytest.raises(Refused, match="within the repository"):
        begin(tmp_path / "old" / "sub", person, quiet)
    with pytest.raises(NotFound, match="not in a project"):
        Project.open(tmp_path)
