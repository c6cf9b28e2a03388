"""Run a notebook from its first cell to its last, as a person would in the browser.

Sources: the Jupyter messaging protocol 5.4 over the server's websocket; nbformat 4.5.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from branchline.foundation.errors import NotFound, Refused, Unavailable
from branchline.workbench.lab.server import Lab

_LARGEST_MESSAGE = 256 << 20
_ASK_AGAIN_SECONDS = 0.1
_START_SECONDS = 60.0
_KERNEL = "python3"

Said = dict[str, Any]
"""A message of a kernel's, or a part of one, as JSON."""


@dataclass(frozen=True)
class Ran:
    """What became of a notebook.

    Args:
        notebook: Its path in the project.
        cells: How many cells ran.
        failed: The error that ended it, in one line; empty if none did.
    """

    notebook: str
    cells: int
    failed: str = ""


async def run_notebook(
    lab: Lab,
    path: str,
    listened: Callable[[str], bool] = lambda kernel: True,
    progress: Callable[[str], None] = lambda said: None,
) -> Ran:
    """Run all cells in a kernel of their own, and save the notebook with what they gave.

    It ends at the first cell that fails; that cell's error is saved, too.

    Args:
        lab: The server.
        path: The notebook, relative to the server's folder.
        listened: Tells whether a kernel, by its identifier, is listened to: no cell runs before.
        progress: Told which cell runs.

    Raises:
        Refused: It is not a notebook of format 4.
        NotFound: It is not there.
        Unavailable: The server or the kernel ended meanwhile, or nobody listens.
    """
    headers = {"Authorization": f"token {lab.token}"}
    try:
        async with aiohttp.ClientSession(lab.address, headers=headers) as session:
            return await _run(session, path, listened, progress)
    except aiohttp.ClientError as error:
        raise Unavailable(f"Jupyter ended while {path} ran") from error


async def _run(
    session: aiohttp.ClientSession,
    path: str,
    listened: Callable[[str], bool],
    progress: Callable[[str], None],
) -> Ran:
    notebook = await _read(session, path)
    cells = [cell for cell in notebook["cells"] if cell.get("cell_type") == "code"]
    async with _Kernel(session, path, _kernel_of(notebook)) as kernel:
        await kernel.wait_until(listened)
        count, failed = 0, ""
        for cell in cells:
            cell["outputs"], cell["execution_count"] = [], None
            if not _text(cell["source"]).strip():
                continue
            count += 1
            progress(f"{path}: cell {count} of {len(cells)}")
            failed = await kernel.execute(cell)
            if failed:
                break
    await _write(session, path, notebook)
    return Ran(path, count, failed)


async def _read(session: aiohttp.ClientSession, path: str) -> Said:
    where = f"/api/contents/{quote(path)}"
    async with session.get(where, params={"type": "notebook", "content": "1"}) as answer:
        if answer.status == 404:
            raise NotFound(f"There is no notebook {path} in the project")
        if not answer.ok:
            raise Refused(
                f"{path} cannot be read as a notebook", advice="Open it in JupyterLab to see why"
            )
        notebook: Any = (await answer.json())["content"]
    if not isinstance(notebook, dict) or notebook.get("nbformat") != 4:
        raise Refused(f"{path} is not a notebook of format 4", advice="Save it anew in JupyterLab")
    found: Said = notebook
    return found


async def _write(session: aiohttp.ClientSession, path: str, notebook: Said) -> None:
    body = {"type": "notebook", "format": "json", "content": notebook}
    async with session.put(f"/api/contents/{quote(path)}", json=body) as answer:
        if not answer.ok:
            raise Unavailable(
                f"{path} ran, but could not be saved with what it gave",
                advice="Look at the space left and at who may write it; the records are kept",
            )


