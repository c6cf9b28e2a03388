"""Turn the files a command left in `/out` into payload values."""

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc

from .outcome import BadOutput, OutputTooLarge


class Collector:
    """Read regular files of one folder, `limit` bytes in all."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._left = limit

    def manifest(self) -> dict[str, Any]:
        """Return `/out/manifest.json`."""
        manifest = _json(self.read("manifest.json"))
        if not isinstance(manifest, dict):
            raise BadOutput("/out/manifest.json must be an object")
        return manifest

    def payload(self, described: object) -> dict[str, Any]:
        """Return the values that a manifest's `{name: {"file": …, "as": …}}` describes."""
        if not isinstance(described, dict):
            raise BadOutput("/out/manifest.json must describe outputs by name")
        return {name: self._value(entry) for name, entry in described.items()}

    def read(self, name: str) -> bytes:
        """Return a file's bytes; symbolic links and everything not a regular file are refused."""
        if "/" in name or name in ("", ".", "..") or "\0" in name:
            raise BadOutput("outputs must be files directly in /out")
        try:
            descriptor = os.open(
                self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError as error:
            raise BadOutput(f"an output file cannot be opened: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BadOutput("outputs must be regular files")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(self._left + 1)
        finally:
            os.close(descriptor)
        if len(data) > self._left:
            raise OutputTooLarge
        self._left -= len(data)
        return data

    def _value(self, entry: object) -> Any:
        match entry:
            case {"file": str(name), "as": str(kind), **rest} if not rest and kind in _READERS:
                return _READERS[kind](name, self.read(name))
        raise BadOutput(f'each output needs "file" and "as", one of {", ".join(_READERS)}')


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadOutput("an output file is not JSON") from error


def _table(name: str, data: bytes) -> pa.Table:
    try:
        if name.endswith(".arrow"):
            return pa.ipc.open_file(pa.py_buffer(data)).read_all()
        return pyarrow.csv.read_csv(pa.py_buffer(data))
    except (pa.ArrowException, OSError) as error:
        raise BadOutput("an output table is neither CSV nor an Arrow file") from error


def _scalar(_: str, data: bytes) -> Any:
    value = _json(data)
    if value is not None and not isinstance(value, bool | int | float | str):
        raise BadOutput("an output scalar must be one number, text, truth value or null")
    return value


def _array(_: str, data: bytes) -> Any:
    try:
        return np.asarray(_json(data))
    except ValueError as error:
        raise BadOutput("an output array must be a nested list of equal lengths") from error


def _figure(_: str, data: bytes) -> bytes:
    return data


def _text(_: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadOutput("an output text must be UTF-8") from error


_READERS: Mapping[str, Callable[[str, bytes], Any]] = {
    "table": _table,
    "scalar": _scalar,
    "array": _array,
    "figure": _figure,
    "text": _text,
}
