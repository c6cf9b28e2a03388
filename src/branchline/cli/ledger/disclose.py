"""``branchline ledger disclose|epoch``: let one party see some fields of one's own entries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.ledger.asking import Own
from branchline.cli.ledger.homes import HOME, folder_of, holdings, own_entry, position_of
from branchline.cli.ledger.saying import say
from branchline.foundation.errors import Conflict, Refused

if TYPE_CHECKING:
    from branchline.journey.holdings import Holdings
    from branchline.ledger.classes import ClassKey, EntryKey
    from branchline.ledger.grants import OneField

    Item = ClassKey | EntryKey | OneField


@verb(None, "disclose", "branchline ledger disclose --to auditor --entry 57 --field reason")
@click.option("--to", "recipient", required=True, metavar="PARTY", help="Who may see it.")
@click.option("--class", "classes", multiple=True, metavar="CLASS",
              help="A class of fields: core, people, technical; repeatable.")  # fmt: skip
@click.option("--entry", "entries", multiple=True, metavar="ENTRY",
              help="Of this entry only: its position, digest, or act's id; repeatable.")  # fmt: skip
@click.option("--field", "fields", multiple=True, metavar="FIELD",
              help="With --entry: this field only; repeatable.")  # fmt: skip
@click.option("--epoch", type=int, help="Without --entry: of another epoch than the present one.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False),
              help="The file to write.  [default: PARTY.grant]")  # fmt: skip
@HOME
def disclose(
    recipient: str,
    classes: tuple[str, ...],
    entries: tuple[str, ...],
    fields: tuple[str, ...],
    epoch: int | None,
    out: Path | None,
    home: Path | None,
) -> Answer:
    """Let one party see some fields of your own entries.

    Writes a grant: a file signed by you and sealed to PARTY, of use to nobody else. With --class alone
    it opens that class in all entries of yours in this epoch, those to come included; with --entry
    one entry, or the classes or fields of it that you name. What was seen cannot be unseen; a
    class's grant ends with the epoch (see 'ledger epoch').

    That you gave a grant is an act, and stands in the ledger before the file is written: the digest of
    the file, and nothing of whom it is for or what it opens.
    """
    from branchline.foundation.clock import SystemClock, rfc3339
    from branchline.foundation.digest import digest_of
    from branchline.foundation.durable import write_once
    from branchline.foundation.ids import new_id
    from branchline.journey.acts import GrantGiven
    from branchline.journey.granting import check_class
    from branchline.ledger.grants import seal_grant

    folder, kind = folder_of(home)
    own, held = Own(folder, kind), holdings(folder)
    names = [check_class(name) for name in classes]
    if not (names or entries or fields):
        raise Refused("Nothing is to be disclosed", advice="Name a --class or an --entry")
    if (fields and not entries) or (epoch is not None and entries):
        raise Refused("--field goes with --entry, and --epoch goes without")
    keys = own.keys_of(held, recipient)
    items: list[Item] = _of_entries(held, own, entries, names, fields) if entries else []
    if not entries:
        secret = own.epochs.current() if epoch is None else own.epochs.secret(epoch)
        items = [secret.class_key(name) for name in dict.fromkeys(names)]
    file = out or Path(f"{recipient}.grant")
    taken = Conflict(f"{file} is there already", advice="Give another name with --out")
    if file.exists():
        raise taken
    now = SystemClock().now()
    data = seal_grant(items, own.identity, keys, now)
    act = GrantGiven(id=new_id("act"), at=rfc3339(now), grant=digest_of(data))
    if kind != "central":  # its commands have no line to the running service
        with working("entering it in the ledger"):
            say(folder, kind, act)
    if not write_once(file, data, mode=0o600):
        raise taken
    says = [said_of(item) for item in items]
    answer = {
        "file": str(file),
        "to": recipient,
        "key": keys.id,
        "opens": says,
        "act": None if kind == "central" else act.id,
    }
    text = lines(
        f"{file}: for {recipient} only (key {keys.id[:12]})",
        *(f"  {each['says']}" for each in says),
        f"{recipient} opens it with 'branchline ledger grants {file.name}'.",
    )
    return Answer(answer, text)


@verb(None, "epoch", "branchline ledger epoch --next --home /srv/branchline/station")
@click.option("--next", "following", is_flag=True, help="Begin the next one now.")
@HOME
def epoch(following: bool, home: Path | None) -> Answer:
    """Show or begin an epoch, with which grants of classes end.

    What you sign from then on is sealed with another secret, and earlier grants of classes do not open
    it. A running program takes it up at once. The secrets of earlier epochs stay in keys/epochs: back
    them up with your folder.
    """
    folder, kind = folder_of(home)
    epochs = Own(folder, kind).epochs
    now = epochs.begin_next() if following else epochs.current()
    begun = "Grants of classes made before open nothing that is signed from now on."
    text = lines(f"epoch {now.epoch}", *([begun] if following else []))
    return Answer({"epoch": now.epoch, "begun": following, "epochs": epochs.numbers}, text)


def _of_entries(
    held: Holdings,
    own: Own,
    entries: tuple[str, ...],
    names: list[str],
    fields: tuple[str, ...],
) -> list[Item]:
    from branchline.journey.granting import field_of, parts_of

    keys = held.parties[held.name]
    known = [own_entry(held, position_of(held, text)) for text in dict.fromkeys(entries)]
    items: list[Item] = [
        field_of(held, each.entry, keys, name) for each in known for name in dict.fromkeys(fields)
    ]
    if names or not fields:
        besides = own.beside([each.entry.id for each in known])
        for each in known:
            items += parts_of(each.entry, besides.get(each.entry.id), set(names), own.epochs)
    return items


def said_of(item: Item) -> dict[str, Any]:
    """Say in a line, and as data, what an item of a grant opens."""
    from branchline.ledger.classes import ClassKey, EntryKey
    from branchline.ledger.entry import disclosed_name

    if isinstance(item, ClassKey):
        says = f"the class {item.name} in all entries of epoch {item.epoch}"
        return {"class": item.name, "epoch": item.epoch, "says": says}
    if isinstance(item, EntryKey):
        says = f"the class {item.name} of {item.entry}"
        return {"class": item.name, "entry": item.entry, "says": says}
    field = disclosed_name(item.disclosure)
    return {"field": field, "entry": item.entry, "says": f"the field {field} of {item.entry}"}
