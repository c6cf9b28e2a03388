"""A program that serves: ready in one line, ended by a signal, and no larger than it has to be."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal, sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import click
from branchline.cli.serving import serve

@asynccontextmanager
async def running():
    import pyarrow as pa
    import pyarrow.compute as pc
    assert pc.equal(pa.array([1, None, 3]), 3).to_pylist() == [False, None, True]
    os.kill(os.getpid(), signal.SIGTERM)
    yield "an address"
    print("pandas" in sys.modules)

with click.Context(click.Command("serve")):
    serve("station", running())
"""


def test_a_program_loads_no_pandas() -> None:
    """Arrow's arrays are made without it, although it is installed for the trains."""
    import pandas as pd

    assert pd.__version__
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (
        "station is listening to an address\nFalse\n",
        "",
        0,
    )
