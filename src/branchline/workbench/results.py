"""The result folder: what came back, readable and exact, with everything to verify it offline."""

from __future__ import annotations

import json
import math
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchline.disclosure.rules import OutputRule
from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.digest import Bytes, Digest, payload_digest_of
from branchline.foundation.durable import make_folder, sync_folder, write_durably
from branchline.foundation.errors import BranchlineError, Conflict, Corrupt, Refused
from branchline.journey.messages import Evidence
from branchline.journey.request import JourneyRequest
from branchline.train.bundle import OpenBundle, open_bundle
from branchline.train.manifest import Manifest, ResultRule

if TYPE_CHECKING:
    from branchline.sandbox.inside.values import Payload

LIMIT = 1 << 30
"""The most bytes of a result."""

_MOST_READABLE = 10_000
"""The most elements of an array, or rows of a table, that are written out for reading."""

_README = """\
This folder holds the result of {journey}: the train {name} {version} ({train}) in the study
{study}. result.json is for reading; result.arrow holds the same values exactly (an Arrow stream);
request.json is what was asked for; train.tar is the code that ran; evidence.json holds the signed
entries with their receipts. Check all of it, offline, with: branchline verify FOLDER
"""


class ResultRefused(Refused):
    """A result is not of the type that its train declares."""


@dataclass(frozen=True)
class Result:
    """A journey's result.

    Args:
        journey: Which.
        values: What the train handed over, by name: numbers, texts, arrays, Arrow tables.
        content: Digest of the result's exact bytes.
        folder: Where everything lies.
    """

    journey: str
    values: Payload
    content: Digest
    folder: Path


def open_result(payload: Bytes, manifest: Manifest) -> Payload:
    """Read a result's payload and check that it is of the type the train declares.

    Raises:
        Corrupt: It is no payload.
        ResultRefused: It is of another type; the sentence names the value.
    """
    from branchline.sandbox.inside.values import PayloadError, decode_payload

    try:
        values = decode_payload(payload, max_bytes=LIMIT)
    except PayloadError as error:
        raise Corrupt(f"The result is not readable: {error}") from error
    check_result(values, manifest)
    return values


def check_result(values: Mapping[str, Any], manifest: Manifest) -> None:
    """Check the types of a result: kind, shape and columns, nothing about its numbers.

    A sequential train's result is its last state, so its outputs are its result.

    Raises:
        ResultRefused: A value is missing, not declared, or of another type.
    """
    rules: Mapping[str, ResultRule | OutputRule] = (
        manifest.outputs if manifest.route.kind == "sequential" else manifest.result
    )
    for name in values:
        if name not in rules:
            raise ResultRefused(
                f"The result holds {name!r}, which train {manifest.name!r} does not declare",
                advice=f"Declare it in train.toml as [result.{name}]",
            )
    for name, rule in rules.items():
        if name not in values:
            raise ResultRefused(
                f"The result lacks {name!r}, which train {manifest.name!r} declares"
            )
        problem = _mismatch(values[name], rule)
        if problem:
            raise ResultRefused(f"The result {name!r} is declared as {rule.kind}, but {problem}")


def write_result(
    folder: Path,
    payload: Bytes,
    values: Payload,
    request: JourneyRequest,
    manifest: Manifest,
    bundle: bytes,
    evidence: Evidence,
) -> Path:
    """Write a result folder, whole or not at all; one of the same journey is replaced.

    Raises:
        Conflict: Something else is there already.
    """
    _check_free(folder, request)
    make_folder(folder.parent)
    made = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        make_folder(made)
        for name, data in _files(payload, values, request, manifest, bundle, evidence).items():
            write_durably(made / name, data)
        _replace(folder, made)
    finally:
        # A crash leaves a hidden folder beside the result, which is never read.
        shutil.rmtree(made, ignore_errors=True)
    return folder


def train_of(folder: Path) -> OpenBundle:
    """Return the train that a result's folder holds."""
    return open_bundle((folder / "train.tar").read_bytes())


