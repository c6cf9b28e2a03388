"""Contents come and go with a sync, if that is wanted, and if the rules let them."""

from __future__ import annotations

from tests.project.syncing.conftest import Pair, synced

from branchline.project.activity.feed import feed
from branchline.project.activity.verify import verify


def test_contents_come_and_go_from_then_on(pair: Pair) -> None:
    """Asked for once; what was sent and brought is on record; then it is quiet again."""
    pair.mira.write("data/scan.bin", bytes(2 << 20))
    done = synced(pair.mira, content=True)
    assert done.exchanged is not None
    assert {"data/scan.bin", "data/wear.csv"} <= set(done.exchanged.sent)
    assert done.exchanged.failed == []
    sent = [s.record for s in feed(pair.mira.project, kind="data") if s.record.action == "send"]
    assert {each["to"] for each in sent[0].detail("location")} == {"origin"}
    assert not (pair.jo.root / "data/wear.csv").exists()
    assert synced(pair.jo).exchanged is None
    done = synced(pair.jo, content=True)
    assert done.exchanged is not None
    assert {"data/scan.bin", "data/wear.csv"} <= set(done.exchanged.brought)
    assert (pair.jo.root / "data/scan.bin").read_bytes() == bytes(2 << 20)
    pair.jo.write("data/jo.csv", "his\n")
    done = synced(pair.jo)
    assert done.exchanged is not None
    assert done.exchanged.sent == ["data/jo.csv"]
    for scene in (pair.mira, pair.jo, pair.mira, pair.jo):
        done = synced(scene)
    assert done.exchanged is not None
    assert (done.brought, list(done.exchanged.brought), list(done.exchanged.sent)) == (0, [], [])
    assert (pair.mira.root / "data/jo.csv").read_text() == "his\n"
    for scene in (pair.mira, pair.jo):
        assert verify(scene.project).faults == []
        scene.annex("fsck", "--quiet")
    assert synced(pair.jo, content=False).exchanged is None


def test_rules_keep_contents_where_they_are(pair: Pair) -> None:
    """They are named; all others go."""
    text = (pair.mira.root / "branchline.toml").read_text()
    place = '[places.north]\naddress = "https://north.example.org"\n'
    rule = '[[data]]\npaths = ["data/inner"]\nconfidentiality = "internal"\n'
    pair.mira.write("branchline.toml", f"{text}\n{place}\n{rule}allowed = ['north']\n")
    pair.mira.write("data/inner/a.csv", "inner\n")
    done = synced(pair.mira, content=True)
    assert done.exchanged is not None
    assert list(done.exchanged.held) == ["data/inner/a.csv"]
    assert "data/wear.csv" in done.exchanged.sent
    assert "data/inner/a.csv" not in done.exchanged.sent
