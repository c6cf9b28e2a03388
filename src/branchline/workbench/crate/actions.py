"""What happened at each stop, as the actions that a Five Safes RO-Crate 0.4 asks for."""

from __future__ import annotations

from collections.abc import Iterator

from branchline.foundation.crates import DONE, FAILED, Entity, moment, one_or_all, ref
from branchline.journey import acts
from branchline.journey.verify_case import Case, Placed
from branchline.workbench.crate.prov import entry_iri, name_of

WORKFLOW, PROJECT = "workflow/train.toml", "#project"
SHA256 = "https://www.iana.org/assignments/named-information#sha-256"
_SHP = "https://w3id.org/shp#"


def station_id(name: str) -> str:
    """Name a station within the crate."""
    return f"#station-{name}"


def stop_actions(case: Case, station: str) -> Iterator[Entity]:
    """Yield the actions of one stop, each tied to the ledger entry that says so.

    A stop whose outputs were withheld has a failed disclosure check and no execution: nothing of
    it is in the crate. A declined one has a failed sign-off.
    """
    for placed in case.about_journey:
        act = placed.act
        if not isinstance(act, acts.StopAct) or act.station != station:
            continue
        if isinstance(act, acts.StopAccepted):
            yield from _accepted(placed, act, station)
        elif isinstance(act, acts.StopDeclined):
            yield _assess(placed, station, "SignOff", "Sign-off", act.by, failed=act.reason)
        elif isinstance(act, acts.StopReleased):
            yield _execution(case, placed, act)
            yield _assess(placed, station, "DisclosureCheck", "Disclosure check", act.by)
        elif isinstance(act, acts.StopWithheld):
            yield _assess(
                placed, station, "DisclosureCheck", "Disclosure check", act.by, failed=act.reason
            )


def combining_actions(case: Case, results: list[str]) -> Iterator[Entity]:
    """Yield one action per round that the aggregator combined; the last has the result."""
    for placed in case.about_journey:
        act = placed.act
        if not isinstance(act, acts.JourneyCombined):
            continue
        yield {
            "@id": f"#combine-{placed.position}",
            "@type": "CreateAction",
            "name": f"Round {act.round} combined over {len(act.inputs)} stations",
            "instrument": ref(WORKFLOW),
            "agent": ref("#aggregator"),
            "object": one_or_all([ref(f"#output-{s}-{act.round}") for s in sorted(act.inputs)]),
            **_results(results if act.result is not None else []),
            "endTime": moment(act.at),
            "actionStatus": DONE,
            "identifier": entry_iri(placed),
        }


def _results(paths: list[str]) -> Entity:
    return {"result": one_or_all([ref(path) for path in paths])} if paths else {}


def output_entities(case: Case) -> Iterator[Entity]:
    """Yield what stations released, by digest: the bytes themselves are not in the crate."""
    for placed in case.about_journey:
        act = placed.act
        if isinstance(act, acts.StopReleased):
            yield {
                "@id": f"#output-{act.station}-{act.round}",
                "@type": "CreativeWork",
                "name": f"What {act.station} released in round {act.round}",
                "identifier": str(act.content),
            }


def requester_id(case: Case) -> str:
    """Name the requester within the crate."""
    return f"#person-{name_of(case, case.requested.kid)}"


def _accepted(placed: Placed, act: acts.StopAccepted, station: str) -> Iterator[Entity]:
    yield {
        "@id": f"#download-{placed.position}",
        "@type": "DownloadAction",
        "name": f"{station} fetched the train",
        "object": ref("workflow/"),
        "agent": ref(station_id(station)),
        "endTime": moment(act.at),
        "actionStatus": DONE,
        "identifier": entry_iri(placed),
    }
    yield _assess(placed, station, "CheckValue", "Digest and signature check", instrument=SHA256)
    yield _assess(placed, station, "ValidationCheck", "Contract checked against the dataset")
    yield _assess(placed, station, "SignOff", "Sign-off", act.by)


def _assess(
    placed: Placed,
    station: str,
    kind: str,
    name: str,
    by: str = "",
    *,
    instrument: str = PROJECT,
    failed: str = "",
) -> Entity:
    made: Entity = {
        "@id": f"#{kind.lower()}-{placed.position}",
        "@type": "AssessAction",
        "additionalType": ref(_SHP + kind),
        "name": f"{name} at {station}" + (f", by {by}" if by else ""),
        "instrument": ref(instrument),
        "object": [ref("workflow/"), ref(PROJECT)],
        "agent": ref(station_id(station)),
        "endTime": moment(placed.act.at),
        "actionStatus": FAILED if failed else DONE,
        "identifier": entry_iri(placed),
    }
    return made | ({"error": failed} if failed else {})


def _execution(case: Case, placed: Placed, act: acts.StopReleased) -> Entity:
    return {
        "@id": f"#run-{act.station}-{act.round}",
        "@type": "CreateAction",
        "name": f"The train ran at {act.station}, round {act.round}",
        "instrument": ref(WORKFLOW),
        "agent": ref(requester_id(case)),
        "object": ref(f"#dataset-{act.station}"),
        "result": ref(f"#output-{act.station}-{act.round}"),
        "endTime": moment(act.at),
        "actionStatus": DONE,
        "identifier": entry_iri(placed),
    }
