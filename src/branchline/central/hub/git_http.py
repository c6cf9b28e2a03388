"""Git's smart HTTP for hosted projects: git itself as a child, bounded, with no word of theirs.

Source: gitprotocol-http(5). A push is judged while what it brought is still apart (git's quarantine):
git calls a hook of ours, the hook asks here, and nothing is let in before it stands in the ledger.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from aiohttp import web

from branchline.central.hub.child import Child
from branchline.central.hub.door import Visitor, refusal, visitor_of
from branchline.central.hub.hosting import Hub
from branchline.central.hub.receiving import Question, Receiving
from branchline.central.hub.rights import Standing
from branchline.foundation.durable import write_durably
from branchline.foundation.errors import BranchlineError, Refused
from branchline.journey.hosting import Right
from branchline.project.git.environment import clean_environment

PUSH_LIMIT = 2 << 30
"""The most bytes of one push; large data are git-annex's."""
ASK_LIMIT = 16 << 20
"""The most bytes with which a client says what it has and wants."""
_SERVICES: Mapping[str, Right] = {"git-upload-pack": "read", "git-receive-pack": "write"}
_PROTOCOL = re.compile(r"^version=[012](:[a-z0-9=:]{0,64})?$")
_HOOK = """\
#!/bin/sh
# Asks the hub, which started git, whether what was pushed may come in.
{ printf '%s\\n' "$GIT_QUARANTINE_PATH"; cat; printf '.\\n'; } > "/proc/self/fd/$BRANCHLINE_ASK" || exit 1
{ IFS= read -r verdict && cat >&2; } < "/proc/self/fd/$BRANCHLINE_HEAR"
[ "$verdict" = yes ]
"""


