"""Run a program until it is told to end: one line when it is ready, a clean end on a signal."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AbstractAsyncContextManager

import click

from branchline.cli.frame import wants_json


def serve(program: str, running: AbstractAsyncContextManager[str]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        program: What it is called in the line it prints.
        running: Runs while entered, and gives the address it listens on or talks to.
    """
    asyncio.run(_serve(program, running, as_json=wants_json()))


async def _serve(program: str, running: AbstractAsyncContextManager[str], *, as_json: bool) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with running as address:
        click.echo(ready(program, address, as_json=as_json))
        await told.wait()


def ready(program: str, address: str, *, as_json: bool) -> str:
    """Return the line that says that a program is ready."""
    if as_json:
        return json.dumps({"ready": True, "program": program, "address": address})
    preposition = "at" if program == "central" else "to"
    return f"{program} is listening {preposition} {address}"
