"""How ``branchline verify`` shows what came of judging a project's export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from branchline.cli.frame import Answer, lines
from branchline.foundation.errors import Corrupt

if TYPE_CHECKING:
    from pathlib import Path

    from branchline.project.carrying.judging import Judged

_MOST = 20


def judged_export(file: Path) -> Answer:
    """Judge an export, and say what came of it."""
    from branchline.cli.frame import working
    from branchline.project.carrying.judging import judged

    with working("verifying") as progress, judged(file, progress) as (found, _):
        return Answer(as_json(found), as_text(found), 0 if found.good else Corrupt.exit_code)


def as_json(found: Judged) -> dict[str, Any]:
    """Return what came of it as plain JSON values."""
    held = found.manifest
    return {
        "export": held.name,
        "project": held.project,
        "head": held.head,
        "verified": found.good,
        "steps": [{"says": j.says, "problems": list(j.problems)} for j in found.judgements],
        "keys": found.checked.keys if found.checked else {},
        "missing": len(held.missing),
        "left_out": len(held.left_out),
        "unnamed": found.unnamed,
        "beyond": found.beyond,
    }


def as_text(found: Judged) -> str:
    """Return what came of it, for people."""
    held, steps = found.manifest, list[str]()
    for each in found.judgements:
        steps.append(f"{'✗' if each.problems else '✓'} {each.says}")
        steps += [f"      {problem}" for problem in each.problems[:_MOST]]
        if len(each.problems) > _MOST:
            steps.append(f"      … and {len(each.problems) - _MOST} more")
    keys = found.checked.keys if found.checked else {}
    signed = [f"  {', '.join(names)}: {key}" for key, names in keys.items()]
    counts = (
        (len(held.missing), "contents were not in the clone when it was exported"),
        (len(held.left_out), "contents were left out by the data's rules"),
        (
            len(found.unnamed),
            "contents have names that hold no SHA-256: they are what the export says",
        ),
        (len(found.beyond), "things are in the crate's description that no record vouches for"),
    )
    notes = [f"{count} {what}" for count, what in counts if count]
    bad = "Not verified. Do not rely on this export."
    return lines(
        f"{held.name}, exported {held.made[:19].replace('T', ' ')} (UTC)",
        *steps,
        "Signed with these keys, by whoever holds them:" if signed else "",
        *signed,
        *notes,
        "Verified: the export is whole." if found.good else bad,
    )
