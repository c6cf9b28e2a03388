"""An export as an RO-Crate 1.2: what is in it, in words that other programs read."""

from __future__ import annotations

import json
import mimetypes
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from urllib.parse import quote

from branchline.foundation.crates import (
    CONTEXT,
    PROCESS_RUN,
    RUN_TERMS,
    Entity,
    descriptor,
    one_or_all,
    profile,
    ref,
)
from branchline.project.activity.feed import read_all
from branchline.project.activity.record import Signed
from branchline.project.carrying.actions import Blobs, actions, person
from branchline.project.carrying.form import BUNDLE, MANIFEST, Content, Manifest
from branchline.project.carrying.things import Things
from branchline.project.git.command import Git
from branchline.project.manifest import printable_path
from branchline.project.place import Project

_CONTEXT = [
    CONTEXT,
    {
        name: f"{RUN_TERMS}{name}"
        for name in ("containerImage", "ContainerImage", "DockerImage", "environment")
    },
]
_LICENSES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "COPYING")


def described(
    project: Project,
    manifest: Manifest,
    files: Mapping[str, Content],
    paths: Mapping[str, set[str]],
    blobs: Blobs,
) -> list[Entity]:
    """Return the graph of ``ro-crate-metadata.json`` for an export.

    It follows from the manifest, the history and the records alone: whoever has the export can make
    it anew.

    Args:
        project: The project, at the manifest's head.
        manifest: What the export holds.
        files: What is below ``files``, by path.
        paths: Where each content of git-annex ever stood, by its name.
        blobs: Gives the contents that records name, as far as the export holds them.
    """
    records = read_all(project)
    things = Things(files, manifest.contents)
    scripts = partial(_scripts, project.git, manifest)
    done = actions(records, things, blobs, scripts)
    people = _people(records)
    parts = list(_parts(manifest, files, paths, things))
    terms = next((files[name].file for name in _LICENSES if name in files), None)
    root = _root(project, manifest, quote(terms) if terms else "#terms")
    root["hasPart"] = one_or_all([ref(part["@id"]) for part in parts])
    if people:
        root["author"] = one_or_all([ref(each["@id"]) for each in people])
        root["publisher"] = ref(people[0]["@id"])
    graph: list[Entity] = [descriptor(), root, *parts, *people]
    if done:
        root["conformsTo"] = ref(PROCESS_RUN)
        root["mentions"] = one_or_all([ref(each["@id"]) for each in done])
        graph += [profile(PROCESS_RUN, "Process Run Crate 0.5"), *done, *things.named.values()]
    if terms is None:
        said = "The project has no file LICENSE: ask its authors"
        graph.append(
            {"@id": "#terms", "@type": "CreativeWork", "name": "Terms of use", "description": said}
        )
    return graph


def written(graph: list[Entity]) -> bytes:
    """Write a graph as ``ro-crate-metadata.json``."""
    text = json.dumps({"@context": _CONTEXT, "@graph": graph}, ensure_ascii=False, indent=1)
    return text.encode() + b"\n"


def _root(project: Project, manifest: Manifest, terms: str) -> Entity:
    about = project.described
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": about.name,
        "description": about.description or f"The project {about.name}: code, data, history",
        "identifier": f"urn:branchline:{about.id}",
        "datePublished": manifest.made,
        "license": ref(terms),
        "version": manifest.head,
    }


def _parts(
    manifest: Manifest, files: Mapping[str, Content], paths: Mapping[str, set[str]], things: Things
) -> Iterator[Entity]:
    """Yield the files of the crate; those that were run are source code, too."""
    size = manifest.history.size
    about = "The whole history, as git has it (git clone reads it)"
    yield _file(BUNDLE, about, size, "application/x-git-bundle")
    yield {
        "@id": MANIFEST,
        "@type": "File",
        "name": "What is in the export, and what is not",
        "encodingFormat": "application/json",
    }
    for path, each in sorted(files.items()):
        made = _file(each.file, path, each.size, _media(path)) | {"sha256": each.digest[7:]}
        yield made | _as_code(each.file, things)
    for each in manifest.contents:
        name = printable_path(min(paths.get(each.key, {f"Content {each.key}"})))
        made = _file(each.file, name, each.size, things.media.get(each.file) or _media(name))
        made |= {"sha256": each.digest[7:], "identifier": each.key}
        yield made | _as_code(each.file, things)


def _as_code(place: str, things: Things) -> Entity:
    if place not in things.code:
        return {}
    return {"@type": ["File", "SoftwareSourceCode"], "version": things.code[place]}


def _scripts(
    git: Git, manifest: Manifest, asked: Sequence[tuple[str, str]]
) -> Sequence[str | None]:
    """Return git's names of the files at commits of the export, and None where there is no file."""
    held = set(git.word("rev-list", *manifest.refs.values()).split())
    known = [(commit, path) for commit, path in asked if commit in held]
    feed = b"".join(os.fsencode(f"{commit}:{path}\n") for commit, path in known)
    printed = git.run("cat-file", "--batch-check=%(objecttype) %(objectname)", feed=feed)
    lines = iter(printed.decode(errors="replace").splitlines())
    found = [next(lines).split() if commit in held else [] for commit, _ in asked]
    return [f"git:{words[1]}" if words[:1] == ["blob"] else None for words in found]


def _people(records: Sequence[Signed]) -> list[Entity]:
    """Return who is on record, by key; a name is what its holder claims."""
    names: dict[str, str] = {}
    for signed in records:
        names.setdefault(signed.record.by.key, signed.record.by.name)
    return [
        {"@id": person(key), "@type": "Person", "name": name, "identifier": key}
        for key, name in sorted(names.items())
    ]


def _file(place: str, name: str, size: int, media: str) -> Entity:
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
