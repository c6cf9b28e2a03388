"""Serve a Jupyter server until it is told to end; what both kinds of ``lab`` do."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import click

from branchline.cli.frame import lines, wants_json, working
from branchline.foundation.errors import Unavailable
from branchline.foundation.tasks import leave_off

if TYPE_CHECKING:
    from branchline.environment.mount import ImageMount
    from branchline.workbench.lab import Lab, Notebooks, Ran

Listening = Callable[[Path, "Notebooks"], AbstractContextManager[object]]
"""Listens to the kernels whose sockets appear in a folder, while entered."""


class Listener(AbstractContextManager["Listener"], Protocol):
    """Listens to kernels while entered, and knows which."""

    def hears(self, kernel: str) -> bool:
        """Tell whether a kernel, by its identifier, is listened to."""
        ...


async def run(
    mount: ImageMount,
    work: Path,
    notebooks: Sequence[str],
    network: bool,
    listening: Callable[[Path, Notebooks], Listener],
) -> list[Ran]:
    """Run notebooks one after another, up to the first that fails.

    Args:
        mount: The environment.
        work: The folder at ``/work``.
        notebooks: Their paths in it.
        network: Whether they see the machine's network.
        listening: Whoever listens to the kernels.
    """
    from branchline.workbench.lab import Notebooks, open_lab, run_notebook

    starting = asyncio.current_task()
    assert starting is not None
    _on_signal(starting.cancel)
    async with AsyncExitStack() as stack:
        kernels, known = _kernels(stack), Notebooks()
        listener = stack.enter_context(listening(kernels, known))
        with working("starting Jupyter") as progress:
            opening = open_lab(mount, work, network=network, kernels=kernels, progress=progress)
            lab = await stack.enter_async_context(opening)
            known.of(lab)
            done: list[Ran] = []
            for notebook in notebooks:
                done.append(await run_notebook(lab, notebook, listener.hears, progress))
                await asyncio.to_thread(known.refresh)
                if done[-1].failed:
                    break
        return done


async def serve(
    mount: ImageMount,
    work: Path,
    port: int,
    network: bool,
    listening: Listening | None = None,
    page: AbstractAsyncContextManager[str] | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM, or until somebody shuts the server down in the browser.

    Args:
        mount: The environment.
        work: The folder at ``/work``.
        port: On loopback; 0 takes any free one.
        network: Whether notebooks see the machine's network.
        listening: Whoever listens to the kernels, from before the first to after the last.
        page: Serves a page beside it while entered, and gives its address.
    """
    from branchline.workbench.lab import Notebooks, open_lab

    told, starting = asyncio.Event(), asyncio.current_task()
    assert starting is not None
    _on_signal(starting.cancel)
    async with AsyncExitStack() as stack:
        kernels, notebooks = None, Notebooks()
        if listening is not None:
            kernels = _kernels(stack)
            stack.enter_context(listening(kernels, notebooks))
        with working("starting Jupyter") as progress:
            opening = open_lab(
                mount, work, port=port, network=network, kernels=kernels, progress=progress
            )
            lab = await stack.enter_async_context(opening)
        notebooks.of(lab)
        _on_signal(told.set)
        beside = await stack.enter_async_context(page) if page is not None else ""
        click.echo(_ready(lab, work, beside))
        ends = [asyncio.create_task(told.wait()), asyncio.create_task(lab.ended())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        # What is heard last is written once the server has ended, and cannot be asked any more.
        await asyncio.to_thread(notebooks.refresh)
        if not told.is_set() and (code := await lab.ended()) != 0:
            raise Unavailable(f"Jupyter ended by itself, with the exit code {code}")
        await leave_off(ends)


def _kernels(stack: AsyncExitStack) -> Path:
    # Names of sockets have to be short, wherever temporary files are.
    return Path(stack.enter_context(TemporaryDirectory(prefix="bl-", dir="/tmp")))


def _on_signal(do: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, do)


def _ready(lab: Lab, work: Path, beside: str) -> str:
    if wants_json():
        said = {"ready": True, "url": lab.url, "address": lab.address, "token": lab.token}
        return json.dumps(said | {"work": str(work)} | ({"page": beside} if beside else {}))
    return lines(
        f"JupyterLab is at {lab.url}",
        f"What goes on record appears at {beside}" if beside else "",
        f"/work is {work}. Ctrl-C ends it.",
    )
