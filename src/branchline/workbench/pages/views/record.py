"""One record in full."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
from markupsafe import Markup

from branchline.foundation.errors import Corrupt, NotFound
from branchline.project.activity.files import read_blob
from branchline.project.activity.record import Signed, check_signature
from branchline.workbench.pages.desk import Opened
from branchline.workbench.pages.shown.code import code
from branchline.workbench.pages.shown.media import PICTURES
from branchline.workbench.pages.views.frame import Frame, frame
from branchline.workbench.pages.views.items import Item, item

_RAW_AT_MOST = 200_000


@dataclass(frozen=True)
class Row:
    """A fact of a record, with its name."""

    name: str
    value: str


@dataclass(frozen=True)
class RecordPage:
    """A record in full.

    Args:
        frame: What stands around it.
        item: The record.
        digest: Its whole name.
        holds: Whether its signature does.
        rows: Where it belongs, and who made it.
        raw: Its file.
    """

    frame: Frame
    item: Item
    digest: str
    holds: bool
    rows: tuple[Row, ...]
    raw: Markup


def record_page(opened: Opened, name: str) -> RecordPage:
    """Return what a record's page shows.

    Args:
        opened: The project.
        name: The record's file below ``activity``, without the ending.

    Raises:
        NotFound: There is none of this name.
        Corrupt: It is not spelled as records are.
    """
    signed = opened.timeline.read(f"{name}.json")
    record = signed.record
    rows = {
        "Record": signed.digest,
        "At": record.at,
        "By": record.by.name,
        "Key": record.by.key,
        "Clone": f"{record.clone}, number {record.seq}",
        "On commit": record.commit or "",
        "Branch": record.branch or "",
        "Saved tree": record.tree or "",
        "About": record.about or "",
        "Before it": record.previous or "",
    }
    text = json.dumps(msgspec.to_builtins(signed), ensure_ascii=False, indent=1)
    return RecordPage(
        frame=frame(opened, "feed", f"Record {signed.digest[7:19]}"),
        item=item(opened.project, opened.base, signed, full=True),
        digest=signed.digest,
        holds=_holds(signed),
        rows=tuple(Row(name, value) for name, value in rows.items() if value),
        raw=code(text[:_RAW_AT_MOST], "record.json"),
    )


def part(opened: Opened, name: str, number: int) -> tuple[bytes, str]:
    """Return one picture of a record, and its media type.

    Raises:
        NotFound: It has no such picture, or its content is not here.
        Corrupt: It has changed.
    """
    details = opened.timeline.read(f"{name}.json").record.details
    detail = details[number] if number < len(details) else None
    if detail is None or detail.media not in PICTURES:
        raise NotFound("The record has no such picture")
    if detail.digest is None:
        return str(detail.value or "").encode(), detail.media
    return read_blob(opened.project, detail.digest), detail.media


def _holds(signed: Signed) -> bool:
    try:
        check_signature(signed)
    except Corrupt:
        return False
    return True
