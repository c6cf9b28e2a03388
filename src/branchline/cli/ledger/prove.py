"""``branchline ledger prove``: all entries of a topic, and proof that there are no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, table, verb, working
from branchline.cli.ledger.asking import Own
from branchline.cli.ledger.grants import FILE
from branchline.cli.ledger.homes import HOME, OFFLINE, folder_of, holdings, study_of
from branchline.foundation.errors import Corrupt, Refused

if TYPE_CHECKING:
    from branchline.journey.holdings import Holdings
    from branchline.ledger.completeness import Found, TopicReport
    from branchline.ledger.proof.policy import Policy


@verb(None, "prove", "branchline ledger prove --dataset trial --home /srv/branchline/station")
@click.option("--dataset", metavar="NAME", help="Everything that was done upon a dataset.")
@click.option("--topic", metavar="NAME", help="A topic by its name; see --list.")
@click.option("--list", "listed", is_flag=True, help="List the topics whose secrets are here.")
@click.option("--light", is_flag=True,
              help="Ask central for a proof of some kilobytes; the ledger is not read.")  # fmt: skip
@click.option("--study", metavar="NAME", help="With --light: whose witnesses count.")
@click.option("--policy", type=FILE, help="With --light: whose signatures count, as a tlog-policy.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False),
              help="With --light: write the proof as a package, for anybody to check.")  # fmt: skip
@OFFLINE
@HOME
def prove(
    dataset: str | None,
    topic: str | None,
    listed: bool,
    light: bool,
    study: str | None,
    policy: Path | None,
    save: Path | None,
    home: Path | None,
    offline: bool,
) -> Answer:
    """Prove that these are all entries of a topic.

    Without an option: everything that the owner of the folder did. The whole copy of the ledger is
    read and hashed. Numbers without an entry, and entries that somebody else put in, are named;
    exits with 6 if the topic is not complete.

    With --light nothing is read: central shows its tag tree, as witnesses with a copy of the ledger
    vouched for it, and the answer is checked here by the policy alone. It reaches as far as the tree
    that was stated last. Central learns which tags belong together; who must not let it know reads
    the ledger.
    """
    if not light and (study or policy or save):
        raise Refused("--study, --policy and --save go with --light")
    held = holdings(home, offline=offline or light)
    if listed:
        return _list(held)
    name = f"dataset/{dataset}" if dataset else topic or "own"
    if light:
        if offline:
            raise Refused("--light asks central", advice="Leave out --light or --offline")
        return _light(held, Own(*folder_of(home)), name, study, policy, save)
    with working("reading the ledger"):
        found = held.topic(name)
        report = held.prove(found)
    return _answer(held, found.name, report)


def _light(
    held: Holdings,
    own: Own,
    name: str,
    study: str | None,
    file: Path | None,
    save: Path | None,
) -> Answer:
    from branchline.foundation.clock import SystemClock
    from branchline.journey.packing import pack_light
    from branchline.ledger.light import read_lightly

    topic, keys = held.topic(name), held.parties[held.name]
    policy = _policy(held, study, file)
    with working("asking central"):
        found = read_lightly(
            lambda wanted: own.light(wanted, policy),
            topic.secret,
            {keys.id: keys},
            policy,
            known=topic.positions,
        )
    if save is not None:
        pack_light(save, held, topic.name, found, policy, SystemClock())
    late = sum(at is not None and at >= found.report.covered for at in topic.positions)
    data = {
        "size": found.checkpoint.size,
        "bytes": found.bytes,
        "later": late,
        "policy": policy.digest,
        "file": str(save) if save else None,
    }
    says = [
        f"Proven by {found.bytes / 1000:.1f} kB, under a checkpoint of {found.checkpoint.size} "
        f"entries that the policy {policy.digest} accepts.",
        f"{late} later ones of yours are not covered yet." if late else "",
        f"{save}: check it with 'branchline ledger verify {save}'." if save else "",
    ]
    return _answer(held, topic.name, found.report, data, says)


def _policy(held: Holdings, study: str | None, file: Path | None) -> Policy:
    from branchline.ledger.proof.policy import parse_policy
    from branchline.study.witnesses import policy_of

    if file is not None:
        return parse_policy(file.read_bytes())
    return policy_of(study_of(held, study))


def _answer(
    held: Holdings,
    name: str,
    report: TopicReport,
    more: Mapping[str, Any] = MappingProxyType({}),
    says: Sequence[str] = (),
) -> Answer:
    entries = [_entry(held, each) for each in report.entries]
    incidents = [incident.says for incident in report.incidents]
    data = {
        "topic": name,
        "complete": report.complete,
        "covered": report.covered,
        "count": report.count,
        "entries": entries,
        "incidents": incidents,
        **more,
    }
    rows = [tuple(str(each[name]) for name in ("number", "position", "at", "act", "about"))
            for each in entries]  # fmt: skip
    verdict = (
        f"These {len(entries)} are all entries of {name} among the first {report.covered}."
        if report.complete
        else f"{name} is not complete among the first {report.covered} entries."
    )
    columns = ("number", "entry", "at", "act", "about")
    text = lines(table(columns, rows, ""), *incidents, verdict, *says)
    return Answer(data, text, 0 if report.complete else Corrupt.exit_code)


def _list(held: Holdings) -> Answer:
    rows = [(each.name, str(len(each.positions))) for each in held.topics()]
    data = {"topics": [{"topic": name, "entries": int(count)} for name, count in rows]}
    return Answer(data, table(("topic", "entries"), rows, "No topic was begun here."))


def _entry(held: Holdings, found: Found) -> dict[str, Any]:
    from branchline.foundation.digest import digest_of
    from branchline.journey.acts import kind_of

    known = held.by_leaf.get(digest_of(found.leaf))
    act = None if known is None else known.act
    return {
        "number": found.number,
        "position": found.position,
        "id": digest_of(found.leaf),
        "at": "" if act is None else act.at,
        "act": "" if act is None else kind_of(act),
        "about": getattr(act, "journey", None) or getattr(act, "study", None) or "",
    }
