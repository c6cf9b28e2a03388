"""Recorded runs and cells as the actions of a Process Run Crate 0.5 (w3id.org/ro/wfrun/process).

Each action follows from one signed record, so whoever has the records can make it anew and compare.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from branchline.foundation.crates import DONE, FAILED, Entity, moment, one_or_all, ref
from branchline.foundation.decoding import convert, decode_json
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import Refused
from branchline.project.activity.record import Detail, Kind, Signed
from branchline.project.carrying.things import Things, mark, program

T = TypeVar("T")

Blobs = Callable[[Digest], bytes | None]
"""Gives a blob's bytes; None where it cannot be had."""

Scripts = Callable[[Sequence[tuple[str, str]]], Sequence[str | None]]
"""Gives for commits and paths git's names of the files; None where there is none."""

_PUT_OUT = ("stdout", "stderr", "result", "figure", "error")
_LONGEST = 2000


class _Command(msgspec.Struct):
    words: list[str] = []
    exit: int | None = None


class _Code(msgspec.Struct):
    commit: str | None = None


class _File(msgspec.Struct):
    path: str
    content: str | None = None
    size: int | None = None


class _Files(msgspec.Struct):
    files: list[_File] = []
    missing: list[str] = []


class _Facts(msgspec.Struct):
    began: str | None = None
    ended: str | None = None
    notebook: str = ""
    prompt: int | None = None
    lost: bool = False


class _Error(msgspec.Struct):
    name: str = ""
    value: str = ""


class _List(msgspec.Struct):
    name: str
    number: int
    digest: str


class _Place(msgspec.Struct):
    image: str = ""
    host: str = ""


class _Comparison(msgspec.Struct):
    verdict: str = ""
    problem: str = ""


def person(key: str) -> str:
    """Name within the crate whoever holds a key."""
    return f"#key-{quote(key)}"


def action_of(digest: str) -> str:
    """Name within the crate the action that a record tells of."""
    return f"#record-{digest[7:23]}"


def actions(
    records: Iterable[Signed], things: Things, blobs: Blobs, scripts: Scripts
) -> list[Entity]:
    """Return what was run: each command, each repetition, each cell that put something out or failed.

    Args:
        records: All records, in order.
        things: Takes what they speak of.
        blobs: Gives the large details.
        scripts: Tells which words of a command are files that the project had then.
    """
    told = [_Told(signed, blobs) for signed in records if signed.record.type == "execution"]
    asked = [(each.code.commit or "", path) for each in told for path in each.paths]
    names = iter(scripts(asked))
    found = []
    for each in told:
        known = [(path, name) for path, name in zip(each.paths, names, strict=False) if name]
        if (made := _action(each, things, known)) is not None:
            found.append(made)
    return found


class _Told:
    """What one record tells, each part as it should be or else empty: others may have written it."""

    def __init__(self, signed: Signed, blobs: Blobs) -> None:
        self.signed, self.record, self._blobs = signed, signed.record, blobs
        self.command = self._read("command", _Command) or _Command()
        self.code = self._read("code", _Code) or _Code()
        self.inputs = self._read("inputs", _Files) or _Files()
        self.outputs = self._read("outputs", _Files) or _Files()
        self.facts = self._read("metadata", _Facts) or _Facts()
        self.error = self._read("error", _Error)
        self.lists = self._read("lists", list[_List]) or []
        self.comparison = self._read("comparison", _Comparison)
        self.paths = _paths(self) if self.command.words else []

    def _read(self, kind: Kind, form: type[T]) -> T | None:
        for detail in self.record.details:
            if detail.kind == kind:
                try:
                    if detail.digest is None:
                        return convert(detail.value, form)
                    data = self._blobs(detail.digest)
                    return None if data is None else decode_json(data, form)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    return None
        return None

    @property
    def place(self) -> _Place:
        said = self.record.detail("environment")
        if isinstance(said, str):
            return _Place(image=said) if said.startswith("sha256:") else _Place(host=said)
        return self._read("environment", _Place) or _Place()

    def put_out(self) -> list[tuple[int, Detail]]:
        """Return what it printed, showed and drew, without what is empty."""
        every = enumerate(self.record.details)
        return [(n, d) for n, d in every if d.kind in _PUT_OUT and (d.digest or d.value)]


def _paths(told: _Told) -> list[str]:
    """Return the words of a command that may name a file of the project that was run."""
    read = {each.path for each in told.inputs.files}
    found = [posixpath.normpath(word) for word in told.command.words if word and "\n" not in word]
    plain = [path for path in found if not path.startswith(("/", "-", ".."))]
    return [path for path in plain if path not in read] if told.code.commit else []


