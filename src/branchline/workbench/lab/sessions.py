"""Ask a Jupyter server which notebook each of its kernels belongs to."""

from __future__ import annotations

import time
import urllib.request

import msgspec

from branchline.foundation.decoding import decode_json
from branchline.workbench.lab.server import Lab

_FRESH_SECONDS = 2.0
_PATIENCE = 2.0
_LARGEST = 1 << 22


class _Kernel(msgspec.Struct, frozen=True):
    id: str


class _Session(msgspec.Struct, frozen=True):
    path: str
    kernel: _Kernel


class Notebooks:
    """Tells a kernel's notebook, from any thread; what was known last, once the server has ended."""

    def __init__(self) -> None:
        self._lab: Lab | None = None
        self._known: dict[str, str] = {}
        self._asked = 0.0

    def of(self, lab: Lab) -> None:
        """Ask this server from now on."""
        self._lab = lab

    def __call__(self, kernel: str) -> str:
        """Return a kernel's notebook relative to the server's folder; empty if it has none."""
        if kernel not in self._known or time.monotonic() - self._asked > _FRESH_SECONDS:
            self.refresh()
        return self._known.get(kernel, "")

    def refresh(self) -> None:
        """Ask the server once more; nothing changes if it does not answer."""
        if self._lab is None:
            return
        request = urllib.request.Request(
            f"{self._lab.address}/api/sessions",
            headers={"Authorization": f"token {self._lab.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
                sessions = decode_json(answer.read(_LARGEST), tuple[_Session, ...])
        except (OSError, msgspec.DecodeError):
            return  # it is ending
        self._known |= {each.kernel.id: each.path for each in sessions}
        self._asked = time.monotonic()
