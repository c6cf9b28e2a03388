"""Run central with room for large models; the command line keeps the default limits.

Usage: ``python -m benchmarks.central FOLDER``; prints one line with the address.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from benchmarks.limits import ROOMY
from branchline.central.service import CentralSettings, running


async def serve(folder: Path) -> None:
    """Serve on a free port of the loopback until told to end."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with running(CentralSettings(folder, port=0, limits=ROOMY)) as address:
        print(f"listening at {address}", flush=True)
        await told.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
