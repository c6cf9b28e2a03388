"""A lab that was started from a page: a program of its own, ended with the workbench."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import BY_CODE, BranchlineError, Unavailable
from branchline.project.git.program import OURS

_END_SECONDS = 20.0


class _Ready(msgspec.Struct, frozen=True):
    url: str = ""
    error: str = ""
    refused: str = ""
    advice: str = ""


@dataclass(frozen=True)
class StartedLab:
    """A lab that was started.

    Args:
        url: What a person opens; who has it has the lab.
    """

    url: str
    _process: subprocess.Popen[bytes]

    @property
    def runs(self) -> bool:
        """Whether it still does."""
        return self._process.poll() is None

    def end(self) -> None:
        """End it, and all its kernels."""
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def start_lab(root: Path, home: Path, store: Path) -> StartedLab:
    """Start a project's lab, and wait until it is ready.

    Args:
        root: The project.
        home: The person's data folder.
        store: Where images are.

    Raises:
        BranchlineError: It did not start; the sentence is the command's own.
    """
    words = ("lab", "--project", root, "--home", home, "--store", store, "--no-page", "--json")
    process = subprocess.Popen(
        [*OURS, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        said = decode_json(line, _Ready)
    except msgspec.DecodeError:
        said = _Ready()
    lab = StartedLab(said.url, process)
    if said.url:
        return lab
    lab.end()
    if said.refused:
        raise BY_CODE.get(said.error, BranchlineError)(said.refused, advice=said.advice)
    raise Unavailable("The lab did not start", advice="See what 'branchline lab' says")
