"""Show what every station does while the demo runs, and measure where the time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from branchline.demo.data import HOSPITALS
from branchline.journey.messages import JourneyStatus, StopStatus


class Progress:
    """One line per hospital, one column per train, and a phase. Use it as a context.

    Args:
        console: Where it is shown; where no person looks, only phases are.
        trains: Names of the trains.
    """

    def __init__(self, console: Console, trains: tuple[str, ...]) -> None:
        self._console, self._trains = console, trains
        self._doing = {each.name: "" for each in HOSPITALS}
        self._stops: dict[tuple[str, str], str] = {}
        self._journeys = dict.fromkeys(trains, "")
        self._phase = ""
        self._live = Live(console=console, transient=True, get_renderable=self._table)
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> Progress:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a phase, and say that it has begun."""
        self._phase, began = name, time.monotonic()
        if not self._console.is_terminal:
            self._console.print(f"{name} …", highlight=False)
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    def note(self, doing: str) -> None:
        """Say what is being done within a phase, where a person looks."""
        self._phase = doing

    def station(self, hospital: str, doing: str) -> None:
        """Say what a station's people or programs do."""
        self._doing[hospital] = doing

    def journey(self, train: str, status: JourneyStatus) -> None:
        """Show where a journey stands."""
        self._journeys[train] = f"{status.phase}, round {status.round}"
        for stop in status.stops:
            self._stops[train, stop.station] = _said(stop)

    def _table(self) -> Table:
        table = Table(title=Text(self._phase, "bold"), title_justify="left", show_footer=True)
        table.add_column("hospital", footer="journey", min_width=14)
        table.add_column("station", min_width=18)
        for train in self._trains:
            table.add_column(train, footer=Text(self._journeys[train]), min_width=26)
        for hospital, doing in self._doing.items():
            stops = (self._stops.get((train, hospital), "") for train in self._trains)
            table.add_row(*(Text(part) for part in (hospital, doing, *stops)))
        return table


def _said(stop: StopStatus) -> str:
    round_ = f", round {stop.round}" if stop.round else ""
    return f"{stop.phase}{round_}"
