"""Where a project stands, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from branchline.project.standing import Standing

_MOST = 50


def as_json(standing: Standing) -> dict[str, Any]:
    """Return it as plain JSON values."""
    return {
        "project": standing.project,
        "name": standing.name,
        "root": standing.root,
        "branch": standing.branch,
        "saved": not standing.changes,
        "changes": [
            {"path": c.path.encode("utf-8", "backslashreplace").decode(), "change": c.kind}
            for c in standing.changes
        ],
    }


def as_text(standing: Standing) -> str:
    """Return it as lines for people."""
    counted: dict[str, int] = {}
    for change in standing.changes:
        counted[change.kind] = counted.get(change.kind, 0) + 1
    told = ", ".join(f"{n} {kind}" for kind, n in counted.items()) or "all is saved"
    lines = [f"{standing.name}, branch {standing.branch or 'none'}: {told}"]
    if standing.changes:
        from branchline.project.names import shown

        lines += [f"  {c.kind:<12} {shown(c.path)[1:-1]}" for c in standing.changes[:_MOST]]
    if len(standing.changes) > _MOST:
        lines.append(f"  … and {len(standing.changes) - _MOST} more")
    return "\n".join(lines)
