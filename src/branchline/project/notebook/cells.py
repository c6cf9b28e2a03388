"""From the messages of a kernel to the cells that it ran; pure.

Sources: the Jupyter messaging protocol 5.4 (IOPub), and nbformat 4 on outputs. A cell is opened when
the kernel becomes busy with a request to execute, and closed when it is idle again; what was open
when the kernel ended is closed as lost. Nothing a person writes in a cell keeps it out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

MOST_TEXT = 1 << 20
"""The most characters of one stream that are kept of a cell: half from its start, half from its end."""
MOST_OUTPUTS = 500
"""The most outputs of a cell that are kept; how many more there were is told."""

Outcome = Literal["done", "failed", "interrupted", "lost"]

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Message(msgspec.Struct, frozen=True):
    """What is looked at of a message on IOPub.

    Args:
        kind: The header's ``msg_type``.
        at: When it was heard, by the recorder's clock, RFC 3339.
        parent: The ``msg_id`` of the request that caused it; empty for none.
        parent_kind: That request's ``msg_type``.
        content: The content.
    """

    kind: str
    at: str
    parent: str
    parent_kind: str
    content: Mapping[str, Any]


class Output(msgspec.Struct, frozen=True):
    """One thing a cell put out, other than text on a stream.

    Args:
        kind: The cell's value, something displayed, or a change of what an earlier cell displayed.
        data: Contents by media type, as Jupyter has them: bytes in base64.
    """

    kind: Literal["result", "display", "update"]
    data: Mapping[str, Any]


class Failure(msgspec.Struct, frozen=True):
    """The exception that ended a cell.

    Args:
        name: Its class.
        value: What it says.
        traceback: Where it was raised, without colours.
    """

    name: str
    value: str
    traceback: str


class Cell(msgspec.Struct, frozen=True):
    """One execution of a cell.

    Args:
        code: What was run.
        count: The number in its prompt; None if the kernel gave none.
        began: When the kernel became busy with it, RFC 3339.
        ended: When the kernel was idle again, or was last heard of.
        outcome: How it ended.
        stdout: What was written to standard output, lines that were redrawn as they stood last.
        stderr: The same of standard error.
        outputs: What was put out otherwise, in order.
        failure: The exception that ended it.
        notes: What else has to be known: what was left out, what does not fit together.
    """

    code: str
    count: int | None
    began: str
    ended: str
    outcome: Outcome
    stdout: str = ""
    stderr: str = ""
    outputs: tuple[Output, ...] = ()
    failure: Failure | None = None
    notes: tuple[str, ...] = ()


class Break(msgspec.Struct, frozen=True):
    """A kernel ended, by request or by itself.

    Args:
        at: When.
        restart: Whether another one takes its place: what was defined is gone.
    """

    at: str
    restart: bool


class _Text:
    """Text of one stream, kept within bounds."""

    def __init__(self) -> None:
        self._first, self._last, self.dropped = "", "", 0

    def add(self, text: str) -> None:
        room = MOST_TEXT // 2 - len(self._first)
        self._first += text[:room]
        self._last += text[room:] if room < len(text) else ""
        if len(self._last) > MOST_TEXT:  # cut seldom, not at every message
            self._cut()

    def _cut(self) -> None:
        more = len(self._last) - MOST_TEXT // 2
        if more > 0:
            self.dropped += more
            self._last = self._last[more:]

    def clear(self) -> None:
        self._first = self._last = ""

    @property
    def text(self) -> str:
        self._cut()
        gap = f"\n… {self.dropped} characters left out …\n" if self.dropped else ""
        return "\n".join(map(_as_drawn_last, (self._first + gap + self._last).split("\n")))


def _as_drawn_last(line: str) -> str:
    """Return what stands in a line after its carriage returns."""
    drawn = line.rstrip("\r")
    return drawn.rpartition("\r")[2] + line[len(drawn) :]


@dataclass
class _Open:
    began: str
    at: str
    code: str | None = None
    count: int | None = None
    stdout: _Text = field(default_factory=_Text)
    stderr: _Text = field(default_factory=_Text)
    outputs: list[tuple[str, Output]] = field(default_factory=list)
    left_out: int = 0
    failure: Failure | None = None
    widgets: int = 0
    clearing: bool = False
    notes: list[str] = field(default_factory=list)


class Watcher:
    """Makes one kernel's messages into cells."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def take(self, message: Message) -> Cell | Break | None:
        """Take a message in; return the cell that it ended, or the break that it told of."""
        if message.kind == "shutdown_reply":
            return Break(message.at, bool(message.content.get("restart")))
        if message.parent_kind != "execute_request":
            return None
        if message.kind == "status":
            return self._status(message)
        cell = self._open.get(message.parent)
        if cell is None:
            # Missed its beginning, or it goes on after its end, as threads do.
            cell = self._open[message.parent] = _Open(message.at, message.at)
        cell.at = message.at
        handler = _HANDLERS.get(message.kind)
        if handler is not None:
            handler(cell, message.content)
        return None

    def end(self) -> list[Cell]:
        """Return what was open when the kernel ended, as lost."""
        lost = [_closed(cell, cell.at, lost=True) for cell in self._open.values()]
        self._open.clear()
        return [cell for cell in lost if cell is not None]

    def _status(self, message: Message) -> Cell | None:
        state = message.content.get("execution_state")
        if state == "busy":
            self._open.setdefault(message.parent, _Open(message.at, message.at))
        elif state == "idle" and (cell := self._open.pop(message.parent, None)) is not None:
            return _closed(cell, message.at, lost=False)
        return None


