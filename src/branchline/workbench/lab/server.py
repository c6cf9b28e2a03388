"""Start a Jupyter server in an environment's sandbox, and end it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from branchline.foundation.errors import Refused, Unavailable
from branchline.sandbox.beside import start
from branchline.sandbox.engine import EnvironmentMount
from branchline.sandbox.process import SandboxProcess
from branchline.sandbox.walls import PersonalJob
from branchline.workbench.lab.door import LOOPBACK, Door, door

PROGRAM = "jupyter-lab"
_INSIDE, _KERNELS = "/run/lab", "/run/kernels"
_SOCKET, _SETTINGS, _LOG = "socket", "settings.json", "log"
_START_SECONDS = 120.0
_END_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.02
_LAST_LINES = 20


@dataclass(frozen=True)
class Lab:
    """A Jupyter server that runs.

    Args:
        address: Where it answers, on loopback.
        token: What a request must show.
    """

    address: str
    token: str
    _process: SandboxProcess

    @property
    def url(self) -> str:
        """What a person opens in the browser; who has it has the server."""
        return f"{self.address}/lab?token={self.token}"

    async def ended(self) -> int:
        """Wait until the server has ended by itself; return its exit code."""
        return await self._process.wait()


@asynccontextmanager
async def open_lab(
    mount: EnvironmentMount,
    folder: Path,
    *,
    port: int = 0,
    network: bool = False,
    kernels: Path | None = None,
    progress: Callable[[str], None] = lambda said: None,
) -> AsyncIterator[Lab]:
    """Run a Jupyter server in an environment while entered; kernels end with it.

    Args:
        mount: The environment; it must have JupyterLab.
        folder: At `/work`, for reading and writing; all else of the machine is not there.
        port: On loopback; 0 takes any free one.
        network: Whether what runs in it sees the machine's network.
        kernels: Where kernels' connection files and sockets appear, for whoever listens to them; a
            folder with a short name.
        progress: Told what is done.

    Raises:
        Refused: The environment has no JupyterLab.
        Conflict: The port is taken.
        Corrupt: The environment is not what was built.
        Unavailable: The server did not start; the sentence has what it said last.
    """
    if not has_jupyter(mount):
        raise Refused(
            "The environment has no JupyterLab",
            advice="Add it with 'branchline environment lock --lab', then build again",
        )
    token = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="branchline-lab-") as name:
        own = Path(name)
        # In a file of one's own: command lines can be read by everybody on the machine.
        settings = _settings(token)
        variables, shown = {"SHELL": "/bin/bash"}, {_INSIDE: own}
        if kernels is not None:
            settings["KernelManager"] = {"transport": "ipc"}
            variables["JUPYTER_RUNTIME_DIR"] = _KERNELS
            shown[_KERNELS] = kernels
        (own / _SETTINGS).write_text(json.dumps(settings), "utf-8")
        job = PersonalJob(
            mount,
            (PROGRAM, f"--config={_INSIDE}/{_SETTINGS}"),
            folder,
            network,
            variables,
            shown,
        )
        async with door(port) as entrance:
            progress("checking the environment")
            process = await start(job, own / _LOG)
            lab = Lab(f"http://{LOOPBACK}:{entrance.port}", token, process)
            try:
                progress("starting Jupyter")
                await _ready(lab, entrance, own)
                yield lab
                await _shut_down(lab)
            finally:
                await process.end()


def has_jupyter(mount: EnvironmentMount) -> bool:
    """Tell whether an environment has JupyterLab."""
    folders = {inside: path for path, inside in mount.root}
    return any(
        os.path.lexists(folders[inside] / "bin" / PROGRAM)
        for inside in ("/usr/local", "/usr")
        if inside in folders
    )


def _settings(token: str) -> dict[str, dict[str, object]]:
    """Return Jupyter's configuration (jupyter_server, jupyterlab, jupyter_client)."""
    return {
        "ServerApp": {
            "sock": f"{_INSIDE}/{_SOCKET}",
            "sock_mode": "0600",
            "ip": LOOPBACK,
            # Requests under another name than this machine's own are refused: no DNS rebinding.
            "allow_remote_access": False,
            "open_browser": False,
            "root_dir": "/work",
            "terminado_settings": {"shell_command": ["/bin/bash"]},
        },
        "IdentityProvider": {"token": token},
        "LabApp": {
            # The environment is what its lock says; another package means another lock.
            "extension_manager": "readonly",
            "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            "news_url": None,
        },
    }


async def _ready(lab: Lab, entrance: Door, own: Path) -> None:
    """Return once the server answers through the door."""
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not await _answers(lab, entrance, own / _SOCKET):
                if lab._process.exit is not None:
                    raise _failed("ended at once", own)
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    except TimeoutError:
        raise _failed(f"did not answer within {_START_SECONDS:.0f} seconds", own) from None


async def _answers(lab: Lab, entrance: Door, socket: Path) -> bool:
    try:
        entrance.lead_to(socket)
    except FileNotFoundError:
        return False
    try:
        return await _ask(lab, "GET", "/api/status")
    except aiohttp.ClientError:
        return False  # it does not listen yet


async def _shut_down(lab: Lab) -> None:
    """Have the server end its kernels and itself; whoever called kills what is left."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            if lab._process.exit is None and await _ask(lab, "POST", "/api/shutdown"):
                await lab._process.wait()


async def _ask(lab: Lab, method: str, path: str) -> bool:
    headers = {"Authorization": f"token {lab.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, lab.address + path) as answer,
    ):
        return answer.ok


def _failed(what: str, own: Path) -> Unavailable:
    said = (own / _LOG).read_text("utf-8", "replace").splitlines()[-_LAST_LINES:]
    return Unavailable(
        f"Jupyter {what}",
        advice=f"It said last: {said[-1]}" if said else "",
        detail={"log": said},
    )
