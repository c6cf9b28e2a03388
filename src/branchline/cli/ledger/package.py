"""``branchline ledger package``: what one party may check, in one file, with a verifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.ledger.homes import HOME, OFFLINE, holdings, study_of
from branchline.foundation.errors import Corrupt, NotFound

if TYPE_CHECKING:
    from branchline.journey.holdings import Holdings, Known
    from branchline.ledger.entry import Entry
    from branchline.ledger.package import Shown, Topic


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
    home: Path | None,
    offline: bool,
) -> Answer:
    """Pack what one party may check, with a verifier that needs nothing but Python.

    Holds the ledger, sealed as it is; the entries asked for, with the fields that are not hidden, and
    their receipts; and for each topic its secret, so that the recipient can see that no entry is left
    out. A topic's secret opens no field, but whoever has it can follow the topic from now on. What
    is packed is checked before the file is written. Send it over a way you trust.
    """
    from branchline.foundation.clock import SystemClock
    from branchline.foundation.errors import Conflict
    from branchline.ledger.package import Package, write_package
    from branchline.ledger.package_check import verify_package
    from branchline.study.witnesses import policy_of

    if file.exists():
        raise Conflict(f"{file} is there already", advice="Give another name")
    held = holdings(home, offline=offline)
    document = study_of(held, study)
    with working("packing"):
        shown = _shown(held, journey, document.id, set(hide), set(classes))
        made = Package(
            recipient=recipient,
            made=SystemClock().now(),
            about=_about(held, journey, document.id, topics),
            policy=policy_of(document),
            checkpoint=held.copy.note,
            keys=dict(held.parties),
            entries=shown,
            topics=[_topic(held, name) for name in topics],
            read=held.copy.file,
        )
        partly = file.with_name(f".{file.name}.part")
        try:
            with partly.open("wb") as target:
                write_package(target, made)
            report = verify_package(partly)
            if not report.verified:
                wrong = next(step for step in report.steps if step.reason)
                raise Corrupt(f"The package does not hold: {wrong.reason}")
            partly.rename(file)
        finally:
            partly.unlink(missing_ok=True)
    policy = made.policy.digest
    data: dict[str, Any] = {
        "file": str(file),
        "recipient": recipient,
        "entries": [each.receipt.index for each in shown],
        "topics": list(topics),
        "size": held.copy.checkpoint.size,
        "policy": policy,
    }
    text = lines(
        f"{file}: {len(shown)} entries for {recipient}, among {held.copy.checkpoint.size}",
        f"policy   {policy}",
        f"Check it with 'python3 -I -S {file.name}' or 'branchline ledger verify {file.name}'.",
    )
    return Answer(data, text)


def _shown(
    held: Holdings, journey: str | None, study: str, hide: set[str], classes: set[str]
) -> list[Shown]:
    from branchline.ledger.package import Shown

    def wanted(known: Known) -> bool:
        act = known.act
        about = getattr(act, "journey", None)
        return about == journey if about is not None else getattr(act, "study", None) == study

    found = [
        Shown(_opened(known.entry, hide, classes), held.copy.receipt(position))
        for position, known in held.located(wanted)
    ]
    if journey is not None and not any(_is_of(k, journey) for k in held.by_leaf.values()):
        raise NotFound(f"No entry of {journey} is known here", advice="Name a journey of yours")
    return found


def _is_of(known: Known, journey: str) -> bool:
    return getattr(known.act, "journey", None) == journey


def _opened(entry: Entry, hide: set[str], classes: set[str]) -> Entry:
    from branchline.journey.acts import CLASSES
    from branchline.ledger.entry import disclosed_name

    names = {disclosed_name(text) for text in entry.disclosures} - hide
    return entry.disclosing(
        {name for name in names if not classes or CLASSES.class_of(name) in classes}
    )


def _topic(held: Holdings, name: str) -> Topic:
    from branchline.ledger.package import topic_of

    found = held.topic(name)
    own = {held.name: held.parties[held.name]}
    return topic_of(name, found.secret, own, found.count(held.copy.checkpoint.size))


def _about(held: Holdings, journey: str | None, study: str, topics: tuple[str, ...]) -> str:
    what = f"the journey {journey} in the study {study}" if journey else f"the study {study}"
    also = f"; everything about {', '.join(topics)}" if topics else ""
    return f"{held.name} shows {what}{also}"
