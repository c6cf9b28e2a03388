"""Entry points: which part of a train runs, and how it is called."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from branchline.datasets.forms import complaint, entries, fill

_MOST_ARGUMENTS = 64


class FunctionsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Call one Python function; at a station, tables come as ``frame`` says.

    At a station ``function(data, state, parameters) -> outputs``; at the aggregator
    ``function(updates, state, parameters) -> (state, result)``.
    """

    file: str
    function: str
    frame: Literal["pandas", "arrow"] = "pandas"
    kind: Literal["functions"] = "functions"

    def __post_init__(self) -> None:
        """Refuse what cannot be a Python file or a function's name."""
        if not self.file.endswith(".py"):
            raise ValueError("file names a Python file of the train, such as analysis.py")
        if not self.function.isidentifier():
            raise ValueError("function is the name of a Python function")


class CommandEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Run any program in the train's folder: files in, files and a JSON manifest out.

    Tables are in ``/data/NAME.arrow``; with ``frame = "csv"`` also in ``/in/tables/NAME.csv``.
    """

    argv: tuple[str, ...]
    frame: Literal["csv", "arrow"] = "csv"
    kind: Literal["command"] = "command"

    def __post_init__(self) -> None:
        """Refuse an empty command and arguments that no program can be given."""
        if not 1 <= len(self.argv) <= _MOST_ARGUMENTS or not self.argv[0]:
            raise ValueError(f"argv is a program and up to {_MOST_ARGUMENTS - 1} arguments")
        if any("\0" in argument for argument in self.argv):
            raise ValueError("an argument holds a NUL character")


Entry = FunctionsEntry | CommandEntry


def parse_entry(value: object, what: str, where: str, *, function: str) -> Entry:
    """Read an entry point at key ``where``; ``function`` is the name a function has by default.

    ``kind`` may be left out: an ``argv`` makes a command.
    """
    form = entries(value, what, where)
    kind = form.get("kind", "command" if "argv" in form else "functions")
    if kind == "command":
        return fill(form, CommandEntry, what, where)
    if kind != "functions":
        raise complaint(what, f"{where}.kind", "Expected 'functions' or 'command'")
    if where.endswith("aggregator") and "frame" in form:
        raise complaint(what, f"{where}.frame", "Unknown key; an aggregator reads no tables")
    return fill({"function": function, **form}, FunctionsEntry, what, where)


def as_dict(entry: Entry) -> dict[str, Any]:
    """Return an entry point in the form in which a sandbox is told of it."""
    form: dict[str, Any] = msgspec.to_builtins(entry)
    return form
