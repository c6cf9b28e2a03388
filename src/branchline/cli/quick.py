"""What people ask so often that it is answered before the command line is even loaded."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from branchline.foundation.errors import BranchlineError

_STATUS = (["status"], ["status", "--json"])


def answer(words: Sequence[str]) -> bool:
    """Answer a command line, if it is one of these and all is well; tell whether it was answered.

    Whatever else is asked, and whatever goes wrong, is left to the commands, who say it in their way.

    Args:
        words: The command line, without the program's name.
    """
    if list(words) not in _STATUS:
        return False
    from branchline.cli.project.standing import as_json, as_text
    from branchline.project.standing import standing_of
    from branchline.workbench.printable import printable

    try:
        standing = standing_of(".")
    except (BranchlineError, OSError):
        return False
    if len(words) > 1:
        import json

        said = json.dumps(as_json(standing), ensure_ascii=False)
    else:
        said = printable(as_text(standing))
    sys.stdout.write(f"{said}\n")
    return True
