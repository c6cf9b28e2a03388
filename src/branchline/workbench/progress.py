"""Show a journey under way, in a terminal or a notebook; elsewhere nothing is shown."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from branchline.journey.messages import JourneyStatus
from branchline.workbench.printable import printable

if TYPE_CHECKING:
    from rich.table import Table


class Watcher:
    """Show the newest status of a journey in one place.

    Args:
        shown: Nothing is shown, or imported, unless this is set.
    """

    def __init__(self, shown: bool = True) -> None:
        self._shown = shown
        self._live: Any = None
        self._cell: Any = None

    def __enter__(self) -> Watcher:
        if self._shown and not in_notebook() and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=10)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, status: JourneyStatus) -> None:
        """Show a status in place of the one before."""
        if self._live is not None:
            self._live.update(status_table(status))
        elif self._shown and in_notebook():
            self._show_in_notebook(status_table(status))

    def _show_in_notebook(self, table: Table) -> None:
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

        if self._cell is None:
            self._cell = display(table, display_id=True)  # type: ignore[no-untyped-call,unused-ignore]
        else:
            self._cell.update(table)


def in_notebook() -> bool:
    """Tell whether this runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def status_table(status: JourneyStatus) -> Table:
    """Return a journey's status as a table with one line per station."""
    from rich.table import Table
    from rich.text import Text

    rounds = f", round {status.round} of at most {status.rounds}" if status.rounds > 1 else ""
    reason = f": {status.reason}" if status.reason else ""
    table = Table(
        title=Text(printable(f"{status.journey} {status.phase}{rounds}{reason}")),
        title_justify="left",
    )
    for heading in ("station", "is", "round", "why"):
        table.add_column(heading)
    for stop in status.stops:
        cells = (stop.station, stop.phase, str(stop.round), stop.reason)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table
