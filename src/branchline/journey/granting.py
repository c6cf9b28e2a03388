"""What a party may grant of its own acts, and what a grant opens: the rules behind the commands."""

from __future__ import annotations

from collections.abc import Collection

from branchline.foundation.errors import NotFound, Refused
from branchline.foundation.keys import PublicKeys
from branchline.journey import acts
from branchline.journey.erasing import erased_parts
from branchline.journey.holdings import Holdings
from branchline.ledger.beside import Beside
from branchline.ledger.classes import ClassKey, EntryKey, Opener, entry_key
from branchline.ledger.entry import Entry, disclosed_name
from branchline.ledger.grants import Grant, OneField, one_field, open_granted

NAMES = (acts.CORE, acts.PEOPLE, acts.TECHNICAL)
"""The classes of acts' fields."""


def check_class(name: str) -> str:
    """Return the name of a class that acts have.

    Raises:
        Refused: They have none of that name.
    """
    if name not in NAMES:
        raise Refused(f"{name!r} is no class of fields", advice=f"There are: {', '.join(NAMES)}")
    return name


def field_of(held: Holdings, entry: Entry, keys: PublicKeys, name: str) -> OneField:
    """Return what opens one field of an entry of one's own.

    Raises:
        Refused: The act has no such field.
        NotFound: It was erased.
    """
    if name in {disclosed_name(text) for text in entry.disclosures}:
        return one_field(entry, name)
    act = acts.read_act(entry, keys)
    fields = ("act", *act.__struct_fields__)
    if name not in fields:
        raise Refused(
            f"The entry, {acts.kind_of(act)}, has no field {name!r}",
            advice=f"It has {', '.join(fields)}",
        )
    if erased_parts(entry, keys, held.erasures()):
        raise NotFound(f"The field {name!r} of the entry was erased")
    raise NotFound(f"The field {name!r} of the entry is not kept here")


def parts_of(
    entry: Entry, beside: Beside | None, names: Collection[str], opener: Opener
) -> list[EntryKey]:
    """Return what opens some classes of one's own entry; all that it has if none is named.

    Raises:
        NotFound: Nothing lies beside it; or it has no such class, or that was erased; or its keys
            are not here.
    """
    if beside is None:
        raise NotFound(
            f"Nothing lies beside the entry {entry.id} at central",
            advice="Show its fields one by one, with --field",
        )
    wanted = names or [n for n, sealed in beside.classes.items() if not sealed.erased]
    for name in wanted:
        if name not in beside.classes:
            raise NotFound(f"The entry has no fields of the class {name!r}")
        if beside.classes[name].erased:
            raise NotFound(f"The fields of the class {name!r} of the entry were erased")
    return [entry_key(Entry(entry.jws), beside, name, opener) for name in sorted(wanted)]


def opened_by(grant: Grant, entry: Entry, beside: Beside | None) -> Entry:
    """Return an entry with what a grant opens of it.

    Raises:
        Refused: The grant is of another actor's entries, or opens nothing of this one; the sentence
            says why.
        Corrupt: As ``open_granted``.
    """
    if not grant.is_actors(entry):
        raise Refused(
            "The grant is of another party's entries",
            advice="A party grants what it signed itself, and nothing else",
        )
    opened = open_granted(Entry(entry.jws), beside, grant)
    if not opened.disclosures:
        raise Refused(f"The grant opens nothing of this entry: {_why(grant, entry, beside)}")
    return opened


def _why(grant: Grant, entry: Entry, beside: Beside | None) -> str:
    granted = {key.name for key in grant.classes}
    granted |= {key.name for key in grant.entries if key.entry == entry.id}
    if beside is None:
        return "it names none of its fields, and what lies beside the entry is not at hand"
    gone = sorted(name for name in granted & set(beside.classes) if beside.classes[name].erased)
    if gone:
        return f"the fields of the class {gone[0]!r} were erased"
    if any(key.epoch != beside.epoch for key in _of(grant, beside)):
        epochs = sorted({key.epoch for key in grant.classes})
        return f"it was sealed in epoch {beside.epoch}; the grant is of epoch {epochs[0]}"
    return "it is of other entries, or of classes that this one does not have"


def _of(grant: Grant, beside: Beside) -> list[ClassKey]:
    return [key for key in grant.classes if key.name in beside.classes]
