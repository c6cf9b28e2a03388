"""Acts: everything consequential that a party does, as one typed and signed ledger entry each.

An act *is* its ledger entry: its fields are the entry's disclosures, its signature the entry's.
There is no second history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar, get_args

import msgspec

from branchline.foundation.decoding import convert
from branchline.foundation.digest import WireDigest, WirePayloadDigest
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.ids import Id, Name
from branchline.foundation.keys import Identity, PublicKeys
from branchline.journey.request import JourneyRequest
from branchline.ledger.beside import Beside
from branchline.ledger.classes import ActorSecret, Classes, Sealed, seal_by_class
from branchline.ledger.entry import Entry, make_entry, open_entry

Visibility = Literal["private", "internal", "public"]
"""Who may read a hosted project besides its collaborators: nobody, everybody enrolled, everybody."""

Role = Literal["read", "write", "own"]
"""What a collaborator may do with a hosted project; each one includes those before it."""


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="act"):
    """What every act has.

    Args:
        id: Made by the actor; the same act sent again carries the same id.
        at: The actor's own time, RFC 3339.
    """

    id: Id
    at: str


class PartyEnrolled(Act, frozen=True, tag="party.enrolled"):
    """A party joined with keys made on its own machine.

    Args:
        name: Its name.
        kind: What it is.
        keys: Its public keys.
        witness: The key with which it cosigns the ledger, as a verifier key's text; empty if it
            is no witness.
        entity: The legal entity that runs it; None for one of its own.
        possession: That the witness key is its own, signed by that key.
    """

    name: Name
    kind: str
    keys: PublicKeys
    witness: str = ""
    entity: Name | None = None
    possession: bytes = b""


class StudyAct(Act, frozen=True):
    """An act upon one revision of a study."""

    study: Name
    study_digest: WireDigest


class StudyProposed(StudyAct, frozen=True, tag="study.proposed"):
    """A study was put forward."""


class StudyApproved(StudyAct, frozen=True, tag="study.approved"):
    """The named approver approved a study."""


class StudySuspended(StudyAct, frozen=True, tag="study.suspended"):
    """The approver or proposer stopped a study for the time being."""

    reason: str = ""


class StudyResumed(StudyAct, frozen=True, tag="study.resumed"):
    """The approver let a suspended study go on."""


class StudyClosed(StudyAct, frozen=True, tag="study.closed"):
    """A study ended."""


class SiteApproved(StudyAct, frozen=True, tag="study.site-approved"):
    """A station allowed a study to use some of its datasets.

    Args:
        station: Which.
        datasets: The datasets, each with its use terms (DUO codes).
        by: Who decided at the station.
    """

    station: Name
    datasets: dict[Name, tuple[str, ...]]
    by: str


class SiteWithdrawn(StudyAct, frozen=True, tag="study.site-withdrawn"):
    """A station took its approval back."""

    station: Name
    by: str
    reason: str = ""


class TrainPacked(Act, frozen=True, tag="train.packed"):
    """An author signed a bundle and sent it."""

    train: WireDigest
    name: str
    version: str


class JourneyAct(Act, frozen=True):
    """An act in the course of one journey."""

    journey: Id


class JourneyRequested(JourneyAct, frozen=True, tag="journey.requested"):
    """A requester asked for a journey."""

    request: JourneyRequest


class JourneyPrepared(JourneyAct, frozen=True, tag="journey.prepared"):
    """The aggregator's host made the journey's key.

    Args:
        recipient: To whom the stations seal their updates.
        custody: The private half, sealed to the stations: the host itself keeps no copy on disk.
        environment: Digest of the environment the aggregator runs in.
    """

    recipient: str
    custody: bytes
    environment: WireDigest | None = None


class CustodyReturned(JourneyAct, frozen=True, tag="journey.custody-returned"):
    """A station gave the journey's key back to a restarted aggregator, sealed to its new key."""

    station: Name
    sealed: bytes


class JourneyCombined(JourneyAct, frozen=True, tag="journey.combined"):
    """The aggregator combined a round.

    Args:
        round: Which.
        inputs: For each station that is in it, the parcel that was combined; not disclosed to
            the stations, who need not know of each other's parcels.
        state: The parcel with the next state; None when the journey has its result.
        result: The parcel with the result, sealed to the requester; None to go on.
        content: Digest of the combined payload itself.
    """

    round: int
    state: WirePayloadDigest | None
    result: WirePayloadDigest | None
    content: WirePayloadDigest
    inputs: dict[Name, WirePayloadDigest] = {}


