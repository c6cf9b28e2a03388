"""The errors of this room that others tell apart."""

from __future__ import annotations

from branchline.foundation.errors import Corrupt


class EnvironmentDamaged(Corrupt):
    """An image in the store is not what was built; nothing may run in it."""

    code = "environment-damaged"
