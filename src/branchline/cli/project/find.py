"""``branchline find``: words in records and files."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, table, verb, working
from branchline.cli.project.places import opened, project_option


@verb(None, "find", "branchline find molar wear\nbranchline find --in record ValueError")
@click.argument("words", nargs=-1, required=True)
@click.option("--in", "kind", type=click.Choice(["record", "file"]), help="Only there.")
@click.option("-n", "count", type=click.IntRange(1), default=20, help="At most so many.")
@project_option
def find(words: tuple[str, ...], kind: str | None, count: int, where: Path) -> Answer:
    """Find words in what was done, and in what stands in the project.

    All words are wanted, or words that begin with them; case and accents do not matter. Looked
    through are records with code, outputs and errors, and the texts that git keeps.
    """
    import msgspec

    from branchline.project.search import find as look

    with working("looking through what is new"):
        hits = look(opened(where), " ".join(words), most=count, kind=kind or "")
    rows = [
        [
            hit.kind,
            hit.name.rpartition("-")[2][:12] if hit.kind == "record" else "",
            hit.title[:80],
            " ".join(hit.found.split())[:100],
        ]
        for hit in hits
    ]
    columns = ["in", "record", "what", "found"]
    empty = "Nothing has all of these words"
    return Answer({"hits": [msgspec.to_builtins(hit) for hit in hits]}, table(columns, rows, empty))