def _closed(cell: _Open, at: str, *, lost: bool) -> Cell | None:
    """Return a cell as it ended; None for a request that ran nothing a person wrote."""
    stdout, stderr = cell.stdout.text, cell.stderr.text
    if cell.code is None and not (stdout or stderr or cell.outputs or cell.failure):
        return None
    notes = list(cell.notes)
    if cell.code is None:
        notes.append("The recorder did not see what was run")
    if cell.left_out:
        notes.append(f"{cell.left_out} more outputs were left out")
    if cell.widgets:
        notes.append(f"Widgets were told {cell.widgets} things; their state is not kept")
    outcome: Outcome = "lost" if lost else "done"
    if cell.failure is not None:
        outcome = "interrupted" if cell.failure.name == "KeyboardInterrupt" else "failed"
    return Cell(
        code=cell.code or "",
        count=cell.count,
        began=cell.began,
        ended=at,
        outcome=outcome,
        stdout=stdout,
        stderr=stderr,
        outputs=tuple(output for _, output in cell.outputs),
        failure=cell.failure,
        notes=tuple(notes),
    )


def _clear_if_due(cell: _Open) -> None:
    """Carry out a clearing that waited for the next output."""
    if cell.clearing:
        cell.clearing = False
        _clear(cell)


def _clear(cell: _Open) -> None:
    cell.outputs.clear()
    cell.stdout.clear()
    cell.stderr.clear()


def _input(cell: _Open, content: Mapping[str, Any]) -> None:
    cell.code = _text(content.get("code"))
    cell.count = _count(content)


def _stream(cell: _Open, content: Mapping[str, Any]) -> None:
    _clear_if_due(cell)
    target = cell.stderr if content.get("name") == "stderr" else cell.stdout
    target.add(_text(content.get("text")))


def _result(cell: _Open, content: Mapping[str, Any]) -> None:
    count = _count(content)
    if None not in (count, cell.count) and count != cell.count:
        cell.notes.append(f"The value says to be of prompt {count}")
    _put(cell, "result", content)


def _display(cell: _Open, content: Mapping[str, Any]) -> None:
    _put(cell, "display", content)


def _update(cell: _Open, content: Mapping[str, Any]) -> None:
    name = _display_id(content)
    for at, (known, output) in enumerate(cell.outputs):
        if name and known == name:
            cell.outputs[at] = (name, Output(output.kind, _data(content)))
            return
    _put(cell, "update", content)


def _put(
    cell: _Open, kind: Literal["result", "display", "update"], content: Mapping[str, Any]
) -> None:
    _clear_if_due(cell)
    if len(cell.outputs) >= MOST_OUTPUTS:
        cell.left_out += 1
        return
    cell.outputs.append((_display_id(content), Output(kind, _data(content))))


def _clear_output(cell: _Open, content: Mapping[str, Any]) -> None:
    if content.get("wait"):
        cell.clearing = True
    else:
        cell.clearing = False
        _clear(cell)


def _error(cell: _Open, content: Mapping[str, Any]) -> None:
    _clear_if_due(cell)
    lines = content.get("traceback")
    traceback = "\n".join(map(_text, lines)) if isinstance(lines, list | tuple) else ""
    cell.failure = Failure(
        _text(content.get("ename")),
        _text(content.get("evalue"))[:MOST_TEXT],
        _ESCAPES.sub("", traceback)[-MOST_TEXT:],
    )


def _widget(cell: _Open, content: Mapping[str, Any]) -> None:
    cell.widgets += 1


_HANDLERS = {
    "execute_input": _input,
    "stream": _stream,
    "execute_result": _result,
    "display_data": _display,
    "update_display_data": _update,
    "clear_output": _clear_output,
    "error": _error,
    "comm_open": _widget,
    "comm_msg": _widget,
}


def _data(content: Mapping[str, Any]) -> Mapping[str, Any]:
    data = content.get("data")
    if not isinstance(data, Mapping):
        return {}
    return {name: value for name, value in data.items() if isinstance(name, str)}


def _display_id(content: Mapping[str, Any]) -> str:
    transient = content.get("transient")
    return _text(transient.get("display_id")) if isinstance(transient, Mapping) else ""


def _count(content: Mapping[str, Any]) -> int | None:
    count = content.get("execution_count")
    return count if isinstance(count, int) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
