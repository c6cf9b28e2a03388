"""The pages in a real browser: live, by a click, and with nothing of a hostile project run."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.project.conftest import Scene
from tests.workbench.pages.browser import Browser, browser
from tests.workbench.pages.conftest import Served
from tests.workbench.pages.test_pages import ran

from branchline.foundation.keys import Identity
from branchline.project.activity.feed import feed, write_note
from branchline.project.activity.files import Recorder
from branchline.project.activity.record import Detail
from branchline.project.place import Project
from branchline.project.saving import commit_only


@pytest.fixture
async def tab(served: Served, tmp_path: Path) -> AsyncIterator[Browser]:
    """Give a browser that was let in."""
    async with browser(tmp_path / "browser") as found:
        await found.open(served.pages.entrance.link(f"{served.opened.base}/feed"))
        yield found


def _note(root: Path, identity: Identity, text: str) -> None:
    with Project.open(root).working() as project:
        write_note(project, identity, text, milestone=False)


async def test_a_day_at_the_page(served: Served, tab: Browser) -> None:
    """What others record appears by itself; note, save, run again and go back are a click each."""
    scene = served.scene
    await tab.until("document.documentElement.dataset.live")
    await asyncio.to_thread(_note, scene.root, scene.identity, "written by another program")
    await tab.until(
        "document.querySelector('.entry .said')?.textContent.includes('another program')"
    )
    assert await tab.run("document.querySelectorAll('.entry').length") == len(feed(scene.project))

    await tab.write("#text", "Seen in the page")
    await tab.click(".compose button")
    await tab.until(
        "[...document.querySelectorAll('.said')].some(e => e.textContent === 'Seen in the page')"
    )

    scene.write("code/one.py", "print(1)\n")
    await tab.open(f"{served.base}/feed")
    await tab.until("document.querySelector('.state')?.textContent.includes('1 change')")
    await tab.click(".state button", holding="Save")
    await tab.until("document.querySelector('.state').textContent.includes('All is saved')")
    await tab.until("document.querySelector('.entry').textContent.includes('code/one.py')")

    script = "open('results/n.txt', 'w').write('1\\n'); print('ran')"
    await asyncio.to_thread(ran, scene, sys.executable, "-c", script, outputs=("results/n.txt",))
    await tab.click(".entry button", holding="Run again")
    await tab.until("document.querySelector('.toast.good')?.textContent.includes('byte for byte')")
    await tab.until("document.querySelector('.entry .badge')?.textContent === 'identical'")

    await tab.click(".entry .ask summary", holding="Go back")
    await tab.write("details[open] input[name=branch]", "once-more")
    await tab.click("details[open] button", holding="Go back")
    await tab.until("document.body.textContent.includes('Now on the new branch once-more')")
    assert scene.project.git.branch() == "once-more"

    await tab.write("#text", "   ")
    await tab.run("document.querySelector('.compose').requestSubmit()")
    await tab.until(
        "document.querySelector('.toast.bad')?.textContent.includes('A note has 1 to 4000')"
    )
    for width in (1280, 360):
        await tab.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=800, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth"), width
    assert await tab.run(UNNAMED) == []
    assert tab.complaints == []


UNNAMED = """
[...document.querySelectorAll('a, button, input:not([type=hidden]), textarea, summary')]
  .filter(e => !(e.textContent.trim() || e.ariaLabel || e.title || e.labels?.length))
  .map(e => e.outerHTML)