def readable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result as plain JSON values: arrays as lists, tables as records, bytes as files."""
    return {name: _readable(name, value) for name, value in values.items()}


def _files(
    payload: Bytes,
    values: Payload,
    request: JourneyRequest,
    manifest: Manifest,
    bundle: bytes,
    evidence: Evidence,
) -> dict[str, Bytes]:
    text = json.dumps(readable(values), indent=2, ensure_ascii=False, allow_nan=False)
    readme = _README.format(
        journey=request.journey,
        name=manifest.name,
        version=manifest.version,
        train=request.train,
        study=request.study,
    )
    files: dict[str, Bytes] = {
        "result.arrow": payload,
        "result.json": (text + "\n").encode(),
        "evidence.json": canonical_json(evidence),
        "request.json": canonical_json(request),
        "train.tar": bundle,
        "README.txt": readme.encode(),
    }
    figures = {_figure(name): data for name, data in values.items() if isinstance(data, bytes)}
    return files | figures


def _check_free(folder: Path, request: JourneyRequest) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    advice = "Choose another folder with --output"
    try:
        data = (folder / "request.json").read_bytes()
        there = parse_json(data, JourneyRequest, what="request.json")
    except (OSError, BranchlineError) as error:
        raise Conflict(f"{folder} is there already and is no result", advice=advice) from error
    if there.journey != request.journey:
        raise Conflict(f"{folder} holds the result of {there.journey}", advice=advice)


def _replace(folder: Path, made: Path) -> None:
    if folder.exists():
        aside = made.with_suffix(".old")
        folder.rename(aside)
        made.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        made.rename(folder)
    sync_folder(folder.parent)


def _mismatch(value: Any, rule: ResultRule | OutputRule) -> str:
    """Say in what a value is not of its declared kind; nothing if it is."""
    if rule.kind in ("counts", "statistics"):
        columns = rule.table_columns if isinstance(rule, OutputRule) else rule.columns
        return _table_mismatch(value, columns)
    if rule.kind == "parameters":
        return _array_mismatch(value, rule.shape)
    expected: dict[str, tuple[type, ...]] = {
        "scalar": (bool, int, float),
        "figure": (bytes,),
        "text": (str,),
    }
    if isinstance(value, expected[rule.kind]):
        return ""
    return f"it is {_kind_of(value)}"


def _table_mismatch(value: Any, columns: tuple[str, ...] | None) -> str:
    import pyarrow as pa

    if not isinstance(value, pa.Table):
        return f"it is {_kind_of(value)}"
    if columns is not None and tuple(value.column_names) != tuple(columns):
        return f"its columns are {', '.join(value.column_names)}; declared are {', '.join(columns)}"
    return ""


def _array_mismatch(value: Any, shape: tuple[int, ...] | None) -> str:
    import numpy as np

    if not isinstance(value, np.ndarray):
        return f"it is {_kind_of(value)}"
    if shape is not None and value.shape != tuple(shape):
        return f"its shape is {value.shape}; declared is {tuple(shape)}"
    return ""


def _kind_of(value: Any) -> str:
    names = {"Table": "a table", "ndarray": "an array", "str": "a text", "bytes": "bytes"}
    names |= {
        "NoneType": "nothing",
        "bool": "a truth value",
        "int": "a number",
        "float": "a number",
    }
    return names.get(type(value).__name__, "something else")


def _readable(name: str, value: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    if isinstance(value, bytes):
        return {"file": _figure(name)}
    if isinstance(value, np.ndarray):
        if value.size > _MOST_READABLE:
            return {"array": list(value.shape), "type": str(value.dtype), "in": "result.arrow"}
        return _plain(value.tolist())
    if isinstance(value, pa.Table):
        if value.num_rows > _MOST_READABLE:
            return {"rows": value.num_rows, "columns": value.column_names, "in": "result.arrow"}
        return _plain(value.to_pylist())
    return _plain(value)


def _plain(value: Any) -> Any:
    """Spell out what JSON has no number for: NaN and the infinities."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _figure(name: str) -> str:
    return f"{name}.png"


def result_digest(payload: Bytes, expected: Digest | None) -> Digest:
    """Name a result by its exact bytes, which must be those that were announced.

    Raises:
        Corrupt: They are others.
    """
    found = payload_digest_of(payload)
    if found != expected:
        raise Corrupt(f"The result is {found}; the journey announced {expected}")
    return found
