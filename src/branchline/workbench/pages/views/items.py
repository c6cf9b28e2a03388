"""A record as people read it: what was done, what came of it, what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from branchline.foundation.errors import BranchlineError
from branchline.project.activity.files import read_blob
from branchline.project.activity.record import ACTIONS, Detail, Record, Signed
from branchline.project.place import Project
from branchline.project.savepoints import TAG
from branchline.workbench.pages.shown.code import code, command
from branchline.workbench.pages.shown.media import EMPTY, PICTURES, Piece, best, piece
from branchline.workbench.pages.shown.terminal import plain, terminal

_READ_AT_MOST = 4 << 20
_EXCERPT, _LINES = 1600, 12
_FULL = 200_000
_CHANGES = 5
_VERDICTS = {"identical": "good", "equal": "good", "different": "bad", "failed": "bad"}


@dataclass(frozen=True)
class FileChange:
    """One file that a record tells of."""

    path: str
    change: str
    size: int | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Item:
    """One record, ready to be shown.

    Args:
        name: Its file below ``activity``, without the ending.
        short: The first digits of its digest.
        at: When.
        by: Whose name it bears.
        kind: What it is about, for the picture beside it.
        what: What was done, in words.
        tone: good, bad or plain.
        badge: The outcome or verdict, where it is worth a word.
        title: The line that says most.
        facts: Small facts, in order.
        source: Code or a command, as HTML.
        pieces: What came of it.
        files: Files it tells of.
        more_files: How many more there are.
        text: What somebody wrote.
        cut: Whether there is more on the record's own page.
        again: Whether it can be run again.
        back: Whether one can go back to it.
    """

    name: str
    short: str
    at: str
    by: str
    kind: str
    what: str
    tone: str
    badge: str
    title: str
    facts: tuple[str, ...] = ()
    source: Markup = EMPTY
    pieces: tuple[Piece, ...] = ()
    files: tuple[FileChange, ...] = ()
    more_files: int = 0
    text: str = ""
    cut: bool = False
    again: bool = False
    back: bool = False


_WHAT = {
    ("execution", "run"): "Ran",
    ("execution", "fail"): "Failed",
    ("execution", "interrupt"): "Interrupted",
    ("execution", "re-run"): "Ran again",
    ("note", "create"): "Note",
    ("note", "hide"): "Hid a record",
    ("note", "show"): "Showed a record again",
    ("milestone", "create"): "Milestone",
    ("project", "create"): "Project begun",
    ("project", "adopt"): "Repository adopted",
    ("project", "export"): "Project exported",
    ("code", "create"): "New code",
    ("code", "edit"): "Code changed",
    ("code", "delete"): "Code removed",
    ("data", "add"): "New data",
    ("data", "edit"): "Data changed",
    ("data", "delete"): "Data removed",
    ("environment", "change"): "Environment changed",
    ("data", "get"): "Brought data",
    ("data", "drop"): "Dropped data",
    ("data", "list"): "New data list",
    ("check", "pass"): "Check passed",
    ("check", "fail"): "Check failed",
    ("branch", "create"): "New branch",
    ("branch", "rollback"): "Went back",
    ("branch", "merge"): "Merged",
    ("sync", "create"): "Synced",
    ("sync", "merge"): "Synced",
    ("data", "send"): "Data sent",
    ("sync", "reset"): "History rewritten elsewhere",
    ("gap", "record"): "Gap",
}


def item(
    project: Project, base: str, signed: Signed, *, here: str = "", full: bool = False
) -> Item:
    """Return a record as it is shown.

    Args:
        project: Where its contents are.
        base: What the project's addresses begin with.
        signed: The record.
        here: The branch that is checked out: one need not be told of it.
        full: Whether all of it is shown, as far as that goes, or its beginning.
    """
    record = signed.record
    reading = _Reading(project, f"{base}/part/{signed.name.removesuffix('.json')}", full)
    cell = record.type == "execution" and record.detail("command") is None
    repeated = record.action == "re-run"
    comparison = reading.plain_value(record, "comparison") if repeated else {}
    badge, tone = _badge(record, comparison)
    files, more = _files(record, reading, comparison)
    ran = record.type == "execution" and not cell and record.detail("code") is not None
    return Item(
        name=signed.name.removesuffix(".json"),
        short=signed.digest[7:19],
        at=record.at,
        by=plain(record.by.name[:80]),
        kind="cell" if cell else record.type if record.type in ACTIONS else "other",
        what="Edited"
        if TAG in record.tags and record.type != "gap"
        else _WHAT.get((record.type, record.action), f"{record.type}: {record.action}"),
        tone=tone,
        badge=badge,
        title=plain(record.message[:300]),
        facts=tuple(_facts(record, here=here, full=full)),
        source=_source(record, reading, cell=cell),
        pieces=tuple(_pieces(record, reading)),
        files=files,
        more_files=more,
        text=_text(record),
        cut=reading.cut,
        again=ran and not repeated,
        back=record.type != "gap" and record.action not in ("hide", "show"),
    )


class _Reading:
    """Reads a record's contents, no more of them than is shown."""

    def __init__(self, project: Project, address: str, full: bool) -> None:
        self._project, self.address, self.full = project, address, full
        self.cut = False

    def text(self, detail: Detail) -> str:
        """Return the text of a detail, or its beginning; a sentence where it cannot be had."""
        if detail.digest is None:
            return self.within(detail.value if isinstance(detail.value, str) else "")
        if (detail.size or 0) > _READ_AT_MOST:
            self.cut = True
            return ""
        try:
            return self.within(read_blob(self._project, detail.digest).decode(errors="replace"))
        except (BranchlineError, OSError) as error:
            return f"[{error}]"

    def plain_value(self, record: Record, kind: str) -> dict[str, Any]:
        """Return an object among a record's details; an empty one where there is none."""
        found = self.json(next((d for d in record.details if d.kind == kind), None))
        return found if isinstance(found, dict) else {}

    def json(self, detail: Detail | None) -> Any:
        """Return the plain values of a detail; None where they cannot be had."""
        from branchline.foundation.decoding import decode_json

        if detail is None:
            return None
        if detail.digest is None:
            return detail.value
        if (detail.size or 0) > _READ_AT_MOST:
            return None
        try:
            return decode_json(read_blob(self._project, detail.digest), object)
        except (BranchlineError, OSError, ValueError):
            return None

    def within(self, text: str) -> str:
        """Return as much of a text as is shown."""
        if self.full:
            shown = text[:_FULL]
        else:
            shown = "".join(text[:_EXCERPT].splitlines(keepends=True)[:_LINES])
        self.cut = self.cut or len(shown) < len(text)
        return shown


