"""``branchline ledger package``: what one party may check, in one file, with a verifier."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.ledger.homes import HOME, OFFLINE, holdings, study_of


@verb(
    None,
    "package",
    "branchline ledger package case.zip --for auditor --journey journey-… --hide by",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--for", "recipient", required=True, metavar="PARTY", help="Whom it is for.")
@click.option("--journey", metavar="ID", help="The entries of this journey, and of its study.")
@click.option(
    "--study", metavar="NAME", help="Whose witnesses count; its entries if no journey is named."
)
@click.option(
    "--topic",
    "topics",
    multiple=True,
    metavar="NAME",
    help="Show a topic to be complete; repeatable.",
)
@click.option("--hide", multiple=True, metavar="FIELD", help="Leave a field closed; repeatable.")
@click.option("--class", "classes", multiple=True, metavar="CLASS",
              help="Open these classes of fields only: core, people, technical; repeatable.")  # fmt: skip
@click.option("--light", is_flag=True,
              help="Leave the ledger out: topics are shown by the tag tree that it states.")  # fmt: skip
@OFFLINE
@HOME
def package(
    file: Path,
    recipient: str,
    journey: str | None,
    study: str | None,
    topics: tuple[str, ...],
    hide: tuple[str, ...],
    classes: tuple[str, ...],
    light: bool,
    home: Path | None,
    offline: bool,
) -> Answer:
    """Pack what one party may check, with a verifier that needs nothing but Python.

    Holds the ledger, sealed as it is; the entries asked for, with the fields that are not hidden, and
    their receipts; and for each topic its secret, so that the recipient can see that no entry is left
    out. A topic's secret opens no field, but whoever has it can follow the topic from now on. What
    is packed is checked before the file is written. Send it over a way you trust.

    With --light the ledger itself is left out, and the file stays small: topics then are shown as far
    as the newest tag tree reaches that the ledger states, for readers who rely on its witnesses.
    """
    from branchline.foundation.clock import SystemClock
    from branchline.journey.packing import pack_case

    held = holdings(home, offline=offline)
    with working("packing"):
        made = pack_case(
            file,
            held,
            recipient,
            study_of(held, study),
            SystemClock(),
            journey=journey,
            topics=topics,
            hide=hide,
            classes=classes,
            light=light,
        )
    policy, size = made.policy.digest, held.copy.checkpoint.size
    data = {
        "file": str(file),
        "recipient": recipient,
        "entries": [shown.receipt.index for shown in made.entries],
        "topics": list(topics),
        "size": size,
        "policy": policy,
    }
    text = lines(
        f"{file}: {len(made.entries)} entries for {recipient}, among {size}",
        f"policy   {policy}",
        f"Check it with 'python3 -I -S {file.name}' or 'branchline ledger verify {file.name}'.",
    )
    return Answer(data, text)
