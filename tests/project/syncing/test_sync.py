"""Two clones work apart and sync: all that either did arrives, or a person is asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.project.conftest import Scene, quiet, run
from tests.project.syncing.conftest import Pair, bare, synced

from branchline.foundation.errors import Conflict, NotAllowed, NotFound, Refused, Unavailable
from branchline.foundation.keys import Identity
from branchline.project.activity.feed import feed
from branchline.project.activity.verify import verify
from branchline.project.branching import branches
from branchline.project.cloning import clone
from branchline.project.syncing import remotes


def head(folder: Path, name: str = "HEAD") -> str:
    """Return a commit."""
    return run(folder, "git", "rev-parse", name).strip()


def same(pair: Pair) -> None:
    """Hold both clones and what lies between to the same commit, whole and verified."""
    assert head(pair.mira.root) == head(pair.jo.root) == head(pair.between, "main")
    for scene in (pair.mira, pair.jo):
        assert scene.git("status", "--porcelain") == ""
        assert verify(scene.project).faults == []


def test_what_one_did_reaches_the_other_and_then_it_is_quiet(pair: Pair) -> None:
    """Unsaved work goes, too; records of syncs do not go round for ever."""
    pair.mira.write("code/new.py", "not saved yet\n")
    done = synced(pair.mira)
    assert done.saved
    assert done.record is not None
    assert done.record.record.type == "sync"
    assert synced(pair.jo).brought
    assert (pair.jo.root / "code/new.py").read_text() == "not saved yet\n"
    for scene in (pair.mira, pair.jo, pair.mira, pair.jo):
        synced(scene)
    same(pair)
    before = head(pair.between, "main")
    assert [synced(s).brought for s in (pair.mira, pair.jo)] == [0, 0]
    assert head(pair.between, "main") == before


def test_both_worked_and_all_of_it_goes_together(pair: Pair) -> None:
    """Also what git-annex knows: where whose data are."""
    pair.mira.write("code/fit.py", "a = 10\nb = 2\nc = 3\n")
    pair.mira.write("data/mira.csv", "hers\n")
    pair.jo.write("code/fit.py", "a = 1\nb = 2\nc = 30\n")
    pair.jo.write("data/jo.csv", "his\n")
    synced(pair.mira)
    done = synced(pair.jo)
    assert done.merge is not None
    assert done.merge.state == "merged"
    synced(pair.mira)
    assert (pair.mira.root / "code/fit.py").read_text() == "a = 10\nb = 2\nc = 30\n"
    told = json.loads(pair.mira.annex("whereis", "--json", "data/jo.csv"))
    assert [each["uuid"] for each in told["whereis"]] == [pair.jo.project.annex.uuid]
    synced(pair.jo)
    same(pair)


def test_two_that_did_the_same_thing_agree(pair: Pair) -> None:
    """The same file, the same data: no conflict, and both records are kept."""
    for scene in (pair.mira, pair.jo):
        scene.write("code/fit.py", "the same\n")
        scene.write("data/same.csv", "the same\n")
    assert synced(pair.mira).state == "synced"
    assert synced(pair.jo).state == "synced"
    synced(pair.mira)
    synced(pair.jo)
    same(pair)


def test_a_conflict_stops_before_anything_is_sent_and_the_next_sync_goes_on(pair: Pair) -> None:
    """Nothing changes, here or there, until there is an answer."""
    pair.mira.write("code/fit.py", "hers\n")
    pair.jo.write("code/fit.py", "his\n")
    synced(pair.mira)
    there = head(pair.between, "main")
    done = synced(pair.jo)
    assert done.state == "waiting"
    assert done.merge is not None
    assert [each.path for each in done.merge.conflicts] == ["code/fit.py"]
    assert (pair.jo.root / "code/fit.py").read_text() == "his\n"
    assert pair.jo.git("status", "--porcelain") == ""
    assert synced(pair.jo).state == "waiting"
    # Others go on in the meantime.
    pair.mira.write("code/more.py", "more\n")
    there = synced(pair.mira).commit or there
    done = synced(pair.jo, wanted={"code/fit.py": "both"})
    assert done.state == "synced"
    assert head(pair.between, "main") == head(pair.jo.root)
    assert (pair.jo.root / "code/fit.from-origin-main.py").read_text() == "hers\n"
    assert (pair.jo.root / "code/more.py").exists()
    synced(pair.mira)
    synced(pair.jo)
    same(pair)


def test_history_that_others_rewrote_is_told_and_nothing_changes(pair: Pair) -> None:
    """What was seen is kept; it is on record once; one may merge all the same."""
    seen = head(pair.between, "main")
    run(pair.jo.root, "git", "reset", "-q", "--hard", "HEAD~1")
    pair.jo.write("code/other.py", "in place of what was there\n")
    run(pair.jo.root, "git", "add", ".")
    run(pair.jo.root, "git", "commit", "-qm", "another history")
    run(pair.jo.root, "git", "push", "-q", "--force", "--no-verify", "origin", "main")
    forced = head(pair.between, "main")
    pair.mira.write("code/mine.py", "mine\n")
    done = synced(pair.mira)
    assert done.state == "rewritten"
    assert done.rewritten is not None
    assert (done.rewritten.before, done.rewritten.after) == (seen, forced)
    assert done.record is not None
    assert done.record.record.outcome == "failed"
    assert done.record.record.detail("alarm")["before"] == seen
    assert head(pair.between, "main") == forced
    assert (pair.mira.root / "code/mine.py").read_text() == "mine\n"
    assert not (pair.mira.root / "code/other.py").exists()
    assert synced(pair.mira).record is None
    assert synced(pair.mira, accept=True).state == "synced"
    assert (pair.mira.root / "code/other.py").exists()
    assert (pair.mira.root / "code/mine.py").exists()
    assert seen in pair.mira.git("rev-list", "main")
    assert forced in run(pair.between, "git", "rev-list", "main")
    assert verify(pair.mira.project).faults == []


def test_a_folder_in_which_somebody_works_gets_it_with_his_next_sync(
    scene: Scene, tmp_path: Path
) -> None:
    """Two clones side by side, nothing between them."""
    clone(str(scene.root), tmp_path / "again", quiet)
    again = Scene(tmp_path / "again", Identity.create())
    again.write("code/b.py", "from the other\n")
    scene.write("code/a.py", "from here\n")
    scene.save()
    assert synced(again).state == "synced"
    assert not (scene.root / "code/b.py").exists()
    assert synced(scene, str(again.root)).state == "synced"
    assert (scene.root / "code/b.py").read_text() == "from the other\n"
    assert (again.root / "code/a.py").read_text() == "from here\n"
    assert branches(scene.project) == ["main"]
    assert verify(scene.project).faults == []


def test_what_cannot_be_reached_is_said_in_a_sentence(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone, never there, another project, no network; work is saved all the same."""
    pair.mira.write("code/x.py", "saved\n")
    shutil.move(pair.between, tmp_path / "moved.git")
    with pytest.raises(NotFound, match="no repository at origin any more"):
        synced(pair.mira)
    assert pair.mira.git("status", "--porcelain") == ""
    shutil.move(tmp_path / "moved.git", pair.between)
    with pytest.raises(NotFound, match="no remote 'elsewhere'; known: origin"):
        synced(pair.mira, "elsewhere")
    with pytest.raises(Refused, match="not spoken here"):
        synced(pair.mira, "gopher://example.org/wear")
    other = Scene(tmp_path / "other", pair.mira.identity)
    from branchline.project.beginning import begin

    begin(other.root, other.identity, quiet)
    with pytest.raises(Refused, match="not this project"):
        synced(pair.mira, str(other.root))
    with pytest.raises(Unavailable, match="failed or broke"):
        synced(pair.mira, "http://127.0.0.1:9/wear.git")
    assert synced(pair.mira, "origin").state == "synced"
    monkeypatch.chdir(tmp_path)


