"""This room and the one below it, loaded as an idle station loads them."""

from __future__ import annotations

import subprocess
import sys


def test_an_idle_station_loads_no_arrow() -> None:
    """Importing what a station needs to hold its datasets loads neither Arrow nor NumPy."""
    program = (
        "import sys\n"
        "import branchline.datasets.extract, branchline.datasets.infer\n"
        "import branchline.datasets.schema_toml, branchline.datasets.synthetic\n"
        "import branchline.train.bundle, branchline.train.template\n"
        "print(sorted({'pyarrow', 'numpy', 'pandas', 'jsonschema'} & set(sys.modules)))\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
