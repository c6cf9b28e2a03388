"""Read DataLad's run records out of commit messages; pure.

Source: DataLad's handbook, "datalad run". A record stands between two marker lines, as JSON.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

import msgspec

from branchline.foundation.decoding import convert, decode_json

_BEGIN = "=== Do not change lines below ==="
_END = "^^^ Do not change lines above ^^^"
_TITLE = re.compile(r"^\[DATALAD RUNCMD\] ?(.*)")
_FIELD = re.compile(r"\{\{|\}\}|\{(inputs|outputs|pwd)(?:\[([0-9]+)\])?\}")


class DataladRun(msgspec.Struct, frozen=True):
    """A run record of DataLad's; fields that are not listed are left alone.

    Args:
        cmd: The command: a line for a shell, or words.
        inputs: Paths or patterns that it reads.
        outputs: Paths or patterns that it writes.
        exit: Its exit code.
        pwd: Its folder, from the dataset's root.
        title: The commit's first line.
    """

    cmd: str | list[str]
    inputs: list[str] | None = None
    outputs: list[str] | None = None
    exit: int | None = None
    pwd: str = "."
    title: str = ""

    def words(self) -> list[str]:
        """Return the command with its placeholders filled in, as words to run."""
        if isinstance(self.cmd, str):
            return ["sh", "-c", self._filled(self.cmd)]
        return [self._filled(word) for word in self.cmd]

    def _filled(self, text: str) -> str:
        lists = {"inputs": self.inputs or [], "outputs": self.outputs or []}

        def fill(found: re.Match[str]) -> str:
            if found[0] in ("{{", "}}"):
                return found[0][0]
            name, number = found[1], found[2]
            if name == "pwd":
                return "."
            chosen: Sequence[str] = lists[name]
            if number is not None:
                chosen = chosen[int(number) : int(number) + 1]
            return shlex.join(chosen)

        return _FIELD.sub(fill, text)


def read_datalad_run(message: str) -> DataladRun | None:
    """Return the run record in a commit message; None if it has none that can be read."""
    title = _TITLE.match(message)
    _, begin, rest = message.partition(f"\n{_BEGIN}\n")
    text, end, _ = rest.partition(f"\n{_END}")
    if title is None or not begin or not end:
        return None
    try:
        plain = decode_json(text, dict[str, Any])
        return convert({**plain, "title": title[1]}, DataladRun)
    except msgspec.DecodeError:
        return None