def _badge(record: Record, comparison: dict[str, Any]) -> tuple[str, str]:
    if comparison:
        verdict = str(comparison.get("verdict", ""))[:20]
        return verdict, _VERDICTS.get(verdict, "plain")
    if record.outcome != "done" or record.type == "gap":
        said = record.type == "gap" or record.action in ("fail", "interrupt")
        return ("" if said else record.outcome), "bad"
    return "", "good" if record.type in ("execution", "milestone", "check") else "plain"


def _facts(record: Record, *, here: str, full: bool) -> list[str]:
    found: list[str] = ["not saved by then"] if full and TAG in record.tags else []
    metadata, resources = record.detail("metadata"), record.detail("resources")
    ran = record.detail("command")
    if isinstance(metadata, dict) and record.type == "execution":
        if metadata.get("notebook"):
            found.append(plain(str(metadata["notebook"])[:120]))
        found += _seconds(metadata.get("seconds"))
    if isinstance(ran, dict) and isinstance(ran.get("exit"), int) and ran["exit"] != 0:
        found.append(f"exit code {ran['exit']}")
    if isinstance(resources, dict):
        found += _seconds(resources.get("seconds"))
    where = record.detail("environment")
    if full and record.type == "execution" and _on_host(where):
        found.append("on this machine as it was")
    if record.branch and record.type != "branch" and (full or record.branch != here):
        found.append(plain(record.branch[:60]))
    return found


def _on_host(where: Any) -> bool:
    return where == "host" or (isinstance(where, dict) and "host" in where)