class JourneyFailed(JourneyAct, frozen=True, tag="journey.failed"):
    """The aggregator could not go on."""

    reason: str


class JourneyCancelled(JourneyAct, frozen=True, tag="journey.cancelled"):
    """The requester called the train back."""

    reason: str = ""


class JourneyDelivered(JourneyAct, frozen=True, tag="journey.delivered"):
    """The requester opened the result."""

    content: WirePayloadDigest


class StopAct(JourneyAct, frozen=True):
    """An act about one journey's stop at one station."""

    station: Name


class StopAccepted(StopAct, frozen=True, tag="stop.accepted"):
    """A station let the train in.

    Args:
        by: The policy or person that decided.
        request: The leaf of the request that it accepts, by digest.
        topic: The secret of this stop's topic: whoever is shown it can tell whether all acts of
            the stop are there.
        dataset: Name of the dataset bound.
        dataset_version: Digest of its schema and content.
        environment: Digest of the environment the train runs in.
        reproducible: Whether that environment can be built again bit for bit.
    """

    by: str
    request: WireDigest
    topic: bytes
    dataset: Name
    dataset_version: WireDigest
    environment: WireDigest
    reproducible: bool


class StopDeclined(StopAct, frozen=True, tag="stop.declined"):
    """A station turned the train away."""

    by: str
    reason: str


class StopStarted(StopAct, frozen=True, tag="stop.started"):
    """A station has bound the data and started the sandbox; after a crash it starts again.

    Args:
        record: Digest of the engine's name and of every limit and layer it really enforces.
    """

    record: WireDigest


class StopHeld(StopAct, frozen=True, tag="stop.held"):
    """An output waits for a person at the station."""

    round: int


class StopReleased(StopAct, frozen=True, tag="stop.released"):
    """A station let one round's output leave.

    Args:
        round: Which.
        parcel: Digest of the sealed parcel.
        content: Digest of the payload inside.
        findings: Digest of the disclosure findings, which stay at the station.
        by: The policy or person that decided.
        record: Digest of the run record: which limits and layers were enforced.
        suppressed: Names of outputs with suppressed cells.
    """

    round: int
    parcel: WirePayloadDigest
    content: WirePayloadDigest
    findings: WireDigest
    by: str
    record: WireDigest
    suppressed: tuple[str, ...] = ()


class StopForwarded(StopAct, frozen=True, tag="stop.forwarded"):
    """A station sealed an output it had released to another recipient: a station was skipped."""

    round: int
    parcel: WirePayloadDigest
    content: WirePayloadDigest


class StopWithheld(StopAct, frozen=True, tag="stop.withheld"):
    """A station kept an output back."""

    round: int
    by: str
    reason: str
    findings: WireDigest


class StopFailed(StopAct, frozen=True, tag="stop.failed"):
    """A train failed at a station; the reason is one of a fixed list, the trace stays there."""

    round: int
    reason: str


class StopExpired(StopAct, frozen=True, tag="stop.expired"):
    """Central's clock: a station did not answer before the deadline."""

    round: int


class StopSkipped(StopAct, frozen=True, tag="stop.skipped"):
    """The requester goes on without a station."""


class StopRetried(StopAct, frozen=True, tag="stop.retried"):
    """The requester sends the train to a station again."""


class StopFinished(StopAct, frozen=True, tag="stop.finished"):
    """A station cleared everything away after a journey's end."""

    record: WireDigest | None = None


class ActVoided(Act, frozen=True, tag="act.voided"):
    """An act that was signed did not take effect; this one stands in its place.

    It carries the tags that the other one was to carry, so that no topic has a gap.

    Args:
        journey: The journey that it was about; None for none.
        kind: What kind of act it was.
        reason: Why: the sentence with which it was refused, or that it was lost.
    """

    journey: Id | None
    kind: str
    reason: str


class EntryErased(Act, frozen=True, tag="entry.erased"):
    """Whoever signed an entry had its fields about people erased: key and ciphertext.

    Args:
        entry: The entry, by its digest.
        part: The class of fields.
        journey: The journey that the entry is about; None for none.
        study: The study that it is about; None for none.
    """

    entry: WireDigest
    part: Name
    journey: Id | None
    study: Name | None


