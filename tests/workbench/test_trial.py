"""A trial runs the bundle as a station would: real sandboxes, real checks, invented data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from branchline.cli.root import root
from branchline.environment.lock.leftovers import held_folder
from branchline.foundation.errors import Refused
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.train.template import new_train, write_train
from branchline.workbench.results import ResultRefused
from branchline.workbench.trial import TrialFailed, try_train


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a new train, in Arrow so that no sandbox has to load pandas."""
    made = tmp_path / "mean"
    write_train(made, new_train("mean"))
    toml = (made / "train.toml").read_text().replace('frame = "pandas" ', 'frame = "arrow" ')
    (made / "train.toml").write_text(toml)
    (made / "analysis.py").write_text(ARROW)
    return made


ARROW = """\
import pyarrow.compute as pc

def station(data, state, parameters):
    age = data["patients"]["age"].drop_null()
    age = age.filter(pc.greater_equal(age, parameters["minimum_age"]))
    return {"sums": {"n": [len(age)], "sum": [float(pc.sum(age).as_py() or 0)]}}

def combine(updates, state, parameters):
    rows = [update["sums"].to_pylist()[0] for update in updates]
    n = sum(row["n"] for row in rows)
    return None, {"n": n, "mean": sum(row["sum"] for row in rows) / n}
"""


def change(folder: Path, old: str, new: str) -> None:
    """Change a line of the train's code."""
    file = folder / "analysis.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


async def test_a_train_travels_over_simulated_stations(folder: Path) -> None:
    """Every station releases, parameters count, the result has the declared type."""
    trial = await try_train(
        folder, Bubblewrap(), stations=2, rows=60, parameters={"minimum_age": 60}
    )
    assert [(r.station, r.action) for r in trial.rounds] == [
        ("station-1", "release"),
        ("station-2", "release"),
    ]
    assert 60 <= trial.values["mean"] <= 120
    assert {"memory", "namespace-net", "system-calls"} <= set(trial.enforced)
    shown = trial.as_json()
    assert (shown["reproducible"], "not reproducible" in shown["mark"]) == (False, True)
    json.dumps(shown)


async def test_what_a_killed_trial_left_is_removed_by_the_next(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not what belongs to one that is under way."""
    monkeypatch.setenv("BRANCHLINE_STORE", str(tmp_path / "store"))
    trials = tmp_path / "store" / "trials"
    (trials / "killed" / "west").mkdir(parents=True)
    with held_folder(trials) as other:
        await try_train(folder, Bubblewrap(), stations=2, rows=60)
        assert list(trials.iterdir()) == [other]


async def test_what_a_station_would_withhold_ends_the_trial(folder: Path) -> None:
    """An output that the contract does not declare is withheld, as at a real station."""
    change(folder, '    return {"sums":', '    return {"ages": age.to_numpy(), "sums":')
    with pytest.raises(TrialFailed, match="0 stations would release; the quorum is 1") as caught:
        await try_train(folder, Bubblewrap(), stations=1, rows=20)
    assert "station-1: An output was put out that the train does not declare" in caught.value.advice


def test_a_failing_train_shows_its_author_the_whole_trace(folder: Path) -> None:
    """The exception of the station's code is shown, with what it printed, and the exit code is 1."""
    change(folder, "    age = age.filter", '    print("so far")\n    missing_name  # age.filter')
    words = ["train", "try", str(folder), "--stations", "1", "--rows", "20"]
    done = CliRunner().invoke(root, words)
    assert done.exit_code == 1
    assert "NameError" in done.stderr
    assert "missing_name" in done.stderr
    assert "so far" in done.stderr
    assert done.stdout == ""


async def test_a_failing_aggregator_shows_its_trace(folder: Path) -> None:
    """The aggregator's own exception is not lost."""
    change(folder, "    rows = [", "    1 / 0\n    rows = [")
    with pytest.raises(TrialFailed, match="train-error") as caught:
        await try_train(folder, Bubblewrap(), stations=1, rows=20)
    assert "ZeroDivisionError" in caught.value.trace


async def test_a_result_that_is_not_declared_is_refused(folder: Path) -> None:
    """The author hears before departure what the requester would hear after."""
    change(folder, '{"n": n, "mean"', '{"n": n, "average"')
    with pytest.raises(ResultRefused, match="average"):
        await try_train(folder, Bubblewrap(), stations=1, rows=20)


async def test_an_aggregator_without_a_result_is_told_so(folder: Path) -> None:
    """An aggregator that always goes on is stopped after the train's rounds."""
    change(folder, "return None, {", 'return {"n": n}, None and {')
    with pytest.raises(TrialFailed, match="no result in 1 rounds"):
        await try_train(folder, Bubblewrap(), stations=1, rows=20)


@pytest.mark.parametrize(("stations", "rows"), [(0, 10), (51, 10), (2, 0)])
async def test_impossible_numbers_are_refused(folder: Path, stations: int, rows: int) -> None:
    """No stations, too many, or no rows."""
    with pytest.raises(Refused):
        await try_train(folder, Bubblewrap(), stations=stations, rows=rows)


async def test_a_missing_package_is_named_before_anything_runs(folder: Path) -> None:
    """A train that imports what is not installed is refused by the package's name."""
    file = folder / "train.toml"
    file.write_text(file.read_text().replace('"numpy", ', '"no-such-package", '))
    with pytest.raises(Refused, match="no-such-package"):
        await try_train(folder, Bubblewrap())
