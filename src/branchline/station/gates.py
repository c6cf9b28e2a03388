"""A station's own judgement of a train that has come: everything checked again, on its own facts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from branchline.checks.expectations import FILE as CHECKS
from branchline.checks.expectations import needs_of, read_checks
from branchline.datasets.match import differences
from branchline.datasets.store import Dataset
from branchline.foundation.clock import Clock
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import Corrupt, NotAllowed, Refused
from branchline.foundation.jws import read_kid
from branchline.journey import acts
from branchline.journey.messages import Notice, StudyView
from branchline.journey.permit import decision_of, facts_of, keys_in, require_permit
from branchline.journey.request import JourneyRequest, check_request
from branchline.ledger.entry import Entry
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt
from branchline.station.settings import StationSettings
from branchline.station.store import Approval
from branchline.study.document import StudyDocument, parse_study
from branchline.study.facts import Facts, TrainFacts
from branchline.train.bundle import OpenBundle, verify_bundle
from branchline.train.parameters import check_parameters


@dataclass(frozen=True)
class Admitted:
    """A train that passed every check.

    Args:
        request: What was asked for.
        study: Under which study.
        opened: The train.
        parameters: Its parameters, defaults filled in.
        dataset: The dataset it will see.
        facts: What the study's gates were judged on.
    """

    request: JourneyRequest
    study: StudyDocument
    opened: OpenBundle
    parameters: dict[str, Any]
    dataset: Dataset
    facts: Facts


def read_request(notice: Notice, study: StudyDocument) -> acts.JourneyRequested:
    """Read a notice's request, signed by somebody of the study.

    Raises:
        Corrupt: Not authentic, by a stranger, or about another journey.
    """
    if notice.request is None:
        raise Corrupt("The notice carries no request")
    keys = keys_in(study, read_kid(notice.request.jws))
    act = acts.expect_act(notice.request, keys, acts.JourneyRequested)
    if not act.journey == act.request.journey == notice.journey:
        raise Corrupt("The notice carries another journey's request")
    return act


def check_retry(
    notice: Notice, study: StudyDocument, station: str, earlier: Collection[str]
) -> None:
    """Check that the requester himself asked for a further attempt, once for each.

    Args:
        notice: The notice with which the train came.
        study: The study, as the station approved it.
        station: This station's name.
        earlier: Ids of the acts that earlier attempts of this journey came with.

    Raises:
        Corrupt: Nobody asked, another station was meant, or the act served before.
    """
    if notice.attempt == 1:
        return
    if notice.request is None or notice.retried is None or notice.retried.id in earlier:
        raise Corrupt("The requester did not ask for a further attempt")
    keys = keys_in(study, read_kid(notice.request.jws))
    act = acts.expect_act(notice.retried, keys, acts.StopRetried)
    if (act.journey, act.station) != (notice.journey, station):
        raise Corrupt("The requester asked for another attempt than this one")


def check_receipt(notice: Notice, settings: StationSettings) -> None:
    """Check that the request is in the ledger.

    Raises:
        Corrupt: There is no receipt, or it does not hold.
    """
    if notice.request is None or not notice.receipt:
        raise Corrupt("The request has no receipt from the ledger")
    receipt = parse_receipt(notice.receipt)
    verify_receipt(receipt, notice.request.leaf, settings.central.log_vkey)


def admit(
    notice: Notice,
    bundle: bytes,
    approval: Approval | None,
    view: StudyView,
    dataset: Dataset | None,
    settings: StationSettings,
    clock: Clock,
    earlier: Collection[str] = (),
) -> Admitted:
    """Check everything about a train before anything of it runs.

    1. The station itself has approved this revision of the study, and has not taken that back.
    2. The request is signed by somebody of the study, and is in the ledger; a further attempt is
       the requester's own wish.
    3. The bundle is the one requested, whole and signed by somebody who may.
    4. Every gate of the study passes, on this station's own copy and clock.
    5. The dataset offers what the contract needs, meets the checks that the train brings, and the
       parameters fit.

    Raises:
        BranchlineError: The first check that fails, in one sentence that may leave the station.
    """
    study = own_study(approval)
    act = read_request(notice, study)
    check_receipt(notice, settings)
    check_retry(notice, study, settings.name, earlier)
    request = act.request
    check_request(request)
    signer = read_kid(request.author)
    opened = verify_bundle(bundle, request.author, keys_in(study, signer))
    if opened.digest != request.train:
        raise Corrupt("The bundle that came is not the one requested")
    requester = read_kid(notice.request.jws) if notice.request else ""
    train = TrainFacts(opened.digest, signer, opened.environment.reproducible)
    facts = _facts(study, approval, view, request, requester, train, dataset, settings)
    require_permit(facts, clock.now())
    assert dataset is not None, "a gate needs it"
    manifest = opened.manifest
    if found := differences(manifest.needs, dataset.schema, dataset.rows):
        raise Refused(
            "The dataset does not offer what the contract needs: "
            + "; ".join(difference.sentence.rstrip(".") for difference in found)
        )
    check_expectations(opened, dataset)
    if manifest.route.kind != request.route.kind:
        raise Refused(f"The train is made for a {manifest.route.kind} route")
    parameters = check_parameters(manifest.parameters, request.parameters)
    return Admitted(request, study, opened, parameters, dataset, facts)


def check_expectations(opened: OpenBundle, dataset: Dataset) -> None:
    """Hold the checks of data that a train brings along against a dataset's published schema.

    No row is read for it: whether a train is declined must tell nothing that the schema does not.

    Raises:
        Refused: The dataset falls short; the sentence lists every difference.
        FormRefused: They are not acceptable, or ask for what only rows can tell.
    """
    text = opened.files.get(CHECKS)
    if text is None:
        return
    needed = needs_of(read_checks(text))
    if found := differences(needed, dataset.schema, dataset.rows):
        raise Refused(
            "The dataset does not meet the train's checks: "
            + "; ".join(difference.sentence.rstrip(".") for difference in found)
        )


def require_still(admitted: Admitted, approval: Approval | None, clock: Clock) -> None:
    """Check again, before every round, that the train may run now.

    Raises:
        NotAllowed: The station has withdrawn, or the study has ended.
    """
    if approval is None or approval.withdrawn or approval.digest != admitted.request.study_digest:
        raise NotAllowed("The station has withdrawn from this study")
    require_permit(admitted.facts, clock.now())


def own_study(approval: Approval | None) -> StudyDocument:
    """Return the study as this station approved it.

    Raises:
        NotAllowed: It did not, or took that back.
    """
    if approval is None:
        raise NotAllowed("The station has not approved this study")
    if approval.withdrawn:
        raise NotAllowed("The station has withdrawn from this study")
    if digest_of(approval.document) != approval.digest:
        raise Corrupt("The station's copy of the study has changed")
    return parse_study(approval.document)


def _facts(
    study: StudyDocument,
    approval: Approval | None,
    view: StudyView,
    request: JourneyRequest,
    requester: str,
    train: TrainFacts,
    dataset: Dataset | None,
    settings: StationSettings,
) -> Facts:
    assert approval is not None, "own_study has seen it"
    name = settings.name
    if request.datasets.get(name) not in approval.datasets or dataset is None:
        raise NotAllowed("The study's approval here does not cover the dataset asked for")
    decisions = [decision_of(study, entry) for entry in known_entries(approval, view)]
    return facts_of(
        study,
        decisions,
        request,
        requester,
        train.signer,
        reproducible=train.reproducible,
        use_terms={name: {dataset.name: dataset.use_terms}},
    )


def known_entries(approval: Approval, view: StudyView) -> list[Entry]:
    """Join what central shows of a study with what this station knows of it already.

    A decision that was known here once is not forgotten because central no longer shows it.
    """
    known = {entry.id: entry for entry in approval.entries}
    shown = [entry for entry in view.entries if entry.id not in known]
    return [*approval.entries, *shown]