class _Kernel:
    """A kernel of one notebook, while entered."""

    def __init__(self, session: aiohttp.ClientSession, path: str, name: str) -> None:
        self._session, self._path, self._name = session, path, name
        self._own = uuid.uuid4().hex
        self._shown: dict[str, list[Said]] = {}

    async def __aenter__(self) -> _Kernel:
        body = {
            "path": self._path,
            "name": self._path.rpartition("/")[2],
            "type": "notebook",
            "kernel": {"name": self._name},
        }
        async with self._session.post("/api/sessions", json=body) as answer:
            if not answer.ok:
                raise Refused(
                    f"The environment has no kernel {self._name!r}, which {self._path} asks for",
                    advice="Choose another kernel in JupyterLab, or lock the environment with it",
                )
            made = await answer.json()
        self._id, self._kernel = made["id"], made["kernel"]["id"]
        self._channels = await self._session.ws_connect(
            f"/api/kernels/{self._kernel}/channels", max_msg_size=_LARGEST_MESSAGE
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channels.close()
        with suppress(aiohttp.ClientError):
            async with self._session.delete(f"/api/sessions/{self._id}"):
                pass

    async def wait_until(self, listened: Callable[[str], bool]) -> None:
        """Have the kernel say something until whoever listens has heard it."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                while True:
                    asked = await self._send("kernel_info_request", {})
                    while (await self._next(asked))["msg_type"] != "kernel_info_reply":
                        pass
                    if listened(self._kernel):
                        return
                    await asyncio.sleep(_ASK_AGAIN_SECONDS)
        except TimeoutError:
            raise Unavailable(
                f"The kernel of {self._path} was not heard within {_START_SECONDS:.0f} seconds",
                advice="Try again; nothing has run",
            ) from None

    async def execute(self, cell: Said) -> str:
        """Run a cell, put into it what it gave, and return its error in one line."""
        wanted = {
            "code": _text(cell["source"]),
            "silent": False,
            "store_history": True,
            "allow_stdin": False,
            "stop_on_error": True,
        }
        asked = await self._send("execute_request", wanted)
        gathered, failed = _Outputs(cell["outputs"], self._shown), ""
        # The reply and the end of what is published come in either order.
        awaited = {"execute_reply", "idle"}
        while awaited:
            said = await self._next(asked)
            kind, content = said["msg_type"], said["content"]
            if kind == "execute_reply":
                awaited.discard(kind)
                cell["execution_count"] = content.get("execution_count")
            elif kind == "status":
                awaited.discard(content["execution_state"])
            else:
                gathered.take(kind, content)
            if kind == "error":
                failed = f"{content['ename']}: {content['evalue']}".partition("\n")[0][:300]
        return failed

    async def _send(self, kind: str, content: Mapping[str, object]) -> str:
        asked = uuid.uuid4().hex
        header = {"msg_id": asked, "msg_type": kind, "version": "5.3", "username": ""}
        header |= {"session": self._own, "date": ""}
        message: Said = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        await self._channels.send_json(message | {"channel": "shell", "buffers": []})
        return asked

    async def _next(self, asked: str) -> Said:
        """Return the next message that answers to one of ours."""
        while True:
            heard = await self._channels.receive()
            if heard.type is not aiohttp.WSMsgType.TEXT:
                raise self._died()
            said: Said = heard.json()
            state = said["content"].get("execution_state")
            if said["msg_type"] == "status" and state in ("dead", "restarting"):
                raise self._died()
            if said["parent_header"].get("msg_id") == asked:
                return said

    def _died(self) -> Unavailable:
        return Unavailable(
            f"The kernel of {self._path} ended before the notebook did",
            advice="What ran until then is on record; it may have used more memory than there is",
        )


class _Outputs:
    """What one cell gives, as notebooks keep it.

    Args:
        outputs: Where to.
        shown: What the notebook's cells have shown under a name, for later cells to change.
    """

    def __init__(self, outputs: list[Said], shown: dict[str, list[Said]]) -> None:
        self._outputs, self._shown = outputs, shown
        self._clear = False

    def take(self, kind: str, content: Said) -> None:
        """Take one message in; what is no output is passed over."""
        match kind:
            case "clear_output":
                self._clear = True
                if not content.get("wait"):
                    self._empty()
            case "stream":
                self._empty()
                self._stream(content["name"], content["text"])
            case "display_data" | "execute_result":
                self._empty()
                self._show(kind, content)
            case "update_display_data":
                for output in self._shown.get(_display(content), []):
                    output["data"], output["metadata"] = content["data"], content["metadata"]
            case "error":
                self._empty()
                names = ("ename", "evalue", "traceback")
                self._outputs.append({"output_type": kind} | {n: content[n] for n in names})

    def _empty(self) -> None:
        if self._clear:
            self._outputs.clear()
            self._clear = False

    def _stream(self, name: str, text: str) -> None:
        last = self._outputs[-1] if self._outputs else {}
        if (last.get("output_type"), last.get("name")) == ("stream", name):
            last["text"] += text
        else:
            self._outputs.append({"output_type": "stream", "name": name, "text": text})

    def _show(self, kind: str, content: Said) -> None:
        output = {"output_type": kind, "data": content["data"], "metadata": content["metadata"]}
        if kind == "execute_result":
            output["execution_count"] = content.get("execution_count")
        self._outputs.append(output)
        if (name := _display(content)) != "":
            self._shown.setdefault(name, []).append(output)


def _display(content: Said) -> str:
    return str((content.get("transient") or {}).get("display_id") or "")


def _kernel_of(notebook: Said) -> str:
    return str(notebook.get("metadata", {}).get("kernelspec", {}).get("name") or _KERNEL)


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
