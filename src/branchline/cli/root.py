"""The list of all commands, in one line each; nothing else is imported for ``--help``."""

from __future__ import annotations

import click

from branchline import __version__
from branchline.cli.frame import Root
from branchline.cli.lazy import LazyGroup

_C = "branchline.cli"

COMMANDS = {
    "init": (
        f"{_C}.project.init:init",
        "Begin a project in a folder; a repository that is there is adopted as it is.",
    ),
    "clone": (
        f"{_C}.project.clone:clone",
        "Clone a project into a new folder, once it has been looked through.",
    ),
    "merge": (
        f"{_C}.project.merge:merge",
        "Merge another branch into this one; where the two contradict each other, you choose.",
    ),
    "sync": (
        f"{_C}.project.sync:sync",
        "Save, bring what is at REMOTE, merge it, and send the whole.",
    ),
    "export": (
        f"{_C}.project.carry:export",
        "Write the whole project into one zip: history, data, activity.",
    ),
    "import": (
        f"{_C}.project.carry:import_",
        "Make a project of an export again, in a new folder.",
    ),
    "get": (
        f"{_C}.project.get:get",
        "Bring the content of files that this clone does not have.",
    ),
    "status": (f"{_C}.project.status:status", "Show what differs from the last save."),
    "add": (
        f"{_C}.project.save:add",
        "Take files in, so that the next save keeps them.",
    ),
    "save": (
        f"{_C}.project.save:save",
        "Keep everything that changed (or PATHs only), in one commit with a signed record.",
    ),
    "log": (
        f"{_C}.project.log:log",
        "Show what was done in the project, one record in full, or verify all of them.",
    ),
    "note": (f"{_C}.project.log:note", "Put a note on record."),
    "find": (
        f"{_C}.project.find:find",
        "Find words in what was done, and in what stands in the project.",
    ),
    "lab": (
        f"{_C}.project.lab:lab",
        "Open JupyterLab in the project's environment; every cell that is run goes on record.",
    ),
    "workbench": (
        f"{_C}.project.workbench:workbench",
        "Show projects in the browser: what was done, live, with figures; files, environment, branches.",
    ),
    "run": (
        f"{_C}.project.run:run",
        "Run a command in the project's environment, save what it wrote, and put it on record.",
    ),
    "rerun": (
        f"{_C}.project.run:rerun",
        "Run a recorded command again in a scratch copy, and compare what comes out.",
    ),
    "branch": (
        f"{_C}.project.branch:branch",
        "List branches, or change to one; a new one begins with what is here.",
    ),
    "rollback": (
        f"{_C}.project.branch:rollback",
        "Go back to what was saved with a record, on a new branch.",
    ),
    "data": (
        f"{_C}.project.data:data",
        "Rules of a project's data: who may have which, and for how long.",
    ),
    "hub": (
        f"{_C}.project.hub:hub",
        "Publish projects at a central service, share, copy and delete them.",
    ),
    "drop": (
        f"{_C}.project.drop:drop",
        "Remove data from this clone once copies elsewhere are proved, and keep a receipt.",
    ),
    "checks": (
        f"{_C}.project.checks:checks",
        "Run what is expected of data and models, and show where it stands.",
    ),
    "enroll": (f"{_C}.enroll:enroll", "Join a central service with an invitation."),
    "study": (f"{_C}.study:study", "Propose, approve and look at studies."),
    "train": (f"{_C}.train:train", "Make, try, pack and send trains."),
    "depart": (f"{_C}.depart:depart", "Send a train on a journey."),
    "journey": (f"{_C}.journey:journey", "Follow journeys and fetch their results."),
    "verify": (
        f"{_C}.verify:verify",
        "Check a result, a folder or a crate, step by step; or a project or its export.",
    ),
    "ledger": (f"{_C}.ledger:ledger", "Check the ledger: receipts, completeness, witnesses."),
    "environment": (
        f"{_C}.environment:environment",
        "Detect, lock, build and run reproducible environments.",
    ),
    "station": (f"{_C}.station:station", "Run a station: data, decisions, releases."),
    "central": (f"{_C}.central:central", "Run a central service."),
    "demo": (f"{_C}.demo:demo", "Watch a train visit four hospitals, and verify what comes back."),
}
"""Every command and group, by name."""

_HELP = """\
Bring the analysis to data that may not move.

A train visits stations, where hospitals hold their data, runs there in a sandbox under the rules
of an approved study, and only what each station releases comes back.
"""


class _Branchline(Root, LazyGroup):
    pass


root = _Branchline("branchline", COMMANDS, help=_HELP)
root.params.append(
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=lambda ctx, _, value: _version(ctx) if value else None,
        help="Print the version and exit.",
    )
)


def _version(ctx: click.Context) -> None:
    click.echo(f"branchline {__version__}")
    ctx.exit()
