"""New trains: valid, tiny, and right about the mean."""

from __future__ import annotations

import io
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import csv

from branchline.datasets.synthetic import make_tables
from branchline.foundation.errors import Refused
from branchline.train.bundle import pack
from branchline.train.manifest import parse_manifest
from branchline.train.parameters import check_parameters
from branchline.train.template import new_train, write_train


def load(text: str) -> SimpleNamespace:
    """Load a train's module from its source."""
    scope: dict[str, Any] = {}
    exec(compile(text, "analysis.py", "exec"), scope)
    return SimpleNamespace(**scope)


def sites(texts: dict[str, str]) -> tuple[list[pa.Table], dict[str, Any], list[int]]:
    """Invent three sites for a train, its parameters, and list all ages it should count."""
    manifest = parse_manifest(texts["train.toml"].encode())
    parameters = check_parameters(manifest.parameters, {"minimum_age": 30})
    tables = [make_tables(manifest.needs, 50, seed)["patients"] for seed in range(3)]
    ages = pa.concat_tables(tables)["age"]
    return tables, parameters, ages.filter(pc.greater_equal(ages, 30)).to_pylist()


def travelled(outputs: dict[str, Any]) -> dict[str, Any]:
    """Turn outputs into what arrives elsewhere: tables are Arrow tables."""
    return {name: pa.table(table) for name, table in outputs.items()}


def run_command(
    script: str, root: Path, table: pa.Table, state: pa.Table | None, parameters: Any
) -> pa.Table:
    """Run a command train's program as the sandbox does, with its folders under ``root``."""
    for name in ("in/tables", "in/state", "out"):
        (root / name).mkdir(parents=True)
    (root / "in/parameters.json").write_text(json.dumps(parameters))
    csv.write_csv(table, root / "in/tables/patients.csv")
    if state is not None:
        csv.write_csv(state, root / "in/state/sums.csv")
    (root / "analysis.sh").write_text(re.sub(r"(?<=[ =])/(in|out)/", rf"{root}/\1/", script))
    subprocess.run(["sh", "analysis.sh"], cwd=root, check=True, timeout=30)
    assert json.loads((root / "out/manifest.json").read_text()) == {
        "outputs": {"sums": {"file": "sums.csv", "as": "table"}}
    }
    return csv.read_csv(io.BytesIO((root / "out/sums.csv").read_bytes()))


def test_the_parallel_train_finds_the_mean() -> None:
    """Station and aggregator functions give the mean over all sites."""
    texts = new_train("x")
    tables, parameters, ages = sites(texts)
    train = load(texts["analysis.py"])
    updates = [
        travelled(train.station({"patients": table.to_pandas()}, None, parameters))
        for table in tables
    ]
    state, result = train.combine(updates, None, parameters)
    assert state is None
    assert result == {"n": len(ages), "mean": pytest.approx(sum(ages) / len(ages), rel=1e-14)}


def test_the_sequential_train_keeps_a_running_sum() -> None:
    """From site to site the state grows to the sum over all."""
    texts = new_train("x", route="sequential")
    tables, parameters, ages = sites(texts)
    train, state = load(texts["analysis.py"]), None
    for table in tables:
        state = travelled(train.station({"patients": table.to_pandas()}, state, parameters))
    assert state is not None
    assert state["sums"].to_pylist() == [{"n": len(ages), "sum": float(sum(ages))}]


def test_the_parallel_command_finds_the_mean(tmp_path: Path) -> None:
    """A program with files in and files out, and an aggregator function, give the same."""
    texts = new_train("x", kind="command")
    tables, parameters, ages = sites(texts)
    updates = [
        {"sums": run_command(texts["analysis.sh"], tmp_path / str(n), table, None, parameters)}
        for n, table in enumerate(tables)
    ]
    _, result = load(texts["combine.py"]).combine(updates, None, parameters)
    assert result == {"n": len(ages), "mean": pytest.approx(sum(ages) / len(ages), rel=1e-14)}


def test_the_sequential_command_keeps_a_running_sum(tmp_path: Path) -> None:
    """A program that reads the state file adds its own sums to it."""
    texts = new_train("x", route="sequential", kind="command")
    tables, parameters, ages = sites(texts)
    state = None
    for number, table in enumerate(tables):
        state = run_command(texts["analysis.sh"], tmp_path / str(number), table, state, parameters)
    assert state is not None
    assert state.to_pylist() == [{"n": len(ages), "sum": sum(ages)}]


@pytest.mark.parametrize("route", ["parallel", "sequential"])
@pytest.mark.parametrize("kind", ["functions", "command"])
def test_a_new_train_is_tiny_and_packs(tmp_path: Path, route: Any, kind: Any) -> None:
    """A template is about 20 lines of code and becomes a bundle of a few kilobytes."""
    texts = new_train("tiny", route=route, kind=kind)
    write_train(tmp_path / "tiny", texts)
    code = next(text for name, text in texts.items() if name.startswith("analysis."))
    assert len(code.splitlines()) <= 24
    bundle = pack(tmp_path / "tiny")
    assert len(bundle.data) < 8192
    assert (bundle.manifest.name, bundle.manifest.route.kind) == ("tiny", route)
    with pytest.raises(Refused, match="not empty"):
        write_train(tmp_path / "tiny", texts)


def test_a_train_needs_a_good_name() -> None:
    """A name that cannot name a train is refused before a file is written."""
    with pytest.raises(Refused, match="not a name for a train"):
        new_train("../Evil")
