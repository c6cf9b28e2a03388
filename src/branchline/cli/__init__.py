"""The commands: parse, call one rule, print a few lines or one JSON object.

Does: the words of the three programs' commands, their help, their exit codes.
Must not: decide anything; what a command does is a function of a room below.
May know: every room. Each group's module is imported when one of its commands is asked for, so
that ``branchline --help`` answers at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``branchline``; the exit code is that of the error, if there is one."""
    from branchline.cli.quick import answer

    if answer(sys.argv[1:]):
        return
    from branchline.cli.root import root

    root.main(prog_name="branchline")
