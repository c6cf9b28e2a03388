"""Ports for services that have to know theirs before they start."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST = 20_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a port nobody listens on, from below those that the system gives away by itself.

    One of the system's own would often go to somebody's connection before the service has it, or
    while the service starts again.
    """
    ephemeral = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    # Not the tests' own luck: workers that began alike must not draw the same numbers.
    draw = random.SystemRandom()
    while True:
        port = draw.randrange(_LOWEST, max(ephemeral, _LOWEST + 5_000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
