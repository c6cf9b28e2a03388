"""Steps of verification, the first half: the ledger, the signers, the study, the request, the code.

Every step is a small function that returns what it found, or raises what does not hold.
"""

from __future__ import annotations

from datetime import UTC, datetime

from branchline.foundation.clock import parse_time, rfc3339
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import Corrupt, NotAllowed
from branchline.foundation.jws import read_kid
from branchline.journey import acts
from branchline.journey.permit import announced_terms, as_decision, facts_of, require_permit
from branchline.journey.request import check_request
from branchline.journey.verify_case import Case, Detail, same_checkpoint
from branchline.ledger.proof.receipt import verify_receipt
from branchline.study.lifecycle import State
from branchline.study.witnesses import cosigners, outside_names, resists, threshold_of
from branchline.train.bundle import verify_bundle

_LAST_MOMENT = 253_402_300_799
"""The last second of the year 9999, which is as far as a date goes."""


def checkpoint(case: Case) -> Detail:
    """Check the ledger's checkpoint against the trusted key and the study's witnesses."""
    vkey = case.trusted_vkey
    for claimed, whose in (
        (case.evidence.log_vkey, "the evidence comes with"),
        (case.study.central.log_vkey, "the study pins"),
    ):
        if claimed != vkey:
            raise Corrupt(f"The trusted ledger key is {vkey}, but {whose} {claimed}")
    verified = case.policy.open_signed(case.receipts[0].checkpoint.encode(errors="replace"))
    found, entities = verified.checkpoint, cosigners(case.study, verified.cosigned)
    witnesses: Detail = {
        "cosigned_by": entities,
        "needed": threshold_of(case.study),
        "entities": len(case.study.witnesses()),
        "dishonest_resisted": resists(case.study),
    }
    outside = outside_names(case.study)
    if outside:
        witnesses["outside"] = [name for name in outside if name in verified.cosigned]
    if not case.policy.satisfied_by(verified.cosigned):
        also = f", and for {' and '.join(outside)} from outside" if outside else ""
        raise Corrupt(
            f"The checkpoint of {found.size} entries is cosigned by "
            f"{', '.join(entities) or 'nobody'}: {len(entities)} of {witnesses['entities']} legal "
            f"entities; the study asks for {witnesses['needed']}{also}"
        )
    times = sorted(cosigned.at for cosigned in verified.cosigned.values())
    if times:
        witnesses |= {"from": _moment(times[0]), "until": _moment(times[-1])}
    return {"origin": found.origin, "size": found.size, "root": found.root.hex()} | witnesses


def _moment(seconds: int) -> str:
    return rfc3339(datetime.fromtimestamp(min(seconds, _LAST_MOMENT), UTC))


def ledger(case: Case) -> Detail:
    """Check every entry's receipt; all must be at one checkpoint and no entry twice."""
    found = []
    for receipt, item in zip(case.receipts, case.evidence.items, strict=True):
        try:
            found.append(verify_receipt(receipt, item.entry.leaf, case.policy))
        except Corrupt as error:
            raise Corrupt(f"The receipt of entry {receipt.index} fails: {error.refused}") from error
    positions = [receipt.index for receipt in case.receipts]
    if len(set(positions)) != len(positions):
        raise Corrupt("An entry stands in the evidence twice")
    return {"entries": len(found), "size": same_checkpoint(found).size}


def signatures(case: Case) -> Detail:
    """Check every entry's signature and disclosures, and that its signer is pinned."""
    erased = {str(p.position): list(p.erased) for p in case.placed if p.erased}
    found: Detail = {"acts": len(case.placed), "signers": len({p.kid for p in case.placed})}
    return found | ({"erased": erased} if erased else {})


def study(case: Case) -> Detail:
    """Check that the study was proposed, approved by another person, and active when asked."""
    document, at = case.study, case.requested.position
    for placed in case.about_study:
        act = placed.act
        assert isinstance(act, acts.StudyAct)
        if (act.study, act.study_digest) != (document.id, document.digest):
            raise Corrupt(
                f"Entry {placed.position} decides about {act.study} {act.study_digest}; "
                f"expected {document.id} {document.digest}"
            )
    state = case.standing_at(at).state
    if state is not State.ACTIVE:
        raise NotAllowed(f"The study was {state.value} when the journey was requested, not active")
    return {
        "study": document.id,
        "digest": document.digest,
        "proposer": document.proposer,
        "approver": document.approver,
    }


def request(case: Case) -> Detail:
    """Check the signed request against the requester's copy, and the gates at its time."""
    placed, wanted = case.requested, case.request
    act = placed.act
    assert isinstance(act, acts.JourneyRequested)
    if act.request.digest != wanted.digest:
        raise Corrupt(
            f"The request signed is {act.request.digest}; the copy at hand is {wanted.digest}"
        )
    check_request(wanted)
    if (wanted.study, wanted.author) != (case.study.id, case.evidence.author):
        raise Corrupt("The request names another study or author's signature than the evidence")
    permitted(case, placed.position, act.at, wanted.route.stations, reproducible=None)
    person = case.study.person_with(placed.kid)
    assert person is not None, "the gates passed"
    return {"requester": person.name, "journey": wanted.journey, "digest": wanted.digest}


def permitted(
    case: Case, position: int, at: str, stations: tuple[str, ...], *, reproducible: bool | None
) -> None:
    """Evaluate the gates with what the ledger held before a position."""
    before = case.decided_before(position)
    terms = announced_terms((p.act, p.entry) for p in before)
    if reproducible is None:  # when asked for, it is not known yet where it will run
        reproducible = not case.study.allow_not_reproducible
    facts = facts_of(
        case.study,
        [as_decision(p.act, p.kid, p.entry) for p in before],
        case.request,
        case.requested.kid,
        read_kid(case.request.author),
        reproducible=reproducible,
        use_terms={s: terms[s] for s in stations if s in terms},
    )
    require_permit(facts, parse_time(at))


def code(case: Case) -> Detail:
    """Check the train's digest, and its author's signature and role."""
    got, expected = digest_of(case.bundle), case.request.train
    if got != expected:
        raise Corrupt(f"The train is {got}; requested was {expected}")
    person = case.study.person_with(read_kid(case.request.author))
    if person is None or person.role not in case.study.train_signers:
        raise NotAllowed("The train is signed by nobody who may sign trains in the study")
    manifest = verify_bundle(case.bundle, case.request.author, person.keys).manifest
    if manifest.route.kind != case.request.route.kind:
        raise Corrupt(
            f"The train travels a {manifest.route.kind} route; "
            f"requested was a {case.request.route.kind} one"
        )
    named = {"train": manifest.name, "version": manifest.version}
    return named | {"digest": expected, "author": person.name}
