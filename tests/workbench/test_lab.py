"""Jupyter in an environment: reached on loopback with its token, ended cleanly, walled like a train."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.environment.built import Built, clone

from branchline.cli.environment.lab import lab as command
from branchline.environment.host import HostMount, describe_host, mounts
from branchline.environment.image.build import build_image
from branchline.environment.image.store import Store
from branchline.environment.lock.fetch import fetch
from branchline.environment.lock.locking import lock_environment
from branchline.environment.lock.wanted import Options
from branchline.environment.mount import ImageMount, mount_image
from branchline.environment.named import image_named
from branchline.foundation.errors import Conflict, Corrupt, Refused, Unavailable
from branchline.project.activity.chain import verify_records
from branchline.project.activity.feed import read_all
from branchline.project.activity.files import record_files
from branchline.project.place import Project
from branchline.workbench.lab import Lab, open_lab
from branchline.workbench.lab.door import Door, door

SENT = "what the browser sends"
COMMAND = (sys.executable, "-m", "branchline")


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Path]:
    """Give a socket that sends back in capitals what comes, once all of it has come."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        await writer.drain()
        writer.close()

    listening = await asyncio.start_unix_server(shout, tmp_path / "socket")
    yield tmp_path / "socket"
    listening.close()
    await listening.wait_closed()


async def say(port: int) -> str:
    """Send something through a door and return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(SENT.encode())
        writer.write_eof()
        return (await reader.read()).decode()
    finally:
        writer.close()


async def test_a_door_carries_both_ways(behind: Path) -> None:
    """The end of what one side sends is no end for the other; before it leads anywhere, it closes."""
    async with door(0) as made:
        with contextlib.suppress(ConnectionResetError):
            assert await say(made.port) == ""
        made.lead_to(behind)
        assert await asyncio.gather(*(say(made.port) for _ in range(20))) == [SENT.upper()] * 20


async def test_a_door_leads_to_the_one_socket_it_was_led_to(behind: Path) -> None:
    """Who can write in the folder cannot turn it to another socket of the machine."""
    async with door(0) as made:
        made.lead_to(behind)
        behind.rename(behind.with_name("moved"))
        behind.symlink_to("/nowhere")
        assert await say(made.port) == SENT.upper()


@pytest.mark.parametrize("what", ["link", "file"])
def test_a_door_leads_to_sockets_only(tmp_path: Path, what: str) -> None:
    """A link, too, is refused: it could name any socket that the person may use."""
    path = tmp_path / "socket"
    if what == "link":
        with socket.socket(socket.AF_UNIX) as real:
            real.bind(str(tmp_path / "real"))
        path.symlink_to(tmp_path / "real")
    else:
        path.write_text("")
    with pytest.raises(Corrupt, match="not the socket"):
        Door().lead_to(path)


async def test_a_port_that_is_taken_is_refused() -> None:
    """One sentence with the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=f"Port {port} "):
            async with door(port):
                pass


def with_jupyter(folder: Path, script: str | None) -> HostMount:
    """Give this machine's environment with a program of the server's name in its /usr/local."""
    (folder / "bin").mkdir(parents=True)
    if script is not None:
        (folder / "bin" / "jupyter-lab").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / "jupyter-lab").chmod(0o755)
    found = mounts(describe_host())
    kept = [(path, inside) for path, inside in found.root if not inside.startswith("/usr/local")]
    path = "/usr/local/bin:/usr/bin:/bin"
    return replace(found, root=[*kept, (folder, "/usr/local")], env={**found.env, "PATH": path})


async def test_an_environment_without_jupyter_is_refused(tmp_path: Path) -> None:
    """And how to get one is said."""
    with pytest.raises(Refused, match="lock --lab"):
        async with open_lab(with_jupyter(tmp_path / "local", None), tmp_path):
            pass


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The last line it printed is in the sentence, and no folder of it is left."""
    mount = with_jupyter(tmp_path / "local", "echo first; echo no space left; exit 3")
    (tmp_path / "tmp").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        with pytest.raises(Unavailable, match=r"ended at once\. It said last: no space left"):
            async with open_lab(mount, tmp_path):
                pass
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory, built_environment: Built) -> Path:
    """Give a project's folder, its environment with JupyterLab locked and built; its store is beside."""
    folder = tmp_path_factory.mktemp("lab")
    store = clone(built_environment.store, folder / "store")
    try:
        locked = lock_environment(None, Options(lab=True), store)
        fetch(locked.lock, locked.pylock, store)
    except Unavailable as error:
        pytest.skip(f"no packages can be fetched here: {error}")
    image = build_image(locked.lock, store)
    (folder / "project").mkdir()
    text = locked.lock.with_image(image.digest).text
    (folder / "project" / "branchline.lock").write_text(text)
    return folder / "project"