class GitDoor:
    """Git for whoever comes with a token.

    Args:
        hub: The hosted projects.
        receiving: Judges what is pushed.
    """

    def __init__(self, hub: Hub, receiving: Receiving) -> None:
        self._hub, self._receiving = hub, receiving
        hooks = hub.repositories.folder / ".hooks"
        hooks.mkdir(mode=0o700, exist_ok=True)
        write_durably(hooks / "pre-receive", _HOOK.encode(), mode=0o700)
        self._settings = settings(hooks)

    async def advertise(self, request: web.Request, owner: str, name: str) -> web.StreamResponse:
        """Say which branches there are."""
        service = request.query.get("service", "")
        try:
            if service not in _SERVICES:
                raise Refused(
                    "This is a repository of git's", advice="Clone it with git 2.3 or later"
                )
            standing, _ = visitor_of(self._hub, request, owner, name, _SERVICES[service])
            place = await asyncio.to_thread(self._hub.repositories.ensure, standing)
        except BranchlineError as error:
            return refusal(error)
        words = (service.removeprefix("git-"), "--stateless-rpc", "--advertise-refs", ".")
        environment = self._environment(request)
        response = _response(f"{service}-advertisement")
        head = b""
        if "version=2" not in environment.get("GIT_PROTOCOL", "") or service != "git-upload-pack":
            line = f"# service={service}\n"
            head = f"{len(line) + 4:04x}{line}0000".encode()
        child = Child(words, place, environment, {})
        return await child.serve(request, response, 0, head)

    async def fetch(self, request: web.Request, owner: str, name: str) -> web.StreamResponse:
        """Hand out what a client asks for."""
        try:
            standing, _ = visitor_of(self._hub, request, owner, name, "read")
            place = await asyncio.to_thread(self._hub.repositories.ensure, standing)
        except BranchlineError as error:
            return refusal(error)
        words = ("upload-pack", "--stateless-rpc", ".")
        child = Child(words, place, self._environment(request), {})
        return await child.serve(request, _response("git-upload-pack-result"), ASK_LIMIT)

    async def push(self, request: web.Request, owner: str, name: str) -> web.StreamResponse:
        """Take in what a client brings, once it is judged."""
        try:
            standing, visitor = visitor_of(self._hub, request, owner, name, "write")
            place = await asyncio.to_thread(self._hub.repositories.ensure, standing)
        except BranchlineError as error:
            return refusal(error)
        async with AsyncExitStack() as stack:
            pipes = [*os.pipe(), *os.pipe()]
            asked, ask, hear, heard = pipes
            lock = self._hub.repositories.lock(standing.hosted)
            stack.callback(os.close, lock)
            names = {"BRANCHLINE_ASK": ask, "BRANCHLINE_HEAR": hear, "BRANCHLINE_LOCK": lock}
            child = Child(
                ("receive-pack", "--stateless-rpc", "."),
                place,
                self._environment(request),
                names,
                closed=(ask, hear),
            )
            judging = asyncio.create_task(self._judge(stack, standing, visitor, asked, heard, lock))
            stack.push_async_callback(_ended, judging)
            response = _response("git-receive-pack-result")
            return await child.serve(request, response, PUSH_LIMIT)

    async def _judge(
        self,
        stack: AsyncExitStack,
        standing: Standing,
        visitor: Visitor,
        asked: int,
        heard: int,
        lock: int,
    ) -> None:
        """Answer the hook; branches stay this push's alone until git has ended."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=ASK_LIMIT)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(asked, "rb", 0))
        with os.fdopen(heard, "wb", 0) as answer:
            try:
                question = await _question(reader)
                if question is None:
                    return
                try:
                    await stack.enter_async_context(
                        self._hub.repositories.alone(standing.hosted, lock)
                    )
                    await self._receiving.let_in(standing, visitor, question)
                except BranchlineError as error:
                    said = f"no\n{error}\n"
                else:
                    said = "yes\n"
                with suppress(BrokenPipeError):
                    answer.write(said.encode())
            finally:
                transport.close()

    def _environment(self, request: web.Request) -> dict[str, str]:
        environment = clean_environment(self._settings)
        asked = request.headers.get("Git-Protocol", "")
        if _PROTOCOL.match(asked):
            environment["GIT_PROTOCOL"] = asked
        return environment


def settings(hooks: Path) -> dict[str, str | None]:
    """Return git's settings for serving: they win over all that a repository says.

    Args:
        hooks: The folder with our hook.
    """
    return {
        "core.hooksPath": str(hooks),
        "transfer.fsckObjects": "true",
        "receive.fsckObjects": "true",
        "receive.denyDeletes": "true",
        "receive.denyNonFastForwards": "true",
        "receive.denyCurrentBranch": "ignore",
        "receive.maxInputSize": str(PUSH_LIMIT),
        "receive.autogc": "false",
        "receive.shallowUpdate": "false",
        "receive.advertisePushOptions": "false",
        "receive.updateServerInfo": "false",
        "uploadpack.allowAnySHA1InWant": "false",
        "uploadpack.allowTipSHA1InWant": "false",
        "uploadpack.allowReachableSHA1InWant": "false",
        "uploadpack.allowFilter": "false",
        # Git takes one that is empty for a program. Repositories cannot name one at all.
        "uploadpack.packObjectsHook": None,
        "transfer.hideRefs": "refs/branchline",
        "transfer.advertiseSID": "false",
        "pack.threads": "1",
        "pack.windowMemory": "64m",
        "core.bigFileThreshold": "16m",
    }


async def _question(reader: asyncio.StreamReader) -> Question | None:
    """Read what the hook asks; None if git came to no question."""
    found: list[str] = []
    while line := await reader.readline():
        if line == b".\n":
            return Question.read(found)
        found.append(line.decode(errors="surrogateescape").rstrip("\n"))
    return None


async def _ended(task: asyncio.Task[None]) -> None:
    if not task.done():
        # Git has ended, so nobody asks any more.
        task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _response(kind: str) -> web.StreamResponse:
    return web.StreamResponse(
        headers={"Content-Type": f"application/x-{kind}", "Cache-Control": "no-store"}
    )
