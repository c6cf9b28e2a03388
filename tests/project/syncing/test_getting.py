"""Contents come from where they are, on record; where there are none any more, the places are named."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from tests.project.conftest import Scene, quiet
from tests.project.syncing.conftest import Pair, synced

from branchline.foundation.errors import NotAllowed, NotFound
from branchline.project.activity.feed import feed
from branchline.project.activity.verify import verify
from branchline.project.runs.places import Place
from branchline.project.runs.run import Order, run
from branchline.project.syncing.getting import Got, get


def got(scene: Scene, *paths: str, remote: str = "") -> Got:
    """Bring contents."""
    with scene.project.working() as project:
        return get(project, scene.identity, paths, quiet, remote=remote)


@pytest.fixture
def apart(pair: Pair) -> Pair:
    """Mira has data; Jo has links, and knows Mira's folder."""
    pair.mira.write("data/big.bin", bytes(3 << 20))
    pair.mira.write("data/same.csv", "age,wear\n20,0.4\n")
    synced(pair.mira)
    synced(pair.jo)
    pair.jo.git("remote", "add", "mira", str(pair.mira.root))
    pair.jo.git("fetch", "-q", "mira")
    return pair


def test_what_is_missing_comes_and_goes_on_record(apart: Pair) -> None:
    """From where; the same content at two paths is told of twice; nothing twice over."""
    said: list[str] = []
    with apart.jo.project.working() as project:
        done = get(project, apart.jo.identity, ["data"], said.append)
    assert {each.path for each in done.arrived} == {
        "data/big.bin",
        "data/same.csv",
        "data/wear.csv",
    }
    assert {each.remote for each in done.arrived} <= {"mira", ""}
    assert any("%" in each for each in said)
    assert (apart.jo.root / "data/big.bin").read_bytes() == bytes(3 << 20)
    record = feed(apart.jo.project)[-1].record
    assert (record.type, record.action, record.outcome) == ("data", "get", "done")
    assert {each["path"] for each in record.detail("location")} >= {"data/big.bin"}
    again = got(apart.jo, "data")
    assert (len(again.arrived), again.record) == (0, None)
    assert verify(apart.jo.project).faults == []


def test_what_is_nowhere_names_the_places(apart: Pair) -> None:
    """Those that say they have it, and those that once had it."""
    apart.mira.annex("drop", "--force", "--quiet", "data/big.bin")
    apart.mira.annex("describe", "here", "Mira's laptop")
    synced(apart.mira)
    synced(apart.jo)
    (failed,) = got(apart.jo, "data/big.bin").failed
    assert "is nowhere any more; it was once at Mira's laptop (until 20" in failed.why
    shutil.move(apart.mira.root, apart.mira.root.with_name("away"))
    (failed,) = got(apart.jo, "data/wear.csv").failed
    assert "said to be at Mira's laptop, which was not reached" in failed.why
    assert feed(apart.jo.project)[-1].record.outcome == "failed"
    with pytest.raises(NotFound, match="keeps nothing at"):
        got(apart.jo, "code")
    with pytest.raises(NotFound, match="no remote"):
        got(apart.jo, "data/wear.csv", remote="elsewhere")


def test_rules_hold_for_what_comes_in(apart: Pair) -> None:
    """A clone that may not have it does not ask for it."""
    text = (apart.jo.root / "branchline.toml").read_text()
    rule = '[places.north]\naddress = "https://north.example.org"\n\n[[data]]\npaths = ["data"]\n'
    more = 'confidentiality = "internal"\nallowed = ["north"]\n'
    apart.jo.write("branchline.toml", f"{text}\n{rule}{more}")
    with pytest.raises(NotAllowed, match="may not come into this clone"):
        got(apart.jo, "data/wear.csv")


def test_a_run_brings_its_inputs(apart: Pair, tmp_path: Path) -> None:
    """And names the places where it cannot."""
    words = (sys.executable, "-c", "print(open('data/wear.csv').read())")
    order = Order(words, inputs=("data/wear.csv",))
    ran = run(apart.jo.root, apart.jo.identity, order, Place(None), quiet, (None, None))
    assert ran.outcome == "done"
    kinds = [signed.record.action for signed in feed(apart.jo.project)[-2:]]
    assert kinds == ["get", "run"]
    shutil.move(apart.mira.root, tmp_path / "away")
    with pytest.raises(NotFound, match="which was not reached"):
        run(
            apart.jo.root,
            apart.jo.identity,
            Order(words, inputs=("data/big.bin",)),
            Place(None),
            quiet,
            (None, None),
        )
