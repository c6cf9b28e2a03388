"""How long people wait for the workbench's pages, in a project with a long history.

A part of ``make bench-project``. Records are made, signed and chained like real ones; the pages are those
of ``branchline workbench`` in a process of its own, asked over HTTP. Times are of whole requests.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from branchline.foundation.digest import Digest
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.project.activity.record import By, Detail, Record, sign
from branchline.project.beginning import begin

GOAL_MILLISECONDS = 100.0
FEED = "first page of the feed"
_KINDS = (
    ("execution", "run"), ("execution", "run"), ("execution", "run"), ("execution", "fail"),
    ("code", "edit"), ("data", "add"), ("note", "create"),
)  # fmt: skip
_CODE = (
    "table = read('data/wear.csv')\nfit = model(table, 'wear ~ age + diet')\nprint(fit.summary())"
)


@dataclass(frozen=True)
class Page:
    """One page that was asked for.

    Args:
        name: What it is.
        milliseconds: Of each request.
    """

    name: str
    milliseconds: tuple[float, ...]


@dataclass
class History:
    """A project with records of one clone, as many as one likes.

    Args:
        root: The project; made here.
    """

    root: Path

    def __post_init__(self) -> None:
        self._identity, self._clone = Identity.create(), new_id("clone")
        self._begun = begin(self.root, self._identity, lambda said: None)
        self._previous: Digest | None = None
        self._count = 0

    def grow(self, count: int) -> None:
        """Have so many records in all, over some months."""
        for number in range(self._count, count):
            self._put(number)
        self._count = max(self._count, count)

    def _put(self, number: int) -> None:
        kind, action = _KINDS[number % len(_KINDS)]
        month, rest = divmod(number * 2, 40_000)
        failed = action == "fail"
        details = (
            (
                Detail("code", f"# step {number}\n{_CODE}", media="text/x-code"),
                Detail("stdout", f"R² = 0.{number % 97:02d}, {number} teeth\n", media="text/plain"),
                Detail(
                    "metadata", {"notebook": "code/wear.ipynb", "seconds": 0.2, "prompt": number}
                ),
            )
            if kind == "execution"
            else (Detail("text", f"Step {number} was looked at"),)
        )
        record = Record(
            project=self._begun.project.described.id,
            clone=self._clone,
            seq=number,
            previous=self._previous,
            at=f"2026-{month + 1:02d}-{rest // 1440 + 1:02d}T{rest // 60 % 24:02d}:{rest % 60:02d}:00.000Z",
            by=By("bench", self._identity.public.sign),
            type=kind,
            action=action,
            outcome="failed" if failed else "done",
            message=f"[{number}] table = read('data/wear.csv')",
            details=details,
        )
        signed = sign(record, self._identity)
        self._previous = signed.digest
        file = self.root / "activity" / signed.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(signed.text)


def measure_pages(root: Path, home: Path, runs: int) -> list[Page]:
    """Serve a project's pages, and ask for them."""
    words = [
        sys.executable,
        "-m",
        "branchline",
        "workbench",
        str(root),
        "--json",
        "--home",
        str(home),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
        assert process.stdout
        try:
            ready = json.loads(process.stdout.readline())
            return _measure(ready["url"], runs)
        finally:
            process.terminate()


def _measure(url: str, runs: int) -> list[Page]:
    parts = urlsplit(url)
    line = http.client.HTTPConnection(parts.hostname or "", parts.port)
    line.request("GET", f"{parts.path}?{parts.query}")
    answer = line.getresponse()
    answer.read()
    headers = {"Cookie": str(answer.headers["Set-Cookie"]).partition(";")[0]}
    feed = str(answer.headers["Location"])
    base = feed.removesuffix("/feed")
    first = _ask(line, feed, headers)
    pages = [Page(f"{FEED}, the first time after start", (first,))]
    asked: Mapping[str, str] = {
        FEED: feed,
        "the feed, failures only": f"{base}/feed?show=failed",
        "the feed, milestones and notes": f"{base}/feed?show=notes",
        "files": f"{base}/files/code",
    }
    for name, address in asked.items():
        _ask(line, address, headers)
        pages.append(Page(name, tuple(_ask(line, address, headers) for _ in range(runs))))
    pages.append(
        Page("a search, the first time", (_ask(line, f"{base}/search?q=teeth+4711", headers),))
    )
    again = tuple(_ask(line, f"{base}/search?q=teeth+4712", headers) for _ in range(runs))
    pages.append(Page("a search", again))
    return pages


def _ask(line: http.client.HTTPConnection, address: str, headers: Mapping[str, str]) -> float:
    began = time.perf_counter()
    line.request("GET", address, headers=dict(headers))
    answer = line.getresponse()
    content = answer.read()
    took = time.perf_counter() - began
    assert answer.status == 200, (address, answer.status, content[:300])
    return took * 1000
