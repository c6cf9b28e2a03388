"""``branchline environment detect``: what would be built from a folder, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, verb

if TYPE_CHECKING:
    from branchline.environment.spec import Detected

_CANNOT_BE_LOCKED = 2
"""The exit code of a refusal: `environment lock` would refuse the same."""

_NAMES = {
    "default": "nothing here chooses; a plain Python",
    "JuliaProjectToml": "Julia",
    "JuliaRequire": "Julia before 1.0",
}


@verb(None, "detect", "branchline environment detect ./my-project")
@click.argument(
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    metavar="[DIR]",
)
def detect(folder: Path) -> Answer:
    """Show what would be built from a folder's spec files, why, and what has no effect.

    All files that Binder understands are read, in its order of precedence; nothing is executed and
    nothing fetched. The command exits with 2 where something cannot be locked as it is asked for.
    """
    from branchline.environment.spec import detect as judge
    from branchline.environment.spec import read_tree

    found = judge(read_tree(folder))
    code = _CANNOT_BE_LOCKED if found.unsupported else 0
    return Answer(as_json(found), _as_text(found), code)


def as_json(found: Detected) -> dict[str, Any]:
    """Return a detection as plain JSON values."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain | {"lockable": not found.unsupported}


def _as_text(found: Detected) -> str:
    where = f"in {found.folder}" if found.folder else "in the root"
    return lines(
        f"winner      {_NAMES.get(found.winner, found.winner)}; spec files count {where}",
        f"version     {found.language_version}" if found.language_version else "",
        _row("applied", found.applied),
        _row("ignored", found.ignored),
        _row("Debian", found.debian),
        _row("Python", found.python),
        _row("bounds", found.constraints),
        _row("conda", found.conda),
        _row("channels", found.conda_channels),
        _row("R", found.r_packages),
        _row("Julia", found.julia_packages),
        _row("Nix", found.nix_packages),
        *(f"note        {note}" for note in found.notes),
        f"reach       {found.from_channels}" if found.from_channels else "",
        *(f"refused     {sentence}" for sentence in found.unsupported),
        *(f"consent     {each.difference}" for each in found.suggestions),
        _verdict(found),
    )


def _verdict(found: Detected) -> str:
    if found.unsupported:
        return ""
    reached = ", where its channels can be reached" if found.from_channels else ""
    return f"It can be locked as it is asked for{reached}"


def _row(name: str, items: Sequence[str]) -> str:
    return f"{name:<11} {', '.join(items)}" if items else ""
