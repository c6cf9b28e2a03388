"""What a button does: the same rules as the commands, and the same sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from branchline.environment.image.store import Store
from branchline.foundation.errors import Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.feed import mark, write_note
from branchline.project.activity.record import Signed
from branchline.project.branching import rollback, switch
from branchline.project.git.intake import Progress
from branchline.project.place import Project
from branchline.project.runs.places import place_of
from branchline.project.runs.rerun import Repeated, find_job, rerun
from branchline.project.saving import save
from branchline.project.syncing.getting import get
from branchline.project.syncing.sync import sync
from branchline.workbench.checking import run_checks
from branchline.workbench.merging import judging
from branchline.workbench.pages.jobs import Done, Work
from branchline.workbench.pages.shown.terminal import plain

_SHOWN = 20


@dataclass(frozen=True)
class Asked:
    """What an act works with.

    Args:
        base: What the project's addresses begin with.
        project: The project, opened anew for this act.
        identity: Whose keys sign.
        store: Where images are.
        form: What was filled in.
        lab: Gives the address of the project's lab.
    """

    base: str
    project: Project
    identity: Identity
    store: Store
    form: Mapping[str, str]
    lab: Callable[[Project, Progress], str]

    def given(self, name: str) -> str:
        """Return what was filled in, without blanks around it."""
        return self.form.get(name, "").strip()

    def link(self, signed: Signed | None) -> str:
        """Return where a record is shown."""
        if signed is None:
            return f"{self.base}/feed"
        return f"{self.base}/record/{signed.name.removesuffix('.json')}"


Act = Callable[[Asked, Progress], Done]


def note(asked: Asked, progress: Progress) -> Done:
    """Put a note or milestone on record."""
    milestone = asked.given("milestone") == "1"
    with asked.project.working() as project:
        made = write_note(project, asked.identity, asked.given("text"), milestone=milestone)
    return Done("Milestone set" if milestone else "Noted", asked.link(made))


def keep(asked: Asked, progress: Progress) -> Done:
    """Save everything that changed."""
    with asked.project.working() as project:
        saved = save(project, asked.identity, progress, message=asked.given("message"))
    if saved.commit is None:
        return Done("Nothing to save: all is saved already")
    count = len(saved.entries)
    link = asked.link(saved.records[0]) if saved.records else ""
    lines = tuple(f"{entry.change}  {plain(entry.path)}" for entry in saved.entries[:_SHOWN])
    return Done(f"Saved {count} change{'s' if count != 1 else ''}", link, lines=lines)


def again(asked: Asked, progress: Progress) -> Done:
    """Run a recorded command again, and compare."""
    job = find_job(asked.project, asked.given("record"))
    repeated = rerun(asked.project, asked.identity, job, asked.store, progress)
    good = repeated.verdict in ("identical", "equal")
    return Done(_verdict(repeated), asked.link(repeated.record), good, tuple(_lines(repeated)))


def _verdict(repeated: Repeated) -> str:
    said = {
        "identical": "Everything came out the same, byte for byte",
        "equal": "Everything came out the same, within the tolerance",
        "different": "Something came out differently",
    }
    return said.get(repeated.verdict) or f"It could not be run again. {plain(repeated.problem)}"


def _lines(repeated: Repeated) -> list[str]:
    found = [
        f"{v.verdict}  {plain(v.path)}{f': {plain(v.where)}' if v.where else ''}"
        for v in repeated.verdicts[:_SHOWN]
    ]
    if repeated.ended is not None and repeated.ended.code != repeated.job.code:
        found.append(f"exit code {repeated.ended.code}, not {repeated.job.code}")
    return [*found, *repeated.notes]


def go_back(asked: Asked, progress: Progress) -> Done:
    """Go back to a record, on a new branch."""
    with asked.project.working() as project:
        done = rollback(
            project, asked.identity, asked.given("record"), progress, name=asked.given("branch")
        )
    first = "What was not saved was saved first. " if done.saved else ""
    return Done(f"{first}Now on the new branch {done.branch}", asked.link(done.record))


def change_branch(asked: Asked, progress: Progress) -> Done:
    """Change to a branch, or begin one."""
    name = asked.given("branch")
    if not name:
        raise Refused("A branch needs a name", advice="Give one")
    with asked.project.working() as project:
        done = switch(project, asked.identity, name, progress)
    first = "What was not saved was saved first. " if done.saved else ""
    where = "New branch" if done.made else "Now on branch"
    return Done(f"{first}{where} {done.branch}", f"{asked.base}/branches")


def hide(asked: Asked, progress: Progress) -> Done:
    """Leave a record out of the list."""
    with asked.project.working() as project:
        mark(project, asked.identity, asked.given("record"), "hide")
    return Done("Hidden; the record itself stays")


def show(asked: Asked, progress: Progress) -> Done:
    """Have a hidden record in the list again."""
    with asked.project.working() as project:
        mark(project, asked.identity, asked.given("record"), "show")
    return Done("Shown again")


def sync_now(asked: Asked, progress: Progress) -> Done:
    """Save, bring what is elsewhere, merge and send."""
    with (
        asked.project.working() as project,
        judging(project, "what is there", asked.identity, progress, syncing=True) as judge,
    ):
        done = sync(project, asked.identity, "", {}, progress, judge=judge)
    if done.rewritten is not None:
        said = f"Others rewrote history at {done.remote}. Nothing of yours has changed, and nothing was sent. See 'branchline sync --help'"
        return Done(plain(said), good=False)
    if done.state == "waiting":
        return Done(
            "Both sides changed the same. Nothing was sent yet; choose with 'branchline sync', then sync again",
            asked.link(done.record),
            good=False,
            lines=tuple(plain(str(each.path)) for each in done.merge.conflicts[:_SHOWN])
            if done.merge
            else (),
        )
    if not done.brought and not done.sent:
        return Done(f"{plain(done.remote)}: both sides have the same")
    said = f"{plain(done.remote)}: {done.brought} commits brought, {done.sent} sent"
    return Done(said, asked.link(done.record))


def bring(asked: Asked, progress: Progress) -> Done:
    """Bring the content of a file that this clone does not have."""
    with asked.project.working() as project:
        got = get(project, asked.identity, [asked.given("path")], progress)
    if got.failed:
        return Done(plain(got.failed[0].why), asked.link(got.record), good=False)
    return Done("It is here" if got.record is None else "Brought", asked.link(got.record))


def check(asked: Asked, progress: Progress) -> Done:
    """Run one check, or all of them."""
    root, name = asked.project.root, asked.given("name")
    place = place_of(root, asked.store)
    done = run_checks(root, asked.identity, place, progress, names=(name,) if name else ())
    failed = [result for result, _ in done if not result.passed]
    lines = tuple(
        f"{result.check}: {plain(found.sentence)}" for result in failed for found in result.findings
    )
    link = asked.link(done[-1][1]) if len(done) == 1 else f"{asked.base}/checks"
    if failed:
        return Done(f"{len(failed)} of {len(done)} checks failed", link, False, lines[:_SHOWN])
    return Done(f"{len(done)} check{'s' if len(done) != 1 else ''} passed", link)


def open_lab(asked: Asked, progress: Progress) -> Done:
    """Start JupyterLab in the project's environment."""
    return Done(
        "JupyterLab is ready; what is run there appears here", asked.lab(asked.project, progress)
    )


ACTS: Mapping[str, tuple[str, Act]] = {
    "note": ("Writing a note", note),
    "save": ("Saving", keep),
    "again": ("Running again", again),
    "back": ("Going back", go_back),
    "branch": ("Changing the branch", change_branch),
    "sync": ("Syncing", sync_now),
    "get": ("Bringing a content", bring),
    "checks": ("Checking", check),
    "lab": ("Opening JupyterLab", open_lab),
    "hide": ("Hiding a record", hide),
    "show": ("Showing a record", show),
}
"""Every act by the last part of its address: what it is called, and what it does."""


def work_of(name: str, asked: Callable[[], Asked]) -> Work:
    """Return an act as work; what it works with is opened when its turn comes."""
    _, act = ACTS[name]
    return lambda progress: act(asked(), progress)
