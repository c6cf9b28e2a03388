"""``branchline status``: what is not saved yet."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from branchline.cli.frame import Answer, lines, verb
from branchline.cli.project.places import opened, project_option

_MOST = 50


@verb(None, "status", "branchline status")
@project_option
def status(where: Path) -> Answer:
    """Show what differs from the last save."""
    from branchline.project.differing import changes_of
    from branchline.project.names import shown

    project = opened(where)
    changes = changes_of(project, each=False)
    branch = project.git.branch()
    data = {
        "project": project.described.id,
        "name": project.described.name,
        "root": str(project.root),
        "branch": branch,
        "saved": not changes,
        "changes": [
            {"path": c.path.encode("utf-8", "backslashreplace").decode(), "change": c.kind}
            for c in changes
        ],
    }
    counted = ", ".join(f"{n} {kind}" for kind, n in Counter(c.kind for c in changes).items())
    text = lines(
        f"{project.described.name}, branch {branch or 'none'}: {counted or 'all is saved'}",
        *(f"  {c.kind:<12} {shown(c.path)[1:-1]}" for c in changes[:_MOST]),
        f"  … and {len(changes) - _MOST} more" if len(changes) > _MOST else "",
    )
    return Answer(data, text)
