"""An idle station stays small: what only trains need comes with the first train."""

import subprocess
import sys


def test_the_agent_loads_no_numbers_before_a_train_comes() -> None:
    """Importing the whole agent brings neither numpy nor pyarrow nor pandas into memory.

    Nor what keeps, fetches and lays out images.
    """
    late = ["numpy", "pyarrow", "pandas", "branchline.environment.image"]
    program = f"import sys, branchline.station.agent; print(sorted({set(late)} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
