"""Flower's deployment runtime beside ours: SuperLink and three SuperNodes as processes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from pathlib import Path

from benchmarks import peers
from benchmarks.programs import ProgramFailed, Programs

REQUIREMENTS = ("flwr==1.41.0", "numpy")
NODES = 3
WARM_UP = 2.0
"""Seconds after the nodes' start before the first run."""

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "bench"
version = "0.1.0"
dependencies = []

[tool.hatch.build.targets.wheel]
packages = ["."]

[tool.flwr.app]
publisher = "bench"

[tool.flwr.app.components]
serverapp = "flower_app:server"
clientapp = "flower_app:client"

[tool.flwr.app.config]
num-server-rounds = 3
size = 1000
out = ""
"""
_CONNECTION = """\
[superlink]
default = "bench"

[superlink.bench]
address = "127.0.0.1:{port}"
insecure = true
"""


def make_environment(cache: Path) -> Path:
    """Make a virtual environment with Flower, once; return its ``bin`` folder."""
    return peers.make_environment(cache, "flower", REQUIREMENTS)


def environment(binaries: Path, folder: Path) -> dict[str, str]:
    """Return the variables Flower's programs need: a home of their own, no telemetry."""
    return {
        "FLWR_HOME": str(folder / "home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",  # they start flwr-clientapp by name
        "PYTHONPATH": "",
    }


class Flower:
    """A SuperLink with three SuperNodes, ready for runs.

    Args:
        folder: For its app, home and answers.
        programs: Runs it, with ``environment`` set.
        binaries: Where its programs are.
    """

    def __init__(self, folder: Path, programs: Programs, binaries: Path) -> None:
        self._folder, self._programs, self._binaries = folder, programs, binaries
        self._runs = 0

    def open(self) -> None:
        """Start the SuperLink, then the nodes: they back off for long when it is not there."""
        port, *ports = _free_ports(NODES + 1)
        app = self._folder / "app"
        app.mkdir(parents=True)
        (app / "pyproject.toml").write_text(_PROJECT)
        shutil.copy(Path(__file__).with_name("flower_app.py"), app)
        home = self._folder / "home"
        home.mkdir()
        (home / "config.toml").write_text(_CONNECTION.format(port=port))
        address = ("--host", "127.0.0.1", "--port", str(port))
        link = (self._program("flower-superlink"), "--insecure", *address)
        self._programs.serve("superlink", link, ready="(?i)running|listening|started")
        _wait_for(port)
        for number, own in enumerate(ports):
            place = f"partition-id={number} num-partitions={NODES}"
            node = ("--superlink", f"127.0.0.1:{port}", "--port", str(own), "--node-config", place)
            command = (self._program("flower-supernode"), "--insecure", *node)
            self._programs.serve(f"supernode-{number}", command, ready=r"(?i)supernode")
        time.sleep(WARM_UP)

    def time_rounds(self, rounds: int, size: int, seconds: float) -> list[float]:
        """Return the seconds of every round but the first.

        Args:
            rounds: How many.
            size: Parameters of the model (float32).
            seconds: How long the whole run may take.

        Raises:
            ProgramFailed: The run did not end in time.
        """
        self._runs += 1
        out = self._folder / f"run-{self._runs}.json"
        config = f'num-server-rounds={rounds} size={size} out="{out}"'
        app = str(self._folder / "app")
        command = (self._program("flwr"), "run", app, "bench", "--run-config", config)
        self._programs.run(f"run-{self._runs}", command, folder=self._folder)
        end = time.monotonic() + seconds
        while not out.exists():
            if time.monotonic() > end:
                raise ProgramFailed(f"Flower's run of {size} parameters took over {seconds:.0f} s")
            time.sleep(0.2)
        measured: list[float] = json.loads(out.read_text())
        return measured

    def _program(self, name: str) -> str:
        return str(self._binaries / name)


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def _wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise ProgramFailed(f"Flower's SuperLink does not listen on port {port}")
