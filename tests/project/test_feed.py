"""The feed reads no more than it shows, and shows what reading everything would."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.project.conftest import Scene

from branchline.foundation.ids import new_id
from branchline.project.activity import feed as module
from branchline.project.activity.feed import feed, read_all
from branchline.project.activity.record import By, Record, Signed, sign
from branchline.project.place import Project

CLONES = tuple(new_id("clone") for _ in range(3))
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 2), st.sampled_from(["note", "data", "hide", "show"])
    ),
    max_size=25,
)


def write(scene: Scene, steps: Sequence[tuple[int, int, str]]) -> None:
    """Write records as clones would: times do not go back, marks are of what is there."""
    folder = scene.root / "activity"
    shutil.rmtree(folder, ignore_errors=True)
    made: list[Signed] = []
    last: dict[int, Signed] = {}
    minutes = 0
    for number, (clone, later, what) in enumerate(steps):
        minutes += later * 13_000
        month, rest = divmod(minutes, 40_000)
        before = last.get(clone)
        marks = what in ("hide", "show")
        if marks and not made:
            continue
        record = Record(
            project=scene.project.described.id,
            clone=CLONES[clone],
            seq=0 if before is None else before.record.seq + 1,
            previous=None if before is None else before.digest,
            at=f"2026-{month + 1:02d}-{rest // 1440 + 1:02d}T00:{number:02d}:00.000Z",
            by=By("Mira", scene.identity.public.sign),
            type="data" if what == "data" else "note",
            action=what if marks else ("add" if what == "data" else "create"),
            message=f"{number}",
            about=made[number % len(made)].digest if marks else None,
        )
        last[clone] = signed = sign(record, scene.identity)
        made.append(signed)
        file = folder / signed.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(signed.text)


def by_reading_all(scene: Scene, kind: str, most: int) -> Sequence[str]:
    """Return what the feed has to show."""
    records = read_all(scene.project)
    marks = {
        s.record.about: s.record.action for s in records if s.record.action in ("hide", "show")
    }
    shown = [
        signed.digest
        for signed in records
        if signed.record.action not in ("hide", "show")
        and marks.get(signed.digest) != "hide"
        and (not kind or signed.record.type == kind)
    ]
    return shown[-most:]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from(["", "note", "data"]), st.integers(1, 8))
def test_the_feed_shows_what_reading_all_would(
    scene: Scene, steps: list[tuple[int, int, str]], kind: str, most: int
) -> None:
    """Over several clones, months, and marks."""
    write(scene, steps)
    shown = [signed.digest for signed in feed(scene.project, kind=kind, most=most)]
    assert shown == by_reading_all(scene, kind, most)
    everything = [signed.digest for signed in feed(scene.project, hidden=True, most=100)]
    assert everything == [signed.digest for signed in read_all(scene.project)]


def test_no_more_is_read_than_is_shown(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many records, a screenful, and one more for each clone."""
    write(scene, [(n % 3, 1, "note") for n in range(25)])
    read: list[str] = []
    real = module._read

    def counting(project: Project, name: str) -> Signed:
        read.append(name)
        return real(project, name)

    monkeypatch.setattr(module, "_read", counting)
    assert len(feed(scene.project, most=5)) == 5
    assert len(read) <= 5 + len(CLONES)