def _action(told: _Told, things: Things, known: list[tuple[str, str]]) -> Entity | None:
    record, digest = told.record, told.signed.digest
    place = told.place
    where = place.image or place.host
    made: Entity = {
        "@id": action_of(digest),
        "@type": "CreateAction",
        "name": record.message,
        "identifier": f"urn:branchline:record:{digest}",
        "agent": ref(person(record.by.key)),
        "actionStatus": DONE if record.outcome == "done" else FAILED,
        **_times(told),
    }
    if told.command.words:
        words = told.command.words
        ran = things.script(*known[0]) if known else things.tool(words[0], where)
        made |= {"description": " ".join(words)[:_LONGEST], "instrument": ran}
    elif (told.put_out() or told.error) and (code := _cell(told, things)) is not None:
        made |= {"description": _where_of(told), "instrument": code}
    else:
        return None
    objects = [things.file(f.path, f.content, f.size) for f in told.inputs.files if f.content]
    objects += [things.add(_list(each)) for each in told.lists]
    results = [things.file(f.path, f.content, f.size) for f in told.outputs.files if f.content]
    results += [things.part(digest, number, detail) for number, detail in told.put_out()]
    if told.comparison is not None:
        results.append(things.add(_compared(told, told.comparison)))
    if record.about is not None:
        objects.append(things.add(_record(record.about)))
    for name, several in (("object", objects), ("result", results)):
        if several:
            made[name] = one_or_all(_once(several))
    if place.image:
        made["containerImage"] = things.image(place.image)
    if isinstance(seed := record.detail("seed"), int):
        made["environment"] = things.add(_seed(seed))
    return made | ({} if record.outcome == "done" else {"error": _error(told)})


def _cell(told: _Told, things: Things) -> Entity | None:
    """Point to a cell's code; None where the record is of no cell."""
    found = next((each for each in told.record.details if each.kind == "code"), None)
    if found is None or not (found.digest or isinstance(found.value, str)):
        return None
    name = found.digest or digest_of(found.value.encode(errors="replace"))
    made = program(f"#code-{told.signed.digest[7:23]}", _where_of(told), name)
    return things.add(made if found.digest else made | {"text": found.value})


def _where_of(told: _Told) -> str:
    prompt = "a cell" if told.facts.prompt is None else f"prompt {told.facts.prompt}"
    return f"{prompt} of {told.facts.notebook or 'a notebook'}"


def _times(told: _Told) -> Entity:
    """Return when it began and ended; what is no time is left out."""
    found = {"startTime": told.facts.began, "endTime": told.facts.ended or told.record.at}
    made: Entity = {}
    for name, at in found.items():
        try:
            made |= {name: moment(at)} if at else {}
        except Refused:
            continue
    return made


def _list(used: _List) -> Entity:
    return {
        "@id": f"#list-{mark(used.digest)}",
        "@type": "CreativeWork",
        "name": f"The data list {used.name}@{used.number}",
        "identifier": used.digest,
    }


def _compared(told: _Told, comparison: _Comparison) -> Entity:
    return {
        "@id": f"#comparison-{told.signed.digest[7:23]}",
        "@type": "CreativeWork",
        "name": "What came out this time, compared",
        "text": ": ".join(filter(None, (comparison.verdict, comparison.problem))),
    }


def _record(digest: str) -> Entity:
    return {
        "@id": f"#about-{digest[7:23]}",
        "@type": "CreativeWork",
        "name": "What was done again",
        "identifier": f"urn:branchline:record:{digest}",
    }


def _seed(seed: int) -> Entity:
    return {
        "@id": f"#seed-{seed}",
        "@type": "PropertyValue",
        "name": "BRANCHLINE_SEED",
        "value": str(seed),
    }


def _error(told: _Told) -> str:
    if told.error is not None:
        return f"{told.error.name}: {told.error.value}"[:_LONGEST]
    if told.record.outcome == "interrupted":
        return "The kernel ended" if told.facts.lost else "It was interrupted"
    if told.comparison is not None and told.comparison.problem:
        return told.comparison.problem[:_LONGEST]
    missing = ", ".join(told.outputs.missing[:3])
    return f"Not written: {missing}" if missing else f"Exit code {told.command.exit}"


def _once(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [ref(id) for id in dict.fromkeys(each["@id"] for each in entities)]
