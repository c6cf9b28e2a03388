"""Run a train that is a command: files in `/in`, files out of `/out`, once per round."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .out_files import Collector
from .outcome import BadOutput, Round
from .tables import load_table, write_csv
from .values import encode_payload


class Command:
    """The entry kind `command`.

    `/in` holds `parameters.json`, `manifest.json` (round, tables with their paths), `state.arrow`
    when there is a state - unfolded in `state/` for programs without Arrow - and, for an
    aggregator, `updates/0000.arrow` and so on with the same folders. With `frame = "csv"` the
    tables are in `/in/tables/NAME.csv` as well as in `/data/NAME.arrow`.
    """

    def __init__(
        self,
        entry: Mapping[str, Any],
        purpose: str,
        tables: Mapping[str, Path],
        folders: tuple[Path, Path],
        output_bytes: int,
    ) -> None:
        self._entry = entry
        self._purpose = purpose
        self._in, self._out = folders
        self._tables = dict(tables)
        self._output_bytes = output_bytes
        self._prepared = False

    def run(self, work: Round) -> dict[str, Any]:
        """Run the command; return the payloads by name, None for one it did not give."""
        self._prepare()
        _empty(self._out)
        self._write_input(work)
        # The exit code is the train's word, so it goes no further than "it failed".
        done = subprocess.run(self._entry["argv"], cwd="/train", stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"the command ended with {done.returncode}")
        return self._collect()

    def _prepare(self) -> None:
        if self._prepared:
            return
        if self._entry.get("frame") == "csv":
            (self._in / "tables").mkdir()
            for name, path in self._tables.items():
                self._tables[name] = self._in / "tables" / f"{name}.csv"
                write_csv(self._tables[name], load_table(path))
        self._prepared = True

    def _write_input(self, work: Round) -> None:
        tables = {name: str(path) for name, path in self._tables.items()}
        manifest = {"round": work.number, "purpose": self._purpose, "tables": tables}
        _write_json(self._in / "manifest.json", manifest)
        _write_json(self._in / "parameters.json", work.parameters)
        _empty(self._in / "state")
        (self._in / "state.arrow").unlink(missing_ok=True)
        if work.state is not None:
            _write_payload(self._in / "state", work.state)
        _empty(self._in / "updates")
        for position, update in enumerate(work.updates):
            _write_payload(self._in / "updates" / f"{position:04}", update)

    def _collect(self) -> dict[str, Any]:
        collector = Collector(self._out, self._output_bytes)
        manifest = collector.manifest()
        names = {"state", "outputs"} if self._purpose == "aggregator" else {"outputs"}
        if not manifest or not set(manifest) <= names:
            raise BadOutput(f"/out/manifest.json must have {' or '.join(sorted(names))}, only")
        found = {name: collector.payload(manifest[name]) for name in manifest}
        if self._purpose == "aggregator":
            return {"state": found.get("state"), "result": found.get("outputs")}
        return found


def _empty(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _write_payload(folder: Path, payload: dict[str, Any]) -> None:
    """Write a payload as one Arrow file beside `folder` and unfolded in it."""
    folder.with_name(folder.name + ".arrow").write_bytes(encode_payload(payload))
    folder.mkdir(exist_ok=True)
    scalars = {}
    for position, (name, value) in enumerate(payload.items()):
        # Names may hold any printable text; only plain ones become file names.
        plain = name if name.replace("-", "").replace("_", "").isalnum() else f"{position:04}"
        if isinstance(value, pa.Table):
            write_csv(folder / f"{plain}.csv", value)
        elif isinstance(value, np.ndarray):
            _write_json(folder / f"{plain}.json", value.tolist())
        elif isinstance(value, bytes):
            (folder / f"{plain}.bin").write_bytes(value)
        else:
            scalars[name] = value
    _write_json(folder / "scalars.json", scalars)
