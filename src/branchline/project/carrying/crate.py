"""An export as an RO-Crate 1.2: what is in it, in words that other programs read."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from branchline.project.activity.feed import read_all
from branchline.project.carrying.form import BUNDLE, CRATE, MANIFEST, Content, Manifest
from branchline.project.place import Project

_CONTEXT = "https://w3id.org/ro/crate/1.2/context"
_VERSION = "https://w3id.org/ro/crate/1.2"
_LICENSES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "COPYING")


def described(project: Project, manifest: Manifest, files: Mapping[str, Content]) -> bytes:
    """Return ``ro-crate-metadata.json`` for an export.

    Args:
        project: The project.
        manifest: What the export holds.
        files: What is below ``files``, by path.
    """
    people = _people(project)
    about = project.described
    parts: list[dict[str, Any]] = [
        _file(
            BUNDLE,
            "The whole history, as git has it (git clone reads it)",
            manifest.history.size,
            "application/x-git-bundle",
        ),
        {
            "@id": MANIFEST,
            "@type": "File",
            "name": "What is in the export, and what is not",
            "encodingFormat": "application/json",
        },
        *(
            _file(each.file, path, each.size, _media(path)) | {"sha256": each.digest[7:]}
            for path, each in sorted(files.items())
        ),
        *(
            _file(each.file, f"Content {each.key}", each.size, "application/octet-stream")
            | {"sha256": each.digest[7:], "identifier": each.key}
            for each in manifest.contents
        ),
    ]
    terms = next((files[name].file for name in _LICENSES if name in files), None)
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": about.name,
        "description": about.description or f"The project {about.name}: code, data, history",
        "identifier": f"urn:branchline:{about.id}",
        "datePublished": manifest.made,
        "license": {"@id": quote(terms) if terms else "#terms"},
        "version": manifest.head,
        "hasPart": [{"@id": part["@id"]} for part in parts],
    }
    if people:
        authors = [{"@id": person["@id"]} for person in people]
        root["author"] = authors[0] if len(authors) == 1 else authors
        root["publisher"] = {"@id": people[0]["@id"]}
    head = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": _VERSION},
    }
    graph: list[dict[str, Any]] = [head, root, *parts, *people]
    if terms is None:
        said = "The project has no file LICENSE: ask its authors"
        graph.append(
            {"@id": "#terms", "@type": "CreativeWork", "name": "Terms of use", "description": said}
        )
    text = json.dumps({"@context": _CONTEXT, "@graph": graph}, ensure_ascii=False, indent=1)
    return text.encode() + b"\n"


def _people(project: Project) -> list[dict[str, Any]]:
    """Return who is on record, by key; a name is what its holder claims."""
    names: dict[str, str] = {}
    for signed in read_all(project):
        names.setdefault(signed.record.by.key, signed.record.by.name)
    return [
        {"@id": f"#key-{quote(key)}", "@type": "Person", "name": name, "identifier": key}
        for key, name in sorted(names.items())
    ]


def _file(place: str, name: str, size: int, media: str) -> dict[str, Any]:
    return {
        "@id": quote(place),
        "@type": "File",
        "name": name,
        "contentSize": str(size),
        "encodingFormat": media,
    }


def _media(path: str) -> str:
    if path.endswith(".ipynb"):
        return "application/x-ipynb+json"
    return mimetypes.guess_type(path)[0] or "application/octet-stream"