def _seconds(value: Any) -> list[str]:
    if not isinstance(value, int | float):
        return []
    if value < 1:
        return [f"{value * 1000:.0f} ms"]
    return [f"{value:.1f} s" if value < 60 else f"{value / 60:.0f} min"]


def _source(record: Record, reading: _Reading, *, cell: bool) -> Markup:
    if record.type != "execution":
        return Markup("")
    if cell:
        detail = next((d for d in record.details if d.kind == "code"), None)
        return code(reading.text(detail)) if detail is not None else Markup("")
    words = (record.detail("command") or {}).get("words")
    if not isinstance(words, list):
        return Markup("")
    import shlex

    return command(reading.within(" ".join(shlex.quote(str(word)) for word in words)))


def _pieces(record: Record, reading: _Reading) -> list[Piece]:
    found: list[Piece] = []
    for name in ("stdout", "stderr"):
        detail = next((d for d in record.details if d.kind == name), None)
        # Of what went well, what was said on standard error is seldom worth the room.
        if detail is None or (name == "stderr" and record.outcome == "done" and not reading.full):
            continue
        if text := reading.text(detail).rstrip("\n"):
            found.append(Piece("text", terminal(text), name=name))
    for number in _shown_parts(record.details, full=reading.full):
        detail = record.details[number]
        if detail.media in PICTURES and detail.digest is not None:
            found.append(
                Piece(
                    "picture",
                    source=f"{reading.address}/{number}",
                    name=f"Figure of {record.message[:80]}",
                )
            )
        elif detail.media in PICTURES and isinstance(detail.value, str):
            found.append(Piece("picture", source=f"{reading.address}/{number}", name="Figure"))
        elif text := reading.text(detail):
            found.append(piece(detail.media or "text/plain", text))
    if (changed := next((d for d in record.details if d.kind == "diff"), None)) is not None:
        found.append(Piece("code", code(reading.text(changed), "change.diff")))
    if isinstance(error := record.detail("error"), dict):
        found.append(_error(error, reading))
    elif (record.type, record.action) == ("execution", "fail") and not found:
        found.append(Piece("error", Markup("{}").format(plain(record.message[:300]))))
    return found


def _error(error: dict[str, Any], reading: _Reading) -> Piece:
    name, value = str(error.get("name", "Error")), str(error.get("value", ""))
    trace = str(error.get("traceback", "")) if reading.full else ""
    said = trace or f"{name}: {value[:400]}"
    reading.cut = reading.cut or not reading.full
    return Piece("error", terminal(said[:_FULL]))


def _shown_parts(details: Sequence[Detail], *, full: bool) -> list[int]:
    """Return which results are shown: of the forms of one output, the best.

    The forms of one output stand together, in the order of their types; where that order begins
    anew, the next output begins.
    """
    outputs: list[list[int]] = []
    before = ""
    for number, detail in enumerate(details):
        if detail.kind not in ("figure", "result"):
            continue
        if not outputs or detail.media <= before:
            outputs.append([])
        outputs[-1].append(number)
        before = detail.media
    chosen = []
    for several in outputs if full else outputs[:4]:
        media = best([details[n].media for n in several])
        chosen += [n for n in several if details[n].media == media]
    return chosen


def _files(
    record: Record, reading: _Reading, comparison: dict[str, Any]
) -> tuple[tuple[FileChange, ...], int]:
    if comparison:
        listed = comparison.get("files")
    elif record.type == "execution":
        listed = reading.plain_value(record, "outputs").get("files")
    else:
        listed = reading.json(next((d for d in record.details if d.kind == "manifest"), None))
    found = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    most = 1000 if reading.full else _CHANGES
    shown = tuple(
        FileChange(
            plain(str(each.get("path", ""))),
            str(each.get("change", ""))[:20],
            each["size"] if isinstance(each.get("size"), int) else None,
            str(each.get("verdict", ""))[:20],
        )
        for each in found[:most]
    )
    return shown, max(0, len(found) - most)


def _text(record: Record) -> str:
    text = record.detail("text")
    return plain(text) if isinstance(text, str) and record.type in ("note", "milestone") else ""
