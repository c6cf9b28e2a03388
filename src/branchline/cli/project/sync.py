"""``branchline sync``: save, bring what is elsewhere, merge, and send."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.frame import Answer, lines, verb
from branchline.cli.project.checks import run_then
from branchline.cli.project.merge import CONFLICTS, ask, choices, judging, named, said, told, wanted
from branchline.cli.project.places import changing, identity_of, opened, project_option
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.project.syncing.rewriting import Rewritten
    from branchline.project.syncing.sync import Synced


_MOST = 20


@verb(
    None,
    "sync",
    "branchline sync\n"
    "branchline sync /mnt/share/wear.git\n"
    "branchline sync --theirs code/fit.py --both data",
)
@click.argument("remote", default="", metavar="[REMOTE]")
@choices
@click.option("--done", is_flag=True, help="Files that are merged by hand are finished.")
@click.option(
    "--accept-rewritten",
    "accept",
    is_flag=True,
    help="Merge what is there although others rewrote its history; yours stays whole.",
)
@click.option(
    "--content/--no-content",
    "content",
    default=None,
    help="Have the data's contents come and go, too, from now on; or no more.",
)
@click.option("--check", is_flag=True, help="Measure models, too: run the commands of checks.toml.")
@project_option
@HOME
def sync(
    remote: str,
    mine: tuple[str, ...],
    theirs: tuple[str, ...],
    both: tuple[str, ...],
    hand: tuple[str, ...],
    done: bool,
    accept: bool,
    content: bool | None,
    check: bool,
    where: Path,
    home: Path,
) -> Answer:
    """Save, bring what is at REMOTE, merge it, and send the whole.

    REMOTE is what git calls the other place, or its address: https, ssh, or a folder. Where both
    sides contradict each other, you choose as in 'branchline merge', and the next sync goes on.
    Nothing is forced on anybody: if others rewrote history there, you are told, and nothing changes.
    Checks that say so are run first; a hub takes no main branch while a required one is not met.
    Nor is anything merged here whose result does not meet one, and the reason is said (exit code 5).
    """
    from branchline.project.merging.merge import waiting
    from branchline.project.syncing.sync import sync as work

    ways = wanted(mine, theirs, both, hand)
    if waiting(opened(where)) is None:
        run_then(where, home, "sync")
    with changing(where, "syncing") as (project, progress):
        identity = identity_of(home)
        options = named(project, ways)
        with judging(
            project, remote or "what is there", identity, progress, commands=check, syncing=True
        ) as judge:
            synced = work(
                project,
                identity,
                remote,
                options,
                progress,
                done=done,
                accept=accept,
                content=content,
                judge=judge,
            )
    while synced.merge is not None and (asked := ask(synced.merge)):
        with (
            changing(where, "syncing") as (project, progress),
            judging(
                project, remote or "what is there", identity, progress, commands=check, syncing=True
            ) as judge,
        ):
            synced = work(
                project,
                identity,
                remote,
                asked,
                progress,
                accept=accept,
                content=content,
                judge=judge,
            )
    return _told(synced)


def _told(synced: Synced) -> Answer:
    merge = told(synced.merge).data if synced.merge else None
    gone = synced.rewritten
    data = {
        "state": synced.state,
        "remote": synced.remote,
        "address": synced.address,
        "branch": synced.branch,
        "commit": synced.commit,
        "saved": synced.saved,
        "brought": synced.brought,
        "sent": synced.sent,
        "merge": merge,
        "rewritten": {"branch": gone.branch, "before": gone.before, "after": gone.after}
        if gone
        else None,
        "record": synced.record.digest if synced.record else None,
        "contents": _contents(synced),
    }
    if gone is not None:
        return Answer(data, _rewritten(synced, gone), CONFLICTS)
    merged = said(synced.merge) if synced.merge and synced.merge.state != "nothing" else ""
    if synced.state == "waiting":
        go_on = "Then 'branchline sync' goes on; nothing was sent yet"
        return Answer(data, lines(merged, go_on), CONFLICTS)
    first = f"Saved first what was not saved, as {synced.saved[:12]}" if synced.saved else ""
    what = f"{synced.brought} commits brought, {synced.sent} sent"
    here = what if synced.brought or synced.sent else "both sides have the same"
    return Answer(
        data,
        lines(
            "" if synced.merge else first, merged, f"{synced.remote}: {here}", _exchanged(synced)
        ),
    )


def _contents(synced: Synced) -> dict[str, object] | None:
    found = synced.exchanged
    if found is None:
        return None
    return {
        "brought": list(found.brought),
        "sent": list(found.sent),
        "held": dict(found.held),
        "failed": list(found.failed),
    }


def _exchanged(synced: Synced) -> str:
    found = synced.exchanged
    if found is None:
        return ""
    kept = [f"  stays: {path}: {why}" for path, why in sorted(found.held.items())[:_MOST]]
    lost = [f"  did not arrive: {path}; sync again" for path in found.failed[:_MOST]]
    return lines(f"Contents: {len(found.brought)} brought, {len(found.sent)} sent", *kept, *lost)


def _rewritten(synced: Synced, found: Rewritten) -> str:
    now = (
        f"{found.after[:12]} is there now, and does not go on from it"
        if found.after
        else "it is gone"
    )
    return lines(
        f"Others rewrote history at {synced.remote}: the branch {found.branch} was seen at "
        f"{found.before[:12]}; {now}",
        "Nothing of yours has changed, and nothing was sent; what was seen is kept, and on record",
        "Ask them. To merge what is there and send yours all the same: "
        "'branchline sync --accept-rewritten'",
    )
