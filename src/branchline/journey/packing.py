"""Pack what one party may check of a journey or a study: an auditor's package from one's holdings."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from branchline.foundation.clock import Clock
from branchline.foundation.errors import Conflict, NotFound
from branchline.journey.acts import CLASSES
from branchline.journey.holdings import Holdings, Known
from branchline.ledger.entry import Entry, disclosed_name
from branchline.ledger.light import LightEntry, LightTopic, find_stated
from branchline.ledger.package import Head, Package, Shown, Tags, Topic, topic_of, write_package
from branchline.ledger.package_check import verify_package
from branchline.ledger.proof.note import parse_key
from branchline.ledger.proof.policy import Policy
from branchline.ledger.proof.receipt import Receipt
from branchline.ledger.statements import keeper_of, keys_of, opened
from branchline.ledger.tagproof import parse_tag_proof
from branchline.study.document import StudyDocument
from branchline.study.witnesses import policy_of

_KEEPER = "central"
"""Who keeps the tag tree, by the name that every study gives it."""


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
    light: bool = False,
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
        light: Leave the ledger out: topics are shown by the newest tag tree that it states.

    Raises:
        Conflict: The file is there.
        NotFound: Nothing of the journey is known here, or a topic's secret is not; or no tag tree is
            stated yet.
        Corrupt: The checkpoint at hand is not cosigned as the study asks, or the package would not
            hold.
    """
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
        read=None if light else held.copy.file,
    )
    return _written(file, _lightened(package, held) if light else package)


def pack_light(
    file: Path, held: Holdings, name: str, found: LightTopic, policy: Policy, clock: Clock
) -> Package:
    """Write what a light reader was shown of a topic, with no field open, for anybody to check.

    Args:
        file: Where to.
        held: What the reader has.
        name: The topic's name.
        found: What it was shown.
        policy: Whose signatures count.
        clock: The time.

    Raises:
        Conflict: The file is there.
    """
    proof, log = found.proof, parse_key(held.log_vkey)
    statement = opened(proof.statement.leaf, proof.head, log.name)
    shown = [Shown(statement, _receipt(proof.statement, proof.checkpoint))]
    shown += [
        Shown(Entry(each.leaf.decode("ascii")), _receipt(each, proof.checkpoint))
        for each in proof.entries
    ]
    own, taken = {held.name: held.parties[held.name]}, found.report.count
    return _written(
        file,
        Package(
            recipient=held.name,
            made=clock.now(),
            about=f"Everything about {name} among the first {found.report.covered} entries",
            policy=policy,
            checkpoint=proof.checkpoint.encode(),
            keys={**own, _KEEPER: keys_of(log)},
            entries=shown,
            topics=[topic_of(name, held.topic(name).secret, own, taken)],
            tags=Tags(Head(proof.statement.position, keeper_of(log)), parse_tag_proof(proof.tags)),
        ),
    )


def _lightened(package: Package, held: Holdings) -> Package:
    """Add to a package without the ledger what shows its topics to be complete all the same."""
    log = parse_key(held.log_vkey)
    stated = find_stated(held.copy.leaves(), log)
    own = {held.name: held.parties[held.name]}
    topics, tags = [], []
    for each in package.topics:
        found = held.topic(each.name)
        least = found.count(stated.head.covered)
        topics.append(topic_of(found.name, found.secret, own, least))
        tags += stated.tags_of(found.secret, least)
    proof, positions = stated.prove(tags)
    shown = {each.receipt.index: each for each in package.entries}
    for position in positions:
        closed = Entry(held.copy.leaf(position).decode("ascii"))
        shown.setdefault(position, Shown(closed, held.copy.receipt(position)))
    statement = opened(held.copy.leaf(stated.position), stated.head, log.name)
    shown[stated.position] = Shown(statement, held.copy.receipt(stated.position))
    return msgspec.structs.replace(
        package,
        keys={**package.keys, _KEEPER: keys_of(log)},
        entries=list(shown.values()),
        topics=topics,
        tags=Tags(Head(stated.position, keeper_of(log)), proof),
    )


def _receipt(entry: LightEntry, note: str) -> Receipt:
    return Receipt(entry.position, entry.path, note)


def _written(file: Path, package: Package) -> Package:
    """Write a package, check it, and only then give the file its name."""
    if file.exists():
        raise Conflict(f"{file} is there already", advice="Give another name")
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
