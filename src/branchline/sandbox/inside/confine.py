"""Set the process's own limits before any code of a train runs.

The numbers are hard limits: without privileges in the host's user namespace nobody inside can
raise them again. The host reads them back from `/proc/<pid>/limits` before it trusts them.
"""

import os
import resource
from collections.abc import Mapping


def confine(limits: Mapping[str, int]) -> None:
    """Apply resource limits by name (`nofile`, `cpu`, `as`, `nproc`); core dumps are always off."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (value, value))
    os.umask(0o077)
