"""The crate's metadata: RO-Crate 1.2 with the Five Safes profile 0.4 (w3id.org/5s-crate/0.4)."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator, Mapping
from typing import Any

from branchline import __version__
from branchline.foundation.crates import (
    CONTEXT,
    DONE,
    PROCESS_RUN,
    Entity,
    descriptor,
    moment,
    one_or_all,
    profile,
    ref,
)
from branchline.journey import acts
from branchline.journey.verify_case import Case
from branchline.train.manifest import Manifest
from branchline.workbench.crate.actions import (
    PROJECT,
    SHA256,
    WORKFLOW,
    combining_actions,
    output_entities,
    requester_id,
    station_id,
    stop_actions,
)

PROVENANCE = "provenance.jsonld"
_CONTEXT = [CONTEXT, {"shp": "https://w3id.org/shp#"}]
_SHA512 = "https://www.iana.org/assignments/named-information#sha-512"
_FIVE_SAFES = "https://w3id.org/5s-crate/0.4"
_WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_TYPES = {".arrow": "application/vnd.apache.arrow.stream", ".toml": "application/toml"}


def describe(
    case: Case, manifest: Manifest, files: Mapping[str, bytes], published: str
) -> dict[str, Any]:
    """Return the metadata of a crate that holds these files.

    Args:
        case: The verified journey.
        manifest: The train's.
        files: Contents by path, without the metadata itself.
        published: When the crate is made, RFC 3339.
    """
    results = [path for path in files if path.startswith("result/")]
    actions = [
        *(action for s in case.request.route.stations for action in stop_actions(case, s)),
        *combining_actions(case, results),
        _publishing(case, published),
    ]
    parts = [*files, "workflow/"]
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{manifest.name} {manifest.version}: result of {case.request.journey}",
        "description": (
            f"The train {manifest.name} ran at {len(case.contributors)} stations under the study "
            f"{case.study.id}; what they released, and the signed evidence of it."
        ),
        "identifier": f"urn:branchline:{case.request.journey}",
        "datePublished": published,
        "license": ref("#terms"),
        "author": ref(requester_id(case)),
        "publisher": ref(requester_id(case)),
        "conformsTo": [ref(_FIVE_SAFES), ref(PROCESS_RUN)],
        "mainEntity": ref("workflow/"),
        "sourceOrganization": ref(PROJECT),
        "mentions": [ref(action["@id"]) for action in actions],
        "hasPart": [ref(path) for path in parts],
    }
    graph = [descriptor(), root, *_frame(case, manifest, files), *actions, *output_entities(case)]
    graph += [_file(path, data) for path, data in files.items() if path != WORKFLOW]
    return {"@context": _CONTEXT, "@graph": graph}


def _frame(case: Case, manifest: Manifest, files: Mapping[str, bytes]) -> Iterator[Entity]:
    study = case.study
    yield {
        "@id": PROJECT,
        "@type": ["Project", "CreativeWork"],
        "name": study.title,
        "description": study.purpose,
        "identifier": f"urn:branchline:study:{study.digest}",
        "member": one_or_all([ref(station_id(s.name)) for s in study.stations]),
    }
    yield {
        "@id": "#terms",
        "@type": "CreativeWork",
        "name": f"Terms of the study {study.id}",
        "description": f"Use as the study permits: {', '.join(study.duo)} (Data Use Ontology)",
    }
    yield from _workflow(case, manifest, files)
    yield from _parties(case)
    for iri, name in _PROFILES.items():
        yield profile(iri, name)
    # Five Safes names the algorithm, and Process Run Crate wants what made the values as software.
    yield {
        "@id": _SHA512,
        "@type": "SoftwareApplication",
        "name": "SHA-512, by which the bag's files are named",
        "version": "FIPS 180-4",
        "url": ref(_SHA512),
    }
    yield {"@id": SHA256, "@type": "CreativeWork", "name": "SHA-256, by which trains are named"}


_PROFILES = {
    _FIVE_SAFES: "Five Safes RO-Crate profile 0.4",
    PROCESS_RUN: "Process Run Crate 0.5",
    _WORKFLOW_CRATE: "Workflow RO-Crate profile 1.0",
}


def _workflow(case: Case, manifest: Manifest, files: Mapping[str, bytes]) -> Iterator[Entity]:
    code = [path for path in files if path.startswith("workflow/")]
    about = {"name": f"{manifest.name} {manifest.version}", "version": manifest.version}
    yield {
        "@id": "workflow/",
        "@type": "Dataset",
        **about,
        "description": manifest.description or f"The train {manifest.name}",
        "identifier": f"urn:branchline:train:{case.request.train}",
        "conformsTo": ref(_WORKFLOW_CRATE),
        "mainEntity": ref(WORKFLOW),
        "hasPart": one_or_all([ref(path) for path in code]),
    }
    yield {
        "@id": WORKFLOW,
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        **about,
        "encodingFormat": _TYPES[".toml"],
        "contentSize": str(len(files[WORKFLOW])),
        "programmingLanguage": ref("#train-language"),
    }
    yield {
        "@id": "#train-language",
        "@type": "ComputerLanguage",
        "name": "Branchline train",
        "version": __version__,
        "url": "urn:branchline:language:train",
    }


def _parties(case: Case) -> Iterator[Entity]:
    for person in case.study.people:
        yield {
            "@id": f"#person-{person.name}",
            "@type": "Person",
            "name": person.name,
            "jobTitle": person.role,
            "identifier": f"urn:branchline:key:{person.keys.id}",
            "affiliation": ref(PROJECT),
        }
    for station in case.study.stations:
        yield {
            "@id": station_id(station.name),
            "@type": "Organization",
            "name": station.name,
            "identifier": f"urn:branchline:key:{station.keys.id}",
        }
    yield {
        "@id": "#aggregator",
        "@type": "SoftwareApplication",
        "name": f"The aggregator, at {case.study.aggregator}",
        "version": __version__,
        "url": "urn:branchline:program:aggregator",
    }
    yield from _datasets(case)


def _datasets(case: Case) -> Iterator[Entity]:
    for station in case.request.route.stations:
        found = [a for _, a in case.of_station(station) if isinstance(a, acts.StopAccepted)]
        if found:
            yield {
                "@id": f"#dataset-{station}",
                "@type": "Dataset",
                "name": f"{found[-1].dataset} at {station}: it stays there",
                "identifier": f"urn:branchline:dataset:{found[-1].dataset_version}",
            }


def _publishing(case: Case, published: str) -> Entity:
    return {
        "@id": "#publish",
        "@type": "UpdateAction",
        "additionalType": ref("https://w3id.org/shp#GenerateCheckValue"),
        "name": "The crate was written and its check values made",
        "object": ref("./"),
        "instrument": ref(_SHA512),
        "agent": ref(requester_id(case)),
        "endTime": moment(published),
        "actionStatus": DONE,
    }


def _file(path: str, data: bytes) -> Entity:
    return {
        "@id": path,
        "@type": "File",
        "name": path.rsplit("/", 1)[-1],
        "encodingFormat": _format(path),
        "contentSize": str(len(data)),
    }


def _format(path: str) -> str:
    suffix = path[path.rfind(".") :] if "." in path else ""
    guessed = _TYPES.get(suffix) or mimetypes.guess_type(path)[0]
    return guessed or "application/octet-stream"
