"""A real browser for the tests: Chromium without a window, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = "chromium"
_PATIENCE = 60.0
_LOOK_SECONDS = 0.02


class Browser:
    """One tab.

    Args:
        line: The line to the browser.
        target: The tab's session.
    """

    def __init__(self, line: aiohttp.ClientWebSocketResponse, target: str) -> None:
        self._line, self._target = line, target
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self.complaints: list[str] = []
        """What the console and the browser said of errors, refused content among it."""

    async def listen(self) -> None:
        """Take in what the browser says."""
        async for message in self._line:
            said = json.loads(message.data)
            if (waiting := self._answers.pop(said.get("id", 0), None)) is not None:
                waiting.set_result(said)
            self._note(said.get("method", ""), said.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.complaints.append(str(params["args"]))
        if method == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog: {params['message']}")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the tab for something."""
        self._number += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        said = {"id": self._number, "method": method, "params": params, "sessionId": self._target}
        await self._line.send_str(json.dumps(said))
        found = await asyncio.wait_for(answer, _PATIENCE)
        assert "error" not in found, f"{method}: {found['error']}"
        result: dict[str, Any] = found["result"]
        return result

    async def run(self, script: str) -> Any:
        """Run a script in the page, as its own would; return its value."""
        found = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def open(self, address: str) -> None:
        """Go to an address, and wait until it stands."""
        await self.run("window.left = true")
        await self.call("Page.navigate", url=address)
        await self.until("document.readyState === 'complete' && !window.left")

    async def until(self, condition: str) -> Any:
        """Wait until a condition holds in the page; return its value."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                if found := await self.run(condition):
                    return found
            except AssertionError:
                pass  # between two pages
            if time.monotonic() > deadline:
                text = await self.run("document.body.innerText")
                raise AssertionError(f"never held: {condition}\non the page: {text[:2000]}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def click(self, selector: str, *, holding: str = "") -> None:
        """Click on the first thing that a selector finds and that has some words in it."""
        await self.until(f"!!{_first(selector, holding)}")
        await self.run(f"{_first(selector, holding)}.click()")

    async def write(self, selector: str, text: str) -> None:
        """Write into a field."""
        await self.run(f"document.querySelector({selector!r}).focus()")
        await self.call("Input.insertText", text=text)

    async def picture(self, file: Path, width: int, height: int, *, dark: bool = False) -> None:
        """Keep what the page looks like."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[feature])
        await asyncio.sleep(0.3)
        found = await self.call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(found["data"]))


def _first(selector: str, holding: str) -> str:
    return (
        f"[...document.querySelectorAll({json.dumps(selector)})]"
        f".find(each => each.textContent.includes({json.dumps(holding)}))"
    )


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    """Start a browser with nothing in it, and give its tab.

    Args:
        folder: For what it keeps.
    """
    program = shutil.which(PROGRAM)
    assert program, "chromium is not installed; scripts/setup dev brings it"
    process = await asyncio.create_subprocess_exec(
        program,
        *("--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}"),
        *("--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-extensions", "--no-default-browser-check", "--disable-features=Translate"),
        *(("--no-sandbox",) if os.getuid() == 0 else ()),
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(folder)},
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while b"DevTools listening on " not in (said := await process.stderr.readline()):
                assert said, "chromium ended before it listened"
        address = said.decode().split("DevTools listening on ")[1].strip()
        drain = asyncio.create_task(process.stderr.read())
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=0) as line,
        ):
            tab = await _tab(line)
            listening = asyncio.create_task(tab.listen())
            for room in ("Page", "Runtime", "Log", "Network"):
                await tab.call(f"{room}.enable")
            yield tab
            listening.cancel()
        drain.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _tab(line: aiohttp.ClientWebSocketResponse) -> Browser:
    async def ask(number: int, method: str, **params: Any) -> dict[str, Any]:
        await line.send_str(json.dumps({"id": -number, "method": method, "params": params}))
        while True:
            said = json.loads((await line.receive()).data)
            if said.get("id") == -number:
                result: dict[str, Any] = said["result"]
                return result

    known = await ask(1, "Target.getTargets")
    target = next(each for each in known["targetInfos"] if each["type"] == "page")["targetId"]
    attached = await ask(2, "Target.attachToTarget", targetId=target, flatten=True)
    return Browser(line, attached["sessionId"])
