"""Run a program until it is told to end: one line when it is ready, a clean end on a signal."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import AbstractAsyncContextManager
from importlib.abc import MetaPathFinder

import click

from branchline.cli.frame import wants_json


def serve(program: str, running: AbstractAsyncContextManager[str]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        program: What it is called in the line it prints.
        running: Runs while entered, and gives the address it listens on or talks to.
    """
    without = _NoPandas()
    sys.meta_path.insert(0, without)
    try:
        asyncio.run(_serve(program, running, as_json=wants_json()))
    finally:
        sys.meta_path.remove(without)


class _NoPandas(MetaPathFinder):
    """Have pyarrow do without pandas, which it loads, where installed, to turn values into arrays.

    No program needs it; trains do, in processes of their own. Loaded here it would cost the first
    journey half a second, and a waiting station forty megabytes for good.
    """

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Say that there is no pandas; leave all else to others."""
        if fullname == "pandas":
            raise ModuleNotFoundError("Programs that serve do not use pandas", name=fullname)


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
    preposition = "to" if program == "station" else "at"
    return f"{program} is listening {preposition} {address}"
