"""Page by page, the activity is what reading everything would show."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.project.conftest import Scene
from tests.project.test_feed import STEPS, by_reading_all, write

from branchline.foundation.errors import NotFound, Refused
from branchline.project.activity.feed import read_all
from branchline.project.activity.timeline import Timeline


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from(["", "note", "data"]), st.integers(1, 8))
def test_pages_together_show_all(
    scene: Scene, steps: list[tuple[int, int, str]], kind: str, most: int
) -> None:
    """Over several clones, months and marks, each record once and newest first."""
    write(scene, steps)
    timeline, shown, before = Timeline(scene.project), list[str](), ""
    while True:
        turned = timeline.page(before=before, kinds=(kind,) if kind else (), most=most)
        assert len(turned.records) <= most
        shown += [signed.digest for signed in turned.records]
        before = turned.older
        if not before:
            break
    assert shown == list(by_reading_all(scene, kind, 100))[::-1]
    everything = timeline.page(hidden=True, most=100).records
    assert [s.digest for s in everything] == [s.digest for s in read_all(scene.project)][::-1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, STEPS)
def test_what_is_new_is_what_came_since(
    scene: Scene, first: list[tuple[int, int, str]], more: list[tuple[int, int, str]]
) -> None:
    """By the same timeline, which has seen the first ones: it reads what came, and nothing is stale."""
    write(scene, first)
    timeline = Timeline(scene.project)
    before = timeline.page(hidden=True, most=100)
    write(scene, [*first, *more])
    since = timeline.page(after=before.newest, hidden=True, most=100).records
    known = {signed.digest for signed in before.records}
    expected = [s.digest for s in read_all(scene.project) if s.digest not in known]
    assert [signed.digest for signed in since] == expected[::-1]


def test_what_was_away_is_shown_again(scene: Scene) -> None:
    """A record that could not be read for a moment, as when another branch is laid out."""
    write(scene, [(0, 1, "note"), (0, 1, "note")])
    timeline = Timeline(scene.project)
    file = max((scene.root / "activity").glob("clone-*/*/*.json"))
    whole = file.read_bytes()
    file.write_bytes(b"")
    assert len(timeline.page().records) == 1
    file.write_bytes(whole)
    assert len(timeline.page().records) == 2


def test_what_is_no_place_or_record_is_refused(scene: Scene) -> None:
    """A cursor from elsewhere, a name that leads out."""
    timeline = Timeline(scene.project)
    with pytest.raises(Refused, match="no place in the activity"):
        timeline.page(before="../x")
    for name in ("../../etc/passwd", "clone-a/x.json", ""):
        with pytest.raises(NotFound):
            timeline.read(name)
