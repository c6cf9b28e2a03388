"""A study as people and programs see it; shared by researchers' and stations' commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from branchline.cli.frame import lines

if TYPE_CHECKING:
    from branchline.foundation.digest import Digest
    from branchline.study.document import StudyDocument
    from branchline.study.lifecycle import Standing


def study_as_json(study: StudyDocument, digest: Digest, standing: Standing) -> dict[str, Any]:
    """Return a study and where it stands as plain JSON values."""
    import msgspec

    from branchline.study.witnesses import outside_names, policy_of, resists, threshold_of

    return {
        "study": study.id,
        "digest": digest,
        "state": standing.state.value,
        "sites": {name: list(made.datasets) for name, made in standing.sites.items()},
        "witnesses": {
            "entities": {e: [s.name for s in own] for e, own in study.witnesses().items()},
            "outside": outside_names(study),
            "needed": threshold_of(study),
            "dishonest_resisted": resists(study),
            "policy": policy_of(study).digest,
        },
        "document": msgspec.to_builtins(study),
    }


def study_as_text(study: StudyDocument, digest: Digest, standing: Standing) -> str:
    """Return a study on one screen: what for, who with which key, which data, until when."""
    names = [*(p.name for p in study.people), *(s.name for s in study.stations)]
    width = max(len(name) for name in names)
    people = [
        f"  {p.name:<{width}}  {p.role:<24} key {p.keys.id}{_part(study, p.name)}"
        for p in study.people
    ]
    stations = [
        f"  {s.name:<{width}}  {', '.join(s.datasets):<24} key {s.keys.id}"
        f"  ({'approved' if s.name in standing.sites else 'has not approved'})"
        for s in study.stations
    ]
    trains = ", ".join(study.trains) if study.trains is not None else "any that a member signed"
    return lines(
        f"{study.id}: {study.title}",
        f"state      {standing.state.value}",
        f"digest     {digest}",
        f"purpose    {study.purpose}",
        f"protocol   {study.protocol}",
        f"use        {' '.join(study.duo)}",
        f"valid      {study.valid_from:%Y-%m-%d %H:%M} to {study.valid_until:%Y-%m-%d %H:%M} UTC",
        f"combined   at {study.aggregator}",
        f"trains     {trains}",
        f"demands    {study.minimum_group} records behind any output, "
        f"{study.minimum_stations} stations behind any result",
        f"central    {study.central.origin}  key {study.central.keys.id}",
        f"ledger     {_witnesses(study)}",
        "people",
        *people,
        "stations",
        *stations,
    )


def _witnesses(study: StudyDocument) -> str:
    from branchline.study.witnesses import outside_names, resists, threshold_of

    count, needed = len(study.witnesses()), threshold_of(study)
    outside = ", ".join(outside_names(study))
    if not count:
        return f"cosigned by {outside or 'nobody: central alone vouches for it'}"
    tolerated = resists(study)
    lies = f"{tolerated} of them may lie" if tolerated > 0 else "none of them may lie"
    also = f"; and by {outside}" if outside else ""
    return f"cosigned by {needed} of {count} legal entities; {lies}{also}"


def _part(study: StudyDocument, name: str) -> str:
    parts = [part for part in ("proposer", "approver") if getattr(study, part) == name]
    return f"  ({', '.join(parts)})" if parts else ""
