"""``branchline add`` and ``save``: keep files, and put on record what changed."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, verb
from branchline.cli.project.checks import as_json, run_then
from branchline.cli.project.places import changing, identity_of, project_option, relative
from branchline.cli.researcher import HOME

_PATHS = click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
_MOST = 20


@verb(None, "add", "branchline add data/scans")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@project_option
def add(paths: tuple[Path, ...], where: Path) -> Answer:
    """Take files in, so that the next save keeps them.

    Data, and files that are large, go to git-annex by the rules in .gitattributes; all else to git.
    """
    from branchline.project.adding import add as take

    with changing(where, "adding") as (project, progress):
        count = take(project, relative(project, paths), progress).count
    return Answer({"added": count}, f"Added {count} files; 'branchline save' keeps them")


@verb(None, "save", "branchline save\nbranchline save -m 'Outliers left out' code data/cleaned.csv")
@_PATHS
@click.option("-m", "--message", default="", help="Why; by default the record says what changed.")
@project_option
@HOME
def save(paths: tuple[Path, ...], message: str, where: Path, home: Path) -> Answer:
    """Keep everything that changed (or PATHs only), in one commit with a signed record.

    A save that was interrupted, by whatever, loses nothing: the next one goes on. Checks of
    checks.toml that say so are run then; what is saved stays saved, whatever they find.
    """
    from branchline.project.saving import save as keep

    with changing(where, "saving") as (project, progress):
        named = relative(project, paths)
        saved = keep(project, identity_of(home), progress, paths=named, message=message)
    entries = [entry.as_json() for entry in saved.entries]
    data = {
        "commit": saved.commit,
        "records": [record.digest for record in saved.records],
        "changes": entries,
    }
    if saved.commit is None:
        return Answer(data, "Nothing to save: all is saved already")
    more = f"  … and {len(entries) - _MOST} more" if len(entries) > _MOST else ""
    text = lines(
        f"Saved {len(entries)} changes as {saved.commit[:12]}",
        *(f"  {entry['change']:<8} {entry['path']}" for entry in entries[:_MOST]),
        more,
    )
    checked = run_then(where, home, "save") if saved.commit else []
    from branchline.checks.results import as_text

    data["checks"] = [as_json(result) for result in checked]
    return Answer(data, lines(text, *(as_text(checked) if checked else ())))
