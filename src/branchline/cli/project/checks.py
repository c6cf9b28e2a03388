"""``branchline checks``: what is expected of data and models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.environment.stores import opened as opened_store
from branchline.cli.environment.stores import store_option
from branchline.cli.frame import Answer, lines, table, verb, wants_json, working
from branchline.cli.project.places import identity_of, opened, project_option
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.checks.results import Result

_FAILED = 1


@click.group(no_args_is_help=True)
def checks() -> None:
    """Run what is expected of data and models, and show where it stands."""


@verb(checks, "run", "branchline checks run\nbranchline checks run patients accuracy")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--host", is_flag=True, help="On this machine as it is, even if there is a lock.")
@project_option
@store_option
@HOME
def run(names: tuple[str, ...], host: bool, where: Path, folder: Path | None, home: Path) -> Answer:
    """Run checks, or all of checks.toml, and put each result on record.

    What is not saved yet is saved first. Models are measured by commands, in the project's
    environment. It exits with 1 if a check fails, required or not.
    """
    from branchline.checks.results import as_text
    from branchline.project.runs.places import place_of
    from branchline.workbench.checking import run_checks

    root = opened(where).root
    place = place_of(root, opened_store(folder), host=host)
    shown = (None, None) if wants_json() else (sys.stderr.buffer, sys.stderr.buffer)
    with working("checking") as progress:
        done = run_checks(root, identity_of(home), place, progress, names=names, shown=shown)
    results = [result for result, _ in done]
    told = [as_json(result) | {"record": signed.digest} for result, signed in done]
    good = all(result.passed for result in results)
    text = lines(*as_text(results)) or "There is nothing to check here: a station judges the rest"
    return Answer({"passed": good, "checks": told}, text, 0 if good else _FAILED)


@verb(checks, "show", "branchline checks show")
@project_option
def show(where: Path) -> Answer:
    """Show each check of what is saved: whether it is required, and how it went last.

    It exits with 5 while a required one is not met: nothing is packed or merged then.
    """
    from branchline.foundation.errors import Conflict
    from branchline.workbench.checking import standing

    found = standing(opened(where))
    rows, told = [], []
    for name, check in found.checks.every.items():
        last = found.results.get(name)
        word = "never run" if last is None else "passed" if last.passed else "failed"
        kind = "data" if name in found.checks.data else "model"
        rows.append([name, kind, "required" if check.required else "", ", ".join(check.on), word])
        plain: dict[str, Any] = {"check": name, "kind": kind, "required": check.required}
        told.append(plain | {"on": list(check.on), "last": as_json(last) if last else None})
    text = lines(
        table(["check", "of", "", "also on", "last"], rows, "checks.toml is empty"), *found.unmet
    )
    data = {"checks": told, "unmet": found.unmet}
    return Answer(data, text, Conflict.exit_code if found.unmet else 0)


def run_then(where: Path, home: Path, when: str) -> list[Result]:
    """Run the checks that say that they are run then; return what came of them."""
    root = opened(where).root
    if not (root / "checks.toml").is_file():
        return []
    from branchline.project.runs.places import place_of
    from branchline.workbench.checking import run_checks

    place = place_of(root, opened_store(None))
    with working("checking") as progress:
        done = run_checks(root, identity_of(home), place, progress, when=when)
    return [result for result, _ in done]


def as_json(result: Result) -> dict[str, Any]:
    """Return a result as plain JSON values."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(result)
    return plain | {"passed": result.passed}
