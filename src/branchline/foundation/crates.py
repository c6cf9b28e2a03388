"""Words of RO-Crate 1.2 and of its profile for runs, Process Run Crate 0.5, that every crate has."""

from __future__ import annotations

from typing import Any

from branchline.foundation.clock import parse_time

Entity = dict[str, Any]

METADATA = "ro-crate-metadata.json"
CRATE = "https://w3id.org/ro/crate/1.2"
CONTEXT = f"{CRATE}/context"
PROCESS_RUN = "https://w3id.org/ro/wfrun/process/0.5"
RUN_TERMS = "https://w3id.org/ro/terms/workflow-run#"
DONE = "http://schema.org/CompletedActionStatus"
FAILED = "http://schema.org/FailedActionStatus"


def ref(id: str) -> Entity:
    """Point to an entity of the crate."""
    return {"@id": id}


def one_or_all(entities: list[Entity]) -> Entity | list[Entity]:
    """Return a list's only entity, or the list: RO-Crate spells one value as one value."""
    return entities[0] if len(entities) == 1 else entities


def profile(iri: str, name: str) -> Entity:
    """Describe a profile that a crate conforms to."""
    return {"@id": iri, "@type": ["CreativeWork", "Profile"], "name": name}


def descriptor() -> Entity:
    """Describe the metadata file itself (RO-Crate 1.2, "RO-Crate Metadata Descriptor")."""
    return {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": ref("./"),
        "conformsTo": ref(CRATE),
    }


def moment(at: str) -> str:
    """Write a time as the profile's checks want it: milliseconds, and the zone in digits.

    Raises:
        Refused: It is no time.
    """
    return parse_time(at).isoformat(timespec="milliseconds")
