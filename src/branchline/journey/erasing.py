"""What an erasure does to copies: the actor's signed word takes its fields out of an entry.

Central erases what it keeps (``central/people.py``). Everybody else who was shown the fields does it
when he hears of it. Only the word of whoever signed an entry counts, so that nobody can make a
field disappear that is another's.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from branchline.foundation.errors import Conflict, Corrupt, Refused
from branchline.foundation.jws import read_kid
from branchline.foundation.keys import PublicKeys
from branchline.journey import acts
from branchline.journey.messages import Evidence
from branchline.ledger.entry import Entry, disclosed_name


def erased_parts(entry: Entry, keys: PublicKeys, words: Iterable[Entry]) -> dict[str, Entry]:
    """Return the classes of an entry that its signer erased, each with the word of it.

    Args:
        entry: The entry.
        keys: Those of whoever signed it.
        words: Entries that may be acts of erasure; others, and those of others, are passed over.
    """
    kid = read_kid(entry.jws)
    found: dict[str, Entry] = {}
    for word in words:
        if read_kid(word.jws) != kid:
            continue
        try:
            act = acts.expect_act(word, keys, acts.EntryErased)
        except Corrupt:
            continue
        if act.entry == entry.id and act.part in acts.CLASSES.personal:
            found[act.part] = word
    return found


def stripped(entry: Entry, keys: PublicKeys, words: Iterable[Entry]) -> Entry:
    """Return an entry without the fields that its signer erased; the same one if there are none."""
    left = entry
    for part in erased_parts(entry, keys, words):
        left = acts.CLASSES.without(left, part)
    return left if left.disclosures != entry.disclosures else entry


def check_disclosed(
    entry: Entry, act: acts.Act, keys: PublicKeys, words: Iterable[Entry]
) -> set[str]:
    """Return the fields of an act that are not disclosed; each must have been erased.

    Raises:
        Corrupt: A field is kept back that its signer did not erase.
    """
    disclosed = {disclosed_name(text) for text in entry.disclosures}
    missing = {"act", *act.__struct_fields__} - disclosed
    erased = erased_parts(entry, keys, words) if missing else {}
    if any(acts.CLASSES.class_of(name) not in erased for name in missing):
        raise Corrupt("does not disclose all of its fields")
    return missing


def stripped_evidence(evidence: Evidence, words: Iterable[Entry]) -> Evidence:
    """Return evidence without the fields erased, and with the words of it; it verifies as before.

    The same object comes back if nothing in it was erased.
    """
    said, items = list(words), []
    used = {word.id: word for word in evidence.erasures}
    for item in evidence.items:
        used |= {w.id: w for w in erased_parts(item.entry, item.keys, said).values()}
        entry = stripped(item.entry, item.keys, said)
        items.append(msgspec.structs.replace(item, entry=entry))
    if tuple(items) == evidence.items:
        return evidence
    return msgspec.structs.replace(evidence, items=tuple(items), erasures=tuple(used.values()))


def erasing(
    entry: Entry, keys: PublicKeys, part: str, words: Iterable[Entry], *, id: str, at: str
) -> acts.EntryErased:
    """Return the act by which a party erases fields about people of an entry of its own.

    Args:
        entry: The entry, as its actor keeps it.
        keys: The actor's.
        part: The class to erase.
        words: What was erased already.
        id: Of the new act.
        at: Its time.

    Raises:
        Refused: The class cannot be erased, or the entry has no fields in it.
        Conflict: It was erased before.
    """
    if part not in acts.CLASSES.personal:
        raise Refused(
            f"Fields of the class {part!r} cannot be erased: what happened stays on record",
            advice=f"Only fields about people can: --class {acts.PEOPLE}",
        )
    act = acts.read_act(entry, keys)
    if not acts.people_in(act):
        raise Refused(f"The entry, {acts.kind_of(act)}, has no fields about people")
    if part in erased_parts(entry, keys, words):
        raise Conflict("The fields about people of this entry were erased before")
    return acts.EntryErased(
        id=id,
        at=at,
        entry=entry.id,
        part=part,
        journey=getattr(act, "journey", None),
        study=getattr(act, "study", None),
    )
