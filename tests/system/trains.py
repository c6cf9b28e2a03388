"""The trains that travel in these tests, as text; small and without heavy imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Train:
    """A train before it is packed; `files` are those beside its manifest and code."""

    name: str
    manifest: str
    code: str
    route: str = "parallel"
    rounds: int = 10
    files: Mapping[str, bytes] = field(default_factory=dict)


def _manifest(name: str, route: str, outputs: str, *, columns: str = "") -> str:
    aggregator = '[entry.aggregator]\nfile = "analysis.py"\n' if route == "parallel" else ""
    rounds = "rounds = 10\n" if route == "parallel" else ""
    return f"""
name = "{name}"
version = "0.1.0"
[environment]
python = ["numpy"]
[entry.station]
file = "analysis.py"
frame = "arrow"
{aggregator}[route]
kind = "{route}"
{rounds}[contract.tables.patients]
minimum_rows = 10
columns.age = {{ type = "integer", minimum = 0, maximum = 120 }}
{columns}{outputs}
[parameters]
properties.rounds = {{ type = "integer", default = 2 }}
properties.seconds = {{ type = "number", default = 0 }}
"""


SUMS = """
[outputs.sums]
kind = "statistics"
columns = ["n", "sum"]
count = "n"
"""

MEAN = Train(
    "mean-age",
    _manifest("mean-age", "parallel", SUMS + '[result.mean]\nkind = "scalar"'),
    """
import time

def station(data, state, parameters):
    time.sleep(parameters["seconds"])
    ages = data["patients"]["age"].to_pylist()
    return {"sums": {"n": [len(ages)], "sum": [float(sum(ages))]}}

def combine(updates, state, parameters):
    time.sleep(parameters["seconds"])
    n = sum(int(u["sums"]["n"][0].as_py()) for u in updates)
    total = sum(float(u["sums"]["sum"][0].as_py()) for u in updates)
    done = 1 + (0 if state is None else int(state["done"]))
    if done >= parameters["rounds"]:
        return None, {"mean": total / n, "rounds": done}
    return {"done": done, "mean": total / n}, None
""",
)
"""The mean age over all stations; the same sums in every round."""

CHAIN = Train(
    "chain",
    _manifest("chain", "sequential", '[outputs.sums]\nkind = "parameters"\nshape = [2]\n'),
    """
import time
import numpy as np

def station(data, state, parameters):
    time.sleep(parameters["seconds"])
    ages = data["patients"]["age"].to_pylist()
    sums = np.array([len(ages), sum(ages)], dtype="float64")
    return {"sums": sums if state is None else sums + state["sums"]}
""",
    route="sequential",
    rounds=1,
)
"""The sum of ages, handed from station to station."""


def hostile(name: str, body: str, *, outputs: str = SUMS, route: str = "parallel") -> Train:
    """A train whose station does something else than it should."""
    code = f"""
import os, sys

def station(data, state, parameters):
    table = data["patients"]
    name = table["name"][3].as_py()
    age = int(table["age"][3].as_py())
    good = {{"sums": {{"n": [table.num_rows], "sum": [float(sum(table["age"].to_pylist()))]}}}}
{body}

def combine(updates, state, parameters):
    return None, {{"stations": len(updates)}}
"""
    columns = 'columns.name = { type = "text" }\n'
    return Train(name, _manifest(name, route, outputs, columns=columns), code)


def parameters_train(size: int) -> Train:
    """A train with a parcel too large to ride in a message."""
    outputs = f'[outputs.weights]\nkind = "parameters"\nshape = [{size}]\n'
    return Train(
        "large",
        _manifest("large", "parallel", outputs),
        f"""
import time
import numpy as np

def station(data, state, parameters):
    time.sleep(parameters["seconds"])
    ages = data["patients"]["age"].to_pylist()
    return {{"weights": np.arange({size}, dtype="float64") + sum(ages)}}

def combine(updates, state, parameters):
    time.sleep(parameters["seconds"])
    weights = sum(u["weights"] for u in updates)
    done = 1 + (0 if state is None else int(state["done"]))
    if done >= parameters["rounds"]:
        return None, {{"first": float(weights[0]), "rounds": done}}
    return {{"done": done, "weights": weights}}, None
""",
    )