def mounted(project: Path) -> ImageMount:
    """Return the environment of a project."""
    from branchline.environment.image.images import image_of_lock
    from branchline.environment.lock.folder import read_lock

    store = Store(project.parent / "store")
    return mount_image(store, image_of_lock(store, read_lock(project)).digest)


CELL = """
import os, socket
try:
    socket.create_connection(("127.0.0.1", PORT), 5)
except ConnectionRefusedError:
    print(socket.if_nameindex())
open("made", "w").write("by a cell")
print(sorted(os.listdir("/work")), os.path.exists("/root"))
6 * 7
"""


async def run_cell(
    session: aiohttp.ClientSession, address: str, code: str, notebook: str = "n.ipynb"
) -> list[str]:
    """Start a notebook's kernel, run a cell in it, and return what it printed and gave."""
    wanted = {"path": notebook, "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    async with session.post(f"{address}/api/sessions", json=wanted) as answer:
        kernel = (await answer.json())["kernel"]["id"]
    asked = uuid.uuid4().hex
    header = {"msg_id": asked, "msg_type": "execute_request", "version": "5.3"}
    header |= {"username": "", "session": uuid.uuid4().hex, "date": ""}
    content = {"code": code, "silent": False, "store_history": False, "stop_on_error": True}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    said: list[str] = []
    async with session.ws_connect(f"{address}/api/kernels/{kernel}/channels") as channels:
        await channels.send_json(message | {"channel": "shell", "buffers": []})
        async with asyncio.timeout(60):
            while True:
                told: dict[str, Any] = await channels.receive_json()
                kind, content = told["msg_type"], told["content"]
                if told["parent_header"].get("msg_id") != asked:
                    continue
                if kind == "stream":
                    said.append(str(content["text"]))
                elif kind == "execute_result":
                    said.append(str(content["data"]["text/plain"]))
                elif kind == "error":
                    said.append(f"{content['ename']}: {content['evalue']}")
                elif kind == "status" and content["execution_state"] == "idle":
                    return said


@pytest.mark.slow
async def test_a_cell_runs_behind_the_walls(jupyter: Path) -> None:
    """With the token over real HTTP; it sees the project's folder, and no network."""
    async with open_lab(mounted(jupyter), jupyter) as lab:
        async with aiohttp.ClientSession() as stranger:
            for path in ("/api/status", "/api/contents", "/api/status?token=guessed"):
                async with stranger.get(lab.address + path) as answer:
                    assert answer.status == 403
        headers = {"Authorization": f"token {lab.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(f"{lab.address}/api/status") as answer:
                assert (answer.status, (await answer.json())["kernels"]) == (200, 0)
            async with session.get(f"{lab.address}/lab") as answer:
                assert "<title>JupyterLab</title>" in await answer.text()
            rebound = {"Host": "evil.example"}
            async with session.get(f"{lab.address}/api/status", headers=rebound) as answer:
                assert answer.status == 403
            said = "".join(
                await run_cell(
                    session, lab.address, CELL.replace("PORT", lab.address.rpartition(":")[2])
                )
            )
        assert said == "[(1, 'lo')]\n['branchline.lock', 'made'] False\n42"
        assert (jupyter / "made").read_text() == "by a cell"
    await gone(lab)


async def gone(lab: Lab) -> None:
    """Check that nothing listens any more."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(lab.address)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ctrl-c", "browser"])
async def test_the_command_ends_cleanly(jupyter: Path, way: str) -> None:
    """On Ctrl-C, and when it is shut down in the browser: exit code 0, and no process is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "branchline", "environment", command.name or "", str(jupyter)),
        *("--store", str(jupyter.parent / "store"), "--json"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(jupyter.parent)},
    )
    assert process.stdout is not None
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    assert ready["work"] == str(jupyter)
    below = children(process.pid)
    assert below
    if way == "ctrl-c":
        process.send_signal(signal.SIGINT)
    else:
        headers = {"Authorization": f"token {ready['token']}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{ready['address']}/api/shutdown") as answer,
        ):
            assert answer.status == 200
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert [pid for pid in below if lives(pid)] == []
    assert list(jupyter.parent.glob("branchline-lab-*")) == []


