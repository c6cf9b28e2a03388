"""Git-annex serving one hosted project's content, on a socket that only central reaches.

It trusts whoever connects (``--wideopen``): who may do what is decided before it is asked. It is
started when it is needed and ended when it has been idle; it dies with central.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import aiohttp

from branchline.central.hub.rights import Standing
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import Unavailable
from branchline.foundation.http.server import READ_BUFFER
from branchline.foundation.ids import new_id
from branchline.project.git.annex import Annex
from branchline.project.git.command import Git
from branchline.project.git.environment import clean_environment

log = logging.getLogger("branchline.central.hub")

IDLE = 60.0
"""Seconds without a request after which a server ends."""
MOST = 8
"""How many projects' content is served at once; each server takes some 50 MB."""
JOBS = 8
"""How many requests one server works on at once."""

_PATIENCE = 15.0
_LONGEST = 106
"""Bytes of a socket's name, one for the slash among them (unix(7))."""
_SETTINGS = {
    # What the hub holds is told by those who push, and held against the disk: its own word on the
    # branch would only make every push wait for a merge.
    "annex.private": "true",
    "annex.verify": "true",
    "annex.jobs": str(JOBS),
    "annex.pidlock": "false",
    "annex.fsckduringtransfer": "false",
}


@dataclass
class _Server:
    process: asyncio.subprocess.Process
    session: aiohttp.ClientSession
    busy: int = 0
    used: float = 0.0


class Servers:
    """The servers that run now, one for each project whose content is asked for.

    Args:
        folder: Central's folder; their sockets are in ``sockets`` in it, if names can be so long.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = _for_sockets(folder.absolute())
        self._running: dict[str, _Server] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._sweeping: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def session(
        self, standing: Standing, place: Path
    ) -> AsyncIterator[aiohttp.ClientSession]:
        """Give a way to a project's server, which stays up as long.

        Args:
            standing: The hosted project.
            place: Its repository.

        Raises:
            Unavailable: It cannot be started now.
        """
        server = await self._server(standing, place)
        server.busy += 1
        try:
            yield server.session
        finally:
            server.busy -= 1
            server.used = asyncio.get_running_loop().time()

    async def _server(self, standing: Standing, place: Path) -> _Server:
        hosted = standing.hosted
        async with self._locks.setdefault(hosted, asyncio.Lock()):
            found = self._running.get(hosted)
            if found is not None and found.process.returncode is None:
                return found
            if found is not None:
                await self._end(hosted)
            await self._make_room()
            made = await self._start(hosted, place)
            self._running[hosted] = made
            if self._sweeping is None:
                self._sweeping = asyncio.create_task(self._sweep())
            return made

    async def _start(self, hosted: str, place: Path) -> _Server:
        # Judged before anything of git-annex's reads it.
        program = await asyncio.to_thread(_checked, place)
        socket = self._folder / hosted
        socket.unlink(missing_ok=True)
        dying = shutil.which("setpriv")
        words = (*((dying, "--pdeathsig", "KILL", "--") if dying else ()), program)
        process = await asyncio.create_subprocess_exec(
            *words,
            *("p2phttp", "--wideopen", "--quiet", f"-J{JOBS}", "--socket", str(socket)),
            cwd=place,
            env=_environment(program),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            process_group=0,
        )
        try:
            await _listening(process, socket)
        except BaseException:
            _kill(process)
            await process.wait()
            raise
        session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(socket), limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
        )
        return _Server(process, session, used=asyncio.get_running_loop().time())

    async def _make_room(self) -> None:
        if len(self._running) < MOST:
            return
        idle = [name for name, server in self._running.items() if not server.busy]
        if not idle:
            raise Unavailable(
                "The content of too many projects is asked for now", advice="Try again in a minute"
            )
        await self._end(min(idle, key=lambda name: self._running[name].used))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(IDLE / 4)
            now = asyncio.get_running_loop().time()
            for hosted, server in list(self._running.items()):
                if not server.busy and now - server.used > IDLE:
                    await self._end(hosted)

    async def stop(self, hosted: str) -> None:
        """End a project's server, if it runs."""
        async with self._locks.setdefault(hosted, asyncio.Lock()):
            await self._end(hosted)

    async def _end(self, hosted: str) -> None:
        server = self._running.pop(hosted, None)
        if server is not None:
            await server.session.close()
            _kill(server.process)
            await server.process.wait()

    async def close(self) -> None:
        """End all of them."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping
        for hosted in list(self._running):
            await self._end(hosted)
        shutil.rmtree(self._folder, ignore_errors=True)


def _for_sockets(folder: Path) -> Path:
    """Give an empty folder for sockets that is ours alone, without what a killed central left.

    A socket's name is short by nature. Where central's folder has a long one, the sockets are in
    that of the user's session, or that for temporary files, always under the same name.
    """
    made = folder / "sockets"
    if len(os.fsencode(made)) > _LONGEST - len(new_id("hosted")):
        beside = Path(os.environ.get("XDG_RUNTIME_DIR") or gettempdir())
        made = beside / f"branchline-hub-{digest_of(os.fsencode(folder))[7:23]}"
    if made.is_symlink() or (made.exists() and made.stat().st_uid != os.getuid()):
        raise Unavailable(f"{made} belongs to somebody else", advice="Remove it, or set TMPDIR")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    return made


def _environment(program: str) -> dict[str, str]:
    """Return its variables: the programs of our own backends are beside git-annex, or this Python."""
    found = clean_environment(_SETTINGS)
    folders = (str(Path(program).parent), str(Path(sys.executable).parent))
    found["PATH"] = os.pathsep.join((*folders, found.get("PATH", os.defpath)))
    return found


def _checked(place: Path) -> str:
    git = Git(place)
    _ = git.own
    return Annex(git).program


async def _listening(process: asyncio.subprocess.Process, socket: Path) -> None:
    """Wait until a server takes connections."""
    try:
        async with asyncio.timeout(_PATIENCE):
            while process.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_unix_connection(str(socket))
                    writer.close()
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        pass
    raise Unavailable("git-annex does not start here", advice="Tell the central operator")


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
