"""Journeys and results as people and programs see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchline.cli.frame import Answer, lines, table, wants_json

if TYPE_CHECKING:
    from branchline.journey.messages import JourneyStatus
    from branchline.workbench.journey import Journey


def status_as_json(status: JourneyStatus) -> dict[str, Any]:
    """Return a journey's status as plain JSON values."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(status)
    return plain


def status_line(status: JourneyStatus) -> str:
    """Return a journey's status in one line."""
    stops = "  ".join(f"{stop.station}:{stop.phase}" for stop in status.stops)
    rounds = f" {status.round}/{status.rounds}" if status.rounds > 1 else ""
    return f"{status.journey}  {status.phase}{rounds}  {stops}"


def status_answer(status: JourneyStatus) -> Answer:
    """Show a journey's status."""
    rows = [(s.station, s.phase.value, str(s.round), s.since, s.reason) for s in status.stops]
    stops = table(("station", "is", "round", "since", "why"), rows, "")
    rounds = f", round {status.round} of at most {status.rounds}" if status.rounds > 1 else ""
    reason = f": {status.reason}" if status.reason else ""
    return Answer(
        status_as_json(status), lines(f"{status.journey} is {status.phase}{rounds}{reason}", stops)
    )


def list_answer(found: list[JourneyStatus]) -> Answer:
    """Show a list of journeys."""
    rows = [
        (s.journey, s.study, s.phase.value, f"{len(s.stops)} stations", s.since, s.reason)
        for s in found
    ]
    columns = ("journey", "study", "is", "route", "since", "why")
    text = table(columns, rows, "There are no journeys yet.")
    return Answer({"journeys": [status_as_json(status) for status in found]}, text)


def fetch(journey: Journey, output: Path | None) -> Answer:
    """Wait for a journey's end, showing its progress, and write its result."""
    from branchline.workbench.results import readable

    journey.wait(progress=not wants_json())
    result = journey.result(output)
    values = readable(result.values)
    data = {
        "journey": journey.id,
        "content": result.content,
        "folder": str(result.folder),
        "result": values,
    }
    text = lines(
        json.dumps(values, indent=2, ensure_ascii=False),
        f"The result is in {result.folder}",
        f"Check it with: branchline verify {result.folder}",
    )
    return Answer(data, text)
