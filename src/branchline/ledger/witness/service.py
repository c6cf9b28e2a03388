"""A witness over HTTP, as C2SP tlog-witness says: whoever runs a log posts checkpoints to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from branchline.foundation.clock import Clock, SystemClock
from branchline.foundation.http.api import Call, Route
from branchline.foundation.http.server import ApiServer, listen, tls_context
from branchline.foundation.tasks import in_thread
from branchline.ledger.witness.home import WitnessHome
from branchline.ledger.witness.wire import MAX_REQUEST, TEXT, Answer
from branchline.ledger.witness.witness import Witness

log = logging.getLogger("branchline.witness")


class WitnessApi:
    """The two calls of tlog-witness.

    Args:
        witness: Decides, remembers, cosigns.
    """

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def routes(self) -> Sequence[Route]:
        """Return the table."""
        return [
            Route("POST", "/add-checkpoint", self.add, "Cosign a checkpoint",
                  access="public", body=bytes, answer=bytes),
            Route("GET", "/{origin}/checkpoint", self.latest,
                  "The checkpoint cosigned last, by the SHA-256 of the log's origin",
                  access="public", answer=bytes),
        ]  # fmt: skip

    async def add(self, call: Call) -> web.Response:
        """Answer ``add-checkpoint``; what is answered with 200 is durable."""
        try:
            await call.request.content.readexactly(MAX_REQUEST + 1)
        except asyncio.IncompleteReadError as error:
            answer = await in_thread(partial(self._witness.add_checkpoint, error.partial))
            return _respond(answer)
        response = _respond(Answer(400, f"A request has at most {MAX_REQUEST} bytes\n"))
        response.force_close()  # what is left of the body is not read
        return response

    async def latest(self, call: Call) -> web.Response:
        """Give what was cosigned last of a log, with the log's signature and the witness's own."""
        origin = call.path("origin")
        note = await in_thread(partial(self._witness.latest_by_hash, origin))
        return web.Response(body=note, headers={"Content-Type": TEXT})


def _respond(answer: Answer) -> web.Response:
    if answer.status not in (200, 409):
        log.warning("not cosigned (%s): %s", answer.status, answer.body.strip())
    kind = {"Content-Type": answer.content_type}
    return web.Response(status=answer.status, body=answer.body.encode(), headers=kind)


@asynccontextmanager
async def serving(
    home: WitnessHome,
    host: str,
    port: int,
    *,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[str]:
    """Run a witness; gives the address it listens on.

    Args:
        home: Its folder.
        host: Address to listen on; without TLS, loopback only.
        port: Port to listen on; 0 for any free one.
        tls_cert: Certificate file for HTTPS.
        tls_key: Its key.
        clock: The time.

    Raises:
        NotFound: There is no witness in the folder.
        Refused: The address cannot be listened on.
    """
    clock, tls = clock or SystemClock(), tls_context(tls_cert, tls_key)
    server = ApiServer(WitnessApi(home.witness(clock)).routes(), lambda key: None, clock)
    runner, bound = await listen(server.app, host, port, tls)
    try:
        yield f"{'https' if tls else 'http'}://{host}:{bound}"
    finally:
        await runner.cleanup()