class GrantGiven(Act, frozen=True, tag="grant.given"):
    """A party let another one see fields of what it signed.

    To whom and which, only the two of them know: the grant is sealed. Either can show by it that
    this is the entry.

    Args:
        grant: Digest of the grant's file, as it was sealed.
    """

    grant: WireDigest


class HostedAct(Act, frozen=True):
    """An act upon a project that central hosts.

    Args:
        hosted: What central hosts it as; another one for each copy of a project.
    """

    hosted: Id


class ProjectPublished(HostedAct, frozen=True, tag="project.published"):
    """A person had central host a project of his.

    Args:
        project: Its identifier; the same in every clone.
        name: Its name among those of this person.
        visibility: Who else may read it.
    """

    project: Id
    name: Name
    visibility: Visibility


class ProjectCopied(HostedAct, frozen=True, tag="project.copied"):
    """A person had central copy a hosted project into one of his own.

    Args:
        source: What central hosts the original as.
        name: The copy's name among those of this person.
        visibility: Who else may read the copy.
    """

    source: Id
    name: Name
    visibility: Visibility


class ProjectShown(HostedAct, frozen=True, tag="project.shown"):
    """An owner said who may read a hosted project without being a collaborator."""

    visibility: Visibility


class ProjectShared(HostedAct, frozen=True, tag="project.shared"):
    """An owner made somebody a collaborator, or gave one another role."""

    party: Name
    role: Role


class ProjectUnshared(HostedAct, frozen=True, tag="project.unshared"):
    """An owner ended somebody's collaboration."""

    party: Name


class ProjectDeleted(HostedAct, frozen=True, tag="project.deleted"):
    """An owner had central delete a hosted project, as he last saw it.

    Args:
        heads: Digest of all branches and where they ended.
        reason: Why.
    """

    heads: WireDigest
    reason: str = ""


class ProjectReceived(HostedAct, frozen=True, tag="project.received"):
    """Central let somebody's changes into a hosted project's branches.

    Args:
        party: Whose.
        changes: For each branch the commit it ended with before, and the one now.
    """

    party: Name
    changes: dict[str, tuple[str, str]]


class ContentAct(HostedAct, frozen=True):
    """Central let the content of a file pass; recorded before its first byte went.

    Args:
        party: To whom, or from whom.
        clone: The clone it went to or came from, as git-annex names it.
        content: Digest of git-annex's name of the content.
        offset: The first byte.
    """

    party: Name
    clone: str
    content: WireDigest
    offset: int


class ContentSent(ContentAct, frozen=True, tag="project.content-sent"):
    """Central handed content out."""


class ContentReceived(ContentAct, frozen=True, tag="project.content-received"):
    """Central took content in."""


class ContentRemoved(ContentAct, frozen=True, tag="project.content-removed"):
    """Central removed content that no branch names any more, at an owner's word."""


AnyAct: Any = (
    PartyEnrolled
    | StudyProposed
    | StudyApproved
    | StudySuspended
    | StudyResumed
    | StudyClosed
    | SiteApproved
    | SiteWithdrawn
    | TrainPacked
    | JourneyRequested
    | JourneyPrepared
    | CustodyReturned
    | JourneyCombined
    | JourneyFailed
    | JourneyCancelled
    | JourneyDelivered
    | StopAccepted
    | StopDeclined
    | StopStarted
    | StopHeld
    | StopReleased
    | StopForwarded
    | StopWithheld
    | StopFailed
    | StopExpired
    | StopSkipped
    | StopRetried
    | StopFinished
    | ActVoided
    | EntryErased
    | GrantGiven
    | ProjectPublished
    | ProjectCopied
    | ProjectShown
    | ProjectShared
    | ProjectUnshared
    | ProjectDeleted
    | ProjectReceived
    | ContentSent
    | ContentReceived
    | ContentRemoved
)

A = TypeVar("A", bound=Act)

CORE, PEOPLE, TECHNICAL = "core", "people", "technical"
"""The classes of fields: what happened; who decided and in which words; digests behind it."""