"""
"""What somebody who is read to could not tell apart."""

BOOM = "window.boom = 1; fetch('/boom')"
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{BOOM}" width="9" height="9"><script>{BOOM}</script></svg>'
HTML = f'<table><tr><td>kept</td></tr></table><img src=x onerror="{BOOM}"><script>{BOOM}</script><a href="javascript:{BOOM}">a</a><iframe srcdoc="<script>{BOOM}</script>"></iframe><style>*{{display:none}}</style>'
NAME = f"<img src=x onerror={BOOM.replace('/', '')}>.txt"


def hostile(scene: Scene) -> None:
    """Fill a project with what others could send."""
    scene.write(f"code/{NAME}", "<script>window.boom = 1</script>")
    scene.write("code/drawn.svg", SVG)
    scene.write("code/ansi.txt", "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2Jgone \u202etxt")
    scene.write("README.md", f"# <script>{BOOM}</script>\n\n[a](javascript:{BOOM})\n\n{HTML}\n")
    scene.write("code/table.csv", f"a,<script>{BOOM}</script>\n1,{HTML}\n".replace('"', "'"))
    output = {"text/html": HTML, "text/plain": "x"}
    drawn = {"image/svg+xml": SVG}
    forged = {"image/png": f'x" onerror="{BOOM}'}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": HTML},
        {
            "cell_type": "code", "metadata": {}, "execution_count": 1, "source": HTML,
            "outputs": [
                {"output_type": "display_data", "metadata": {}, "data": data}
                for data in (output, drawn, forged)
            ]
            + [{"output_type": "stream", "name": "stdout", "text": "\x1b[31m" + "y" * 3_000_000}]
            + [{"output_type": "error", "ename": HTML, "evalue": HTML, "traceback": [HTML]}],
        },
    ]  # fmt: skip
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    scene.write("code/book.ipynb", json.dumps(book))
    with scene.project.working() as project:
        recorder = Recorder(project, scene.identity)
        record = {
            "type": "execution", "action": "fail", "outcome": "failed", "message": HTML,
            "branch": HTML[:90], "tags": (HTML,),
        }  # fmt: skip
        details = [
            Detail("code", HTML, media="text/x-code"),
            recorder.keep("stdout", b"\x1b[31m" + b"z" * 6_000_000, "text/plain"),
            recorder.keep("result", HTML.encode(), "text/html"),
            recorder.keep("figure", SVG.encode(), "image/svg+xml"),
            Detail("result", HTML, media="text/x-unknown"),
            Detail("error", {"name": HTML, "value": HTML, "traceback": HTML}),
            Detail("metadata", {"notebook": HTML, "seconds": 1e300}),
        ]
        _, paths = recorder.write(record, *details)
        commit_only(project, paths, "x")


async def test_nothing_of_a_hostile_project_runs(served: Served, tab: Browser) -> None:
    """Names, outputs, pictures, Markdown: shown, and asleep; no page even tries."""
    scene = served.scene
    hostile(scene)
    (signed,) = [s for s in feed(scene.project) if s.record.type == "execution"]
    from branchline.workbench.pages.render import path

    pages = {
        "feed": "kept",
        f"record/{signed.name[:-5]}": "kept",
        "files": "README.md",
        "files/code": NAME,
        f"file/code/{path(NAME)}": "window.boom",
        "file/code/drawn.svg": "drawn.svg",
        "file/code/ansi.txt": "red",
        "file/code/table.csv": "kept",
        "file/code/book.ipynb": "kept",
        "file/README.md": "kept",
        "search?q=%3Cscript%3E": "script",
        "branches": "main",
    }
    for place, word in pages.items():
        await tab.open(f"{served.base}/{place}")
        assert word in await tab.run("document.body.innerText"), place
        await tab.until("[...document.images].every(each => each.complete)")
        assert await tab.run("window.boom") is None, place
        assert (
            await tab.run(
                "document.querySelectorAll('main script, main iframe, main style').length"
            )
            == 0
        )
        assert await tab.run("document.documentElement.outerHTML.length") < 2_000_000
        assert tab.complaints == [], place
    # Opened by itself an SVG is a document; the browser says that it keeps its scripts asleep.
    for address in (
        f"{served.base}/raw/code/drawn.svg",
        f"{served.base}/part/{signed.name[:-5]}/3",
    ):
        await tab.open(address)
        assert await tab.run("document.documentElement.nodeName") == "svg"
        assert await tab.run("window.boom") is None
