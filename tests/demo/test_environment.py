"""The demo's environment: a lock laid into its trains, and one sentence where none can be built."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.environment.built import Built

from branchline.demo import environment
from branchline.demo.environment import DemoEnvironment, prepared, with_lock
from branchline.demo.run import TRAINS
from branchline.environment.lock.folder import write_locked
from branchline.foundation.errors import Refused, Unavailable
from branchline.train.bundle import pack


@pytest.mark.slow
@pytest.mark.parametrize("train", TRAINS)
def test_a_train_of_the_demo_takes_the_lock(
    tmp_path: Path, built_environment: Built, train: str
) -> None:
    """Laid down with the lock, it names the image and can be built again."""
    lock = tmp_path / "lock"
    lock.mkdir()
    write_locked(built_environment.locked, lock)
    (lock / "branchline.lock").write_text(built_environment.lock.text)
    image = built_environment.image.digest
    found = DemoEnvironment(image, lock, built_environment.store.folder)
    made = pack(with_lock(TRAINS[train], found, tmp_path / "trains")).environment
    assert (made.image, made.reproducible) == (image, True)


def test_a_machine_that_cannot_build_is_told_what_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo stops; it never goes over to the machine's own Python by itself."""

    def away(*args: object, **more: object) -> None:
        raise Unavailable("The mirror cannot be reached")

    monkeypatch.setenv("BRANCHLINE_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(environment, "lock_environment", away)
    with pytest.raises(Refused, match="mirror cannot be reached") as told:
        prepared(lambda said: None)
    assert "--environment host" in told.value.advice
