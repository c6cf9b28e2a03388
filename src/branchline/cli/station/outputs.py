"""``branchline station outputs``: what waits for a person before it may leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from branchline.cli.frame import Answer, lines, table, verb
from branchline.cli.station.home import BY, HOME, decide, opened, station_store
from branchline.foundation.errors import Conflict, Corrupt


@click.group(no_args_is_help=True)
def outputs() -> None:
    """Review outputs; release or withhold."""


@verb(outputs, "list", "branchline station outputs list")
@HOME
def list_(home: Path) -> Answer:
    """List the outputs that wait for a person."""
    from branchline.cli.station.visits import visits

    place = opened(home)
    found = [
        each for each in visits(station_store(place), place.settings().name) if each.state == "held"
    ]
    rows = [(v.journey, str(v.round), v.study, v.dataset, v.since) for v in found]
    columns = ("journey", "round", "study", "dataset", "since")
    text = table(columns, rows, "Nothing waits for a person.")
    return Answer({"outputs": [vars(each) for each in found]}, text)


@verb(outputs, "review", "branchline station outputs review journey-… --figures ./look")
@click.argument("journey")
@click.option("--figures", type=click.Path(path_type=Path), help="Write figures to this folder.")
@HOME
def review(journey: str, figures: Path | None, home: Path) -> Answer:
    """Show an output that waits, with everything the checks found, on one screen.

    What you see has not left the station. Figures are named by size; --figures writes them out.
    """
    from branchline.foundation.sealing import unseal
    from branchline.sandbox.inside.values import PayloadError, decode_payload

    place = opened(home)
    number, sealed, findings = station_store(place).held(journey)
    if not findings:
        # Kept for another recipient on a sequential route, after it was released.
        raise Conflict(f"The output of {journey} does not wait for a person")
    opened_bytes = unseal(sealed, place.identity.seal_private)
    try:
        payload = decode_payload(opened_bytes, max_bytes=len(opened_bytes))
    except PayloadError as error:
        raise Corrupt(f"The output kept of {journey} is damaged: {error}") from error
    written = _write_figures(payload, figures)
    shown = _shown(payload)
    data = {"journey": journey, "round": number, "findings": findings, "payload": shown}
    text = lines(
        f"{journey}, round {number}: waits for a person",
        *(_finding(finding) for finding in findings),
        "payload",
        json.dumps(shown, indent=2, ensure_ascii=False),
        *(f"written   {file}" for file in written),
        f"Then: branchline station outputs release {journey} --by WHO, or withhold",
    )
    return Answer({**data, "figures": [str(file) for file in written]}, text)


@verb(outputs, "release", "branchline station outputs release journey-… --by 'B. Okoye'")
@click.argument("journey")
@BY
@HOME
def release(journey: str, by: str, home: Path) -> Answer:
    """Let an output leave that waits for a person."""
    return decide(home, journey, "release", by, "")


@verb(outputs, "withhold", "branchline station outputs withhold journey-… --by 'B. Okoye'")
@click.argument("journey")
@click.option("--reason", default="", help="The requester sees it: say nothing about the data.")
@BY
@HOME
def withhold(journey: str, reason: str, by: str, home: Path) -> Answer:
    """Keep an output back that waits for a person."""
    return decide(home, journey, "withhold", by, reason)


def _finding(finding: dict[str, Any]) -> str:
    evidence = " ".join(f"{key}={value}" for key, value in finding["evidence"].items())
    name = finding["output"] or "all"
    return f"  {name} ({finding['kind']}): {finding['verdict']}, rule {finding['rule']}. {evidence}"


def _shown(payload: dict[str, Any]) -> dict[str, Any]:
    """Write a payload out for the checker's eyes."""
    import numpy as np
    import pyarrow as pa

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return {"figure": f"{len(value)} bytes"}
        if isinstance(value, np.ndarray):
            return [str(item) if item != item else item for item in value.ravel().tolist()]
        return value.to_pylist() if isinstance(value, pa.Table) else value

    return {name: plain(value) for name, value in payload.items()}


def _write_figures(payload: dict[str, Any], folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, value in payload.items():
        if isinstance(value, bytes):
            written.append(folder / f"{name}.png")
            written[-1].write_bytes(value)
    return written
