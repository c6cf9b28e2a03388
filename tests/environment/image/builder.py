"""Build a lock's image in a process of its own: `python builder.py STORE LOCK`.

Says what it does line by line, and at the end the image's digest.
"""

from __future__ import annotations

import sys
from pathlib import Path

from branchline.environment.image.build import build_image
from branchline.environment.image.store import Store
from branchline.environment.lock.model import parse_lock
from branchline.foundation.errors import BranchlineError


def say(sentence: str) -> None:
    """Say something at once."""
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        lock = parse_lock(Path(sys.argv[2]).read_bytes())
        say(build_image(lock, Store(Path(sys.argv[1])), progress=say).digest)
    except BranchlineError as error:
        say(f"{type(error).__name__}: {error}")
        sys.exit(error.exit_code)
