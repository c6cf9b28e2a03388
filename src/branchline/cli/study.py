"""``branchline study``: the frame that permits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.frame import Answer, verb
from branchline.cli.researcher import HOME, client
from branchline.cli.studies import study_as_json, study_as_text

if TYPE_CHECKING:
    from branchline.workbench.core import StudyState


@click.group(no_args_is_help=True)
def study() -> None:
    """Propose, approve and look at studies."""


@verb(study, "new", "branchline study new pancreatitis")
@click.argument("name")
@click.option("--output", type=click.Path(path_type=Path), help="By default NAME.toml.")
@HOME
def new(name: str, output: Path | None, home: Path) -> Answer:
    """Write a study's draft to fill in, with every field explained."""
    from branchline.foundation.clock import SystemClock
    from branchline.workbench.draft import new_draft
    from branchline.workbench.home import WorkbenchHome

    centrals = WorkbenchHome(home).centrals()
    text = new_draft(name, centrals[0].name if centrals else "NAME", SystemClock().now())
    target = output or Path(f"{name}.toml")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.UsageError(f"{target} is there already; give another --output") from None
    return Answer({"study": name, "file": str(target)}, f"Fill in {target}, then propose it")


@verb(study, "propose", "branchline study propose pancreatitis.toml")
@click.argument("draft", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@HOME
def propose(draft: Path, home: Path) -> Answer:
    """Put a study forward: names become pinned keys, and you sign it."""
    with client(home, "proposing the study") as researcher:
        return _answer(researcher.propose_study(draft))


@verb(study, "show", "branchline study show pancreatitis")
@click.argument("name")
@HOME
def show(name: str, home: Path) -> Answer:
    """Show a study and where it stands, every signature checked."""
    with client(home, "fetching the study") as researcher:
        return _answer(researcher.show_study(name))


@verb(study, "approve", "branchline study approve pancreatitis --digest sha256:…")
@click.argument("name")
@click.option("--digest", help="The revision you have read; any other is refused.")
@HOME
def approve(name: str, digest: str | None, home: Path) -> Answer:
    """Approve a study as its named approver."""
    with client(home, "approving the study") as researcher:
        return _answer(researcher.approve_study(name, digest=digest))


@verb(study, "suspend", "branchline study suspend pancreatitis --reason 'Protocol under review'")
@click.argument("name")
@click.option("--reason", default="", help="Why, for everyone concerned.")
@HOME
def suspend(name: str, reason: str, home: Path) -> Answer:
    """Stop a study for the time being."""
    with client(home, "suspending the study") as researcher:
        return _answer(researcher.suspend_study(name, reason))


@verb(study, "resume", "branchline study resume pancreatitis")
@click.argument("name")
@HOME
def resume(name: str, home: Path) -> Answer:
    """Let a suspended study go on, as its approver."""
    with client(home, "resuming the study") as researcher:
        return _answer(researcher.resume_study(name))


@verb(study, "close", "branchline study close pancreatitis")
@click.argument("name")
@HOME
def close(name: str, home: Path) -> Answer:
    """End a study for good."""
    with client(home, "closing the study") as researcher:
        return _answer(researcher.close_study(name))


def _answer(state: StudyState) -> Answer:
    facts = (state.document, state.digest, state.standing)
    return Answer(study_as_json(*facts), study_as_text(*facts))
