"""``branchline data``: rules of a project's data, and what follows from them."""

from __future__ import annotations

from branchline.cli.lazy import LazyGroup, Table

_D = "branchline.cli.project.data"

COMMANDS: Table = {
    "rules": (f"{_D}.rules:rules", "Show which rules hold for paths, and what may go to a place."),
    "place": (
        f"{_D}.place:place",
        "Name a place that can hold copies, so that rules can speak of it.",
    ),
    "list": (
        f"{_D}.lists:lists",
        "Keep named, numbered lists of data that never change: training, validation, test.",
    ),
    "diff": (f"{_D}.lists:diff", "Show how two data lists differ: files, columns, counts."),
    "verify": (
        f"{_D}.lists:verify",
        "Hold data lists and every content of theirs that is here against their names.",
    ),
    "expire": (
        f"{_D}.expire:expire",
        "List what may be kept no longer by its rule, and remove it from this clone.",
    ),
    "key": (f"{_D}.key:key", "Make, share and take in the key that names confidential contents."),
    "guard": (
        f"{_D}.guard:guard",
        "Refuse a push that would send what the rules keep here; git's hook calls it.",
    ),
}
"""The commands on a project's data, by name."""

_HELP = """\
Rules of a project's data: who may have which, and for how long.

Rules stand in branchline.toml under [[data]], places under [places].
"""

data = LazyGroup("data", COMMANDS, help=_HELP)