@pytest.mark.slow
async def test_what_notebooks_of_a_project_run_is_on_record(
    jupyter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`branchline lab`: with the notebook, the image and the error, signed, and committed at the end."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    for at, (name, value) in enumerate((("user.name", "Mira"), ("user.email", "m@example.org"))):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{at}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{at}", value)
    root, home = tmp_path / "project", tmp_path / "home"
    begun = await asyncio.create_subprocess_exec(
        *COMMAND, "init", str(root), "--home", str(home), stdout=asyncio.subprocess.DEVNULL
    )
    assert await begun.wait() == 0
    (root / "branchline.lock").write_bytes((jupyter / "branchline.lock").read_bytes())
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("lab", "--project", str(root), "--home", str(home)),
        *("--store", str(jupyter.parent / "store"), "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    headers = {"Authorization": f"token {ready['token']}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        code = "print(6 * 7)\n1 / 0"
        said = await run_cell(session, ready["address"], code, "code/first.ipynb")
    assert said == ["42\n", "ZeroDivisionError: division by zero"]
    # The page beside it shows the cell while the lab runs.
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session, asyncio.timeout(60):
        async with session.get(ready["page"]) as answer:
            address, page = answer.url, await answer.text()
        while "ZeroDivisionError" not in page:
            await asyncio.sleep(0.1)
            async with session.get(address) as answer:
                page = await answer.text()
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    project = Project.open(root)
    records = [signed.record for signed in read_all(project) if signed.record.type == "execution"]
    failed, ended = records
    assert (failed.action, failed.outcome, failed.detail("stdout")) == ("fail", "failed", "42\n")
    assert failed.detail("environment") == image_named(root)
    assert failed.detail("metadata")["notebook"] == "code/first.ipynb"
    assert ended.message == "The kernel of code/first.ipynb ended"
    assert verify_records(record_files(project), project.described.id, {}).faults == []
    committed = project.git.lines("ls-tree", "-r", "-z", "--name-only", "HEAD")
    assert sum(name.startswith("activity/clone-") for name in committed) == len(read_all(project))


NOTEBOOK = (
    "# a note",
    "value = 6 * 7",
    "",
    "from IPython.display import display\nprint('one')\nprint('two')\nh = display('old', display_id=True)",
    "h.update('new')\nvalue",
    "1 / 0",
    "print('never')",
)


@pytest.mark.slow
async def test_a_notebook_is_run_without_a_browser(
    jupyter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cell by cell up to the first that fails; saved with what they gave, and all of it on record."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    for at, (name, value) in enumerate((("user.name", "Mira"), ("user.email", "m@example.org"))):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{at}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{at}", value)
    root, home = tmp_path / "project", tmp_path / "home"

    async def said(*words: str) -> tuple[int, dict[str, Any]]:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *words,
            "--home",
            str(home),
            "--json",
            stdout=asyncio.subprocess.PIPE,
            cwd=tmp_path,
        )
        out, _ = await process.communicate()
        return process.returncode or 0, json.loads(out)

    assert (await said("init", str(root)))[0] == 0
    (root / "branchline.lock").write_bytes((jupyter / "branchline.lock").read_bytes())
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": text,
        }
        for text in NOTEBOOK[1:]
    ]
    cells.insert(0, {"cell_type": "markdown", "metadata": {}, "source": NOTEBOOK[0]})
    written = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    (root / "first.ipynb").write_text(json.dumps(written))
    (root / "empty.ipynb").write_text(json.dumps(written | {"cells": []}))
    (root / "broken.ipynb").write_text("{")
    where = ("--project", str(root), "--store", str(jupyter.parent / "store"))
    code, answer = await said(
        "lab", *where, "--run", "empty.ipynb", "--run", str(root / "first.ipynb")
    )
    assert code == 1
    assert answer["notebooks"] == [
        {"notebook": "empty.ipynb", "cells": 0, "failed": ""},
        {"notebook": "first.ipynb", "cells": 4, "failed": "ZeroDivisionError: division by zero"},
    ]
    saved = json.loads((root / "first.ipynb").read_text())["cells"]
    assert [cell.get("execution_count") for cell in saved] == [None, 1, None, 2, 3, 4, None]
    (printed, shown), (given,), (error,) = (cell["outputs"] for cell in saved[3:6])
    assert "".join(printed["text"]) == "one\ntwo\n"
    assert ("".join(shown["data"]["text/plain"]), given["data"]["text/plain"]) == ("'new'", ["42"])
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero")
    project = Project.open(root)
    records = [signed.record for signed in read_all(project) if signed.record.type == "execution"]
    ran = [record for record in records if record.detail("code") is not None]
    assert [record.detail("code") for record in ran] == [NOTEBOOK[at] for at in (1, 3, 4, 5)]
    assert {record.detail("metadata")["notebook"] for record in ran} == {"first.ipynb"}
    for notebook, sentence in (
        ("broken.ipynb", "broken.ipynb cannot be read as a notebook"),
        ("none.ipynb", "There is no notebook none.ipynb in the project"),
        ("../first.ipynb", "../first.ipynb is not a notebook of this project"),
    ):
        code, answer = await said("lab", *where, "--run", notebook)
        assert (code != 0, answer["refused"]) == (True, sentence)


def lives(pid: int) -> bool:
    """Tell whether a process is there, and not only its exit code that nobody has asked for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def children(pid: int) -> list[int]:
    """Return the processes below one."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *children(child)]
    return found
