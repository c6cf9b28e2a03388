"""Run a train that is a Python module with a function: loaded once, called every round."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from .outcome import BadOutput, Round
from .tables import load_tables


class Functions:
    """The entry kind `functions`; module and data are loaded when the first round needs them."""

    def __init__(
        self, entry: Mapping[str, Any], purpose: str, code: Path, tables: Mapping[str, Path]
    ) -> None:
        self._entry = entry
        self._purpose = purpose
        self._code = code
        self._tables = tables
        self._function: Any = None
        self._data: dict[str, Any] = {}

    def run(self, work: Round) -> dict[str, Any]:
        """Call the train's function; return the payloads by name, None for one it did not give."""
        if self._function is None:
            self._load()
        if self._purpose == "aggregator":
            return self._combine(work)
        outputs = self._function(self._data, work.state, work.parameters)
        if not isinstance(outputs, dict):
            raise BadOutput("the station's function must return a dict")
        return {"outputs": outputs}

    def _combine(self, work: Round) -> dict[str, Any]:
        answer = self._function(work.updates, work.state, work.parameters)
        match answer:
            case (dict() | None as state, dict() | None as result):
                return {"state": state, "result": result}
        raise BadOutput("the aggregator's function must return (state, result), dicts or None")

    def _load(self) -> None:
        # Data first: an import that fails halfway must not leave a half-loaded entry behind.
        self._data = load_tables(self._tables, self._entry.get("frame", "pandas"))
        module = _import_file(self._code / self._entry["file"])
        self._function = getattr(module, self._entry["function"])


def _import_file(path: Path) -> ModuleType:
    """Import the entry file by its name, so that its classes and siblings import as usual."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise BadOutput("the entry file is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
