"""Pack what one party may check of a journey or a study: an auditor's package from one's holdings."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from branchline.foundation.clock import Clock
from branchline.foundation.errors import Conflict, NotFound
from branchline.journey.acts import CLASSES
from branchline.journey.holdings import Holdings, Known
from branchline.ledger.entry import Entry, disclosed_name
from branchline.ledger.package import Package, Shown, Topic, topic_of, write_package
from branchline.ledger.package_check import verify_package
from branchline.study.document import StudyDocument
from branchline.study.witnesses import policy_of


def pack_case(
    file: Path,
    held: Holdings,
    recipient: str,
    study: StudyDocument,
    clock: Clock,
    *,
    journey: str | None = None,
    topics: Collection[str] = (),
    hide: Collection[str] = (),
    classes: Collection[str] = (),
) -> Package:
    """Write a package, checked before it has its name.

    Args:
        file: Where to.
        held: What the party that makes it has of the ledger.
        recipient: Whom it is for.
        study: Whose witnesses count.
        clock: The time.
        journey: The entries of this journey, with those about the study; None for the latter alone.
        topics: Topics to be shown to be complete, by name.
        hide: Fields that stay closed.
        classes: Classes of fields that are opened; none for all of them.

    Raises:
        Conflict: The file is there.
        NotFound: Nothing of the journey is known here, or a topic's secret is not.
        Corrupt: The checkpoint at hand is not cosigned as the study asks, or the package would not
            hold.
    """
    if file.exists():
        raise Conflict(f"{file} is there already", advice="Give another name")
    shown = [
        Shown(_opened(known.entry, hide, classes), held.copy.receipt(position))
        for position, known in held.located(lambda known: _about_it(known, journey, study.id))
    ]
    if journey is not None and all(_journey(known) != journey for known in held.by_leaf.values()):
        raise NotFound(f"No entry of {journey} is known here", advice="Name a journey of yours")
    package = Package(
        recipient=recipient,
        made=clock.now(),
        about=_about(held, journey, study.id, topics),
        policy=policy_of(study),
        checkpoint=held.copy.note,
        keys=dict(held.parties),
        entries=shown,
        topics=[_topic(held, name) for name in topics],
        read=held.copy.file,
    )
    partly = file.with_name(f".{file.name}.part")
    try:
        with partly.open("wb") as target:
            write_package(target, package)
        verify_package(partly).require()
        partly.rename(file)
    finally:
        partly.unlink(missing_ok=True)
    return package


def _about_it(known: Known, journey: str | None, study: str) -> bool:
    about = _journey(known)
    return about == journey if about else getattr(known.act, "study", None) == study


def _journey(known: Known) -> str | None:
    found: str | None = getattr(known.act, "journey", None)
    return found


def _opened(entry: Entry, hide: Collection[str], classes: Collection[str]) -> Entry:
    names = {disclosed_name(text) for text in entry.disclosures} - set(hide)
    return entry.disclosing(
        {name for name in names if not classes or CLASSES.class_of(name) in classes}
    )


def _topic(held: Holdings, name: str) -> Topic:
    found = held.topic(name)
    own = {held.name: held.parties[held.name]}
    return topic_of(name, found.secret, own, found.count(held.copy.checkpoint.size))


def _about(held: Holdings, journey: str | None, study: str, topics: Collection[str]) -> str:
    what = f"the journey {journey} in the study {study}" if journey else f"the study {study}"
    also = f"; everything about {', '.join(topics)}" if topics else ""
    return f"{held.name} shows {what}{also}"
