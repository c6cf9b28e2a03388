"""The trains that are timed: one that averages a model over rounds, two that do nothing."""

from __future__ import annotations

from pathlib import Path

MODEL_CODE = '''\
"""Federated averaging of a model that no one trains: each station changes every number of it."""

import numpy as np


def station(data, state, parameters):
    patients = data["patients"]
    # Noise, as trained models are, and other bits in every element at every station.
    model = noise(parameters["size"]) if state is None else state["model"]
    change = np.float32(1 + patients.column("step")[0].as_py() / 1024)
    return {"model": model * change, "n": len(patients)}


def noise(size):
    return np.random.default_rng(0).random(size, np.float32)


def combine(updates, state, parameters):
    total = sum(update["n"] for update in updates)
    shares = [np.float32(update["n"] / total) for update in updates]
    model = updates[0]["model"] * shares[0]
    for update, share in zip(updates[1:], shares[1:]):
        model += update["model"] * share
    done = 1 if state is None else state["done"] + 1
    if done == parameters["rounds"]:
        return None, {"model": model}
    return {"model": model, "done": done}, None
'''

MODEL_MANIFEST = """\
name = "average"
version = "0.1.0"

[environment]
python = ["numpy"]

[entry.station]
file = "analysis.py"
frame = "arrow"

[entry.aggregator]
file = "analysis.py"

[route]
kind = "parallel"
rounds = 1000
quorum = 3
deadline_seconds = 120

[contract.tables.patients]
columns.step = { type = "integer", minimum = 0, maximum = 9 }

[outputs.model]
kind = "parameters"
dtype = "float32"

[outputs.n]
kind = "scalar"
count = "n"

[result.model]
kind = "parameters"

[parameters]
properties.rounds = { type = "integer", minimum = 1 }
properties.size = { type = "integer", minimum = 1 }
required = ["rounds", "size"]
"""

NOTHING_CODE = '''\
"""Nothing but the number of records."""


def station(data, state, parameters):
    return {"n": len(data["patients"])}


def combine(updates, state, parameters):
    return None, {"n": sum(update["n"] for update in updates)}
'''

NOTHING_MANIFEST = """\
name = "nothing-{frame}"
version = "0.1.0"

[entry.station]
file = "analysis.py"
frame = "{frame}"

[entry.aggregator]
file = "analysis.py"

[route]
kind = "parallel"
rounds = 1
quorum = 3
deadline_seconds = 120

[contract.tables.patients]
columns.step = {{ type = "integer", minimum = 0, maximum = 9 }}

[outputs.n]
kind = "scalar"
count = "n"

[result.n]
kind = "scalar"
"""


def write_model_train(folder: Path) -> Path:
    """Write the train that averages ``size`` float32 parameters over ``rounds`` rounds."""
    return _write(folder, MODEL_CODE, MODEL_MANIFEST)


def write_nothing_train(folder: Path, frame: str) -> Path:
    """Write a train that does nothing; ``frame`` is how it gets its data, pandas or arrow."""
    return _write(folder, NOTHING_CODE, NOTHING_MANIFEST.format(frame=frame))


def _write(folder: Path, code: str, manifest: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "analysis.py").write_text(code)
    (folder / "train.toml").write_text(manifest)
    return folder