CLASSES = Classes(
    of={
        "by": PEOPLE,
        "reason": PEOPLE,
        "record": TECHNICAL,
        "findings": TECHNICAL,
        "content": TECHNICAL,
        "parcel": TECHNICAL,
        "inputs": TECHNICAL,
        "recipient": TECHNICAL,
        "custody": TECHNICAL,
        "sealed": TECHNICAL,
        "environment": TECHNICAL,
        "dataset_version": TECHNICAL,
        "possession": TECHNICAL,
        "topic": TECHNICAL,
        "grant": TECHNICAL,
        "clone": TECHNICAL,
        "heads": TECHNICAL,
        "changes": TECHNICAL,
    },
    personal=(PEOPLE,),
    otherwise=CORE,
)
"""Which class each field of an act is in. Those about people can be erased."""


CLOSED = "(erased, or not shown)"
"""Stands for a field about people that whoever reads an act was not shown."""

_PEOPLE: dict[str, tuple[str, ...]] = {
    str(kind.__struct_config__.tag): tuple(
        name for name in kind.__struct_fields__ if CLASSES.class_of(name) in CLASSES.personal
    )
    for kind in get_args(AnyAct)
}
"""The fields about people that each kind of act has."""


def kind_of(act: Act) -> str:
    """Return the word that names an act's kind."""
    return str(type(act).__struct_config__.tag)


def people_in(act: Act) -> dict[str, str]:
    """Return what an act says about people: its fields of the personal classes by name."""
    return {name: str(getattr(act, name)) for name in _PEOPLE[kind_of(act)]}


def seal_act(act: Act, identity: Identity, secret: ActorSecret, tags: Sequence[str] = ()) -> Sealed:
    """Make an act's ledger entry, with every field disclosed, and what is to lie beside it.

    Args:
        act: The act.
        identity: Who signs.
        secret: The actor's secret of this epoch.
        tags: Its place in each topic it belongs to, in the clear.
    """
    fields: dict[str, Any] = msgspec.to_builtins(act)
    return seal_by_class(fields, identity, secret=secret, classes=CLASSES, tags=tags)


def check_sealed(entry: Entry, act: Act, beside: Beside | None) -> None:
    """Refuse an act that came in part, or with something beside it that is not its own.

    What is encrypted for others cannot be looked into.

    Raises:
        Refused: A field is not disclosed; or a class is missing, one too many, or erased.
    """
    if not is_whole(entry, act):
        raise Refused("An act has to be sent with all of its fields disclosed")
    if beside is None:
        return
    classes = {CLASSES.class_of(name) for name in ("act", *act.__struct_fields__)}
    fits = set(beside.classes) == classes and all(
        sealed.data and not sealed.erased and (sealed.key is not None) == (name in CLASSES.personal)
        for name, sealed in beside.classes.items()
    )
    if not fits:
        raise Refused("What came beside an act does not hold the classes of its fields")


def is_whole(entry: Entry, act: Act) -> bool:
    """Tell whether an entry discloses all fields of the act that was read from it."""
    return len(entry.disclosures) == len(act.__struct_fields__) + 1


def sign_act(act: Act, identity: Identity, tags: Sequence[str] = ()) -> Entry:
    """Make an act's ledger entry with nothing beside it: to try whether it would be accepted.

    Args:
        act: The act.
        identity: Who signs.
        tags: Its place in each topic it belongs to, in the clear.
    """
    fields: dict[str, Any] = msgspec.to_builtins(act)
    return make_entry(fields, identity, tags=tags)


def read_act(entry: Entry, keys: PublicKeys) -> Act:
    """Check an entry's signature and read the act it is.

    Fields about people that are not disclosed read as ``CLOSED``: they were erased, or are not
    for the reader. No rule depends on them.

    Raises:
        Corrupt: Not signed by these keys, changed, or not an act known here.
    """
    fields = open_entry(entry, keys)
    for name in _PEOPLE.get(str(fields.get("act")), ()):
        fields.setdefault(name, CLOSED)
    try:
        act: Act = convert(fields, AnyAct)
    except msgspec.ValidationError as error:
        raise Corrupt(f"A signed entry is not an act known here: {error}") from error
    return act


def expect_act(entry: Entry, keys: PublicKeys, kind: type[A]) -> A:
    """Read an act that must be of one kind.

    Raises:
        Corrupt: It is another kind, or not authentic.
    """
    act = read_act(entry, keys)
    if not isinstance(act, kind):
        raise Corrupt(f"A signed entry is a {type(act).__name__}; expected a {kind.__name__}")
    return act