def test_an_empty_repository_gets_everything(scene: Scene, tmp_path: Path) -> None:
    """Branches, and what git-annex knows."""
    scene.write("data/a.csv", "a\n")
    place = bare(tmp_path / "empty.git")
    done = synced(scene, str(place))
    assert (done.state, done.remote) == ("synced", "origin")
    assert head(place, "main") == head(scene.root)
    assert head(place, "git-annex") == head(scene.root, "git-annex")
    assert feed(scene.project)[-1].record.type == "sync"


def test_a_race_for_the_last_word_is_run_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sends between our fetch and our push."""
    pair.mira.write("code/m.py", "m\n")
    pair.jo.write("code/j.py", "j\n")
    real = remotes.fetch
    raced: list[bool] = []

    def late(project, remote, progress):  # type: ignore[no-untyped-def]
        found = real(project, remote, progress)
        if not raced:
            raced.append(True)
            synced(pair.jo)
        return found

    with monkeypatch.context() as patch:
        patch.setattr("branchline.project.syncing.sync.fetch", late)
        assert synced(pair.mira).state == "synced"
    assert (pair.mira.root / "code/j.py").exists()
    for scene in (pair.jo, pair.mira, pair.jo):
        synced(scene)
    same(pair)


def test_a_repository_that_refuses_says_why(pair: Pair) -> None:
    """Its own words reach the person."""
    hook = pair.between / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'Only on Sundays.' >&2\nexit 1\n")
    hook.chmod(0o755)
    pair.mira.write("code/m.py", "m\n")
    with pytest.raises(Refused, match="origin refused: Only on Sundays"):
        synced(pair.mira)
    hook.unlink()
    assert synced(pair.mira).state == "synced"


def test_rules_keep_data_here(pair: Pair) -> None:
    """What git itself keeps, and a rule keeps here, is not sent."""
    text = (pair.mira.root / "branchline.toml").read_text()
    place = '\n[places.north]\naddress = "https://north.example.org"\n'
    rule = '[[data]]\npaths = ["code/patients.csv"]\nconfidentiality = "internal"\n'
    pair.mira.write("code/patients.csv", "in git\n")
    pair.mira.git("add", "code/patients.csv")
    pair.mira.git("commit", "-qm", "by hand")
    pair.mira.write("branchline.toml", f"{text}{place}{rule}allowed = ['north']\n")
    there = head(pair.between, "main")
    with pytest.raises(NotAllowed, match=r"patients\.csv"):
        synced(pair.mira)
    assert head(pair.between, "main") == there


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("core.sshCommand", "sh -c 'touch ran'"),
        ("credential.helper", "!touch ran"),
        ("remote.origin.annex-ssh-options", "-oProxyCommand=touch"),
    ],
)
def test_a_repository_cannot_name_what_reaches_others(pair: Pair, name: str, value: str) -> None:
    """A person's own settings may; those that lie in the project may not."""
    pair.mira.git("config", name, value)
    with pytest.raises(Refused, match=name.rpartition(".")[2].lower()):
        synced(pair.mira)
    assert not (pair.mira.root / "ran").exists()


def test_another_merge_comes_first(pair: Pair) -> None:
    """What waits for an answer is not mixed up with what a sync brings."""
    from tests.project.merging.conftest import merged, on

    on(pair.mira, "aside")
    pair.mira.write("code/fit.py", "aside\n")
    on(pair.mira, "main")
    pair.mira.write("code/fit.py", "main\n")
    assert merged(pair.mira, "aside").state == "waiting"
    with pytest.raises(Conflict, match="merge of aside is not done"):
        synced(pair.mira)
