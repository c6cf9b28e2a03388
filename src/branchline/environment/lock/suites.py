"""What is known of each Debian suite, and what every image of it has."""

from __future__ import annotations

from dataclasses import dataclass

from branchline.foundation.errors import Refused

RECIPE = 1
"""The number of the build recipe that new locks name."""

BASE_PACKAGES = ("ca-certificates", "libgomp1", "libstdc++6", "python3")
"""What every image has beside the essential packages, under this recipe. The two libraries are what
wheels expect of any Linux system (manylinux) and Debian's Python does not bring."""

RUNTIME = ("numpy", "pyarrow")
"""The Python distributions that the runner inside a train's sandbox needs."""

LAB = ("jupyterlab", "ipykernel")
"""The Python distributions of a Jupyter server with Python's kernel."""


@dataclass(frozen=True)
class Suite:
    """One Debian suite.

    Args:
        name: Its code name.
        python: The series of its own Python.
        glibc: The version of its C library, which decides what wheels it can load.
        base: Packages that every image of it has beside the essential and ``BASE_PACKAGES``.
    """

    name: str
    python: str
    glibc: tuple[int, int]
    base: tuple[str, ...] = ()


SUITES = {
    suite.name: suite
    for suite in (
        # A new root has /bin in /usr from the start; apt would take the package that moves it.
        Suite("bookworm", "3.11", (2, 36), ("usr-is-merged",)),
        Suite("trixie", "3.13", (2, 41)),
    )
}
"""The suites there are images of; the first is taken where nobody chooses."""


def suite_named(name: str) -> Suite:
    """Return a suite.

    Raises:
        Refused: There are no images of it.
    """
    try:
        return SUITES[name]
    except KeyError:
        raise Refused(
            f"There are no images of the Debian suite {name[:40]!r}",
            advice=f"Take one of {', '.join(SUITES)}",
        ) from None


def pythons() -> str:
    """Say which Python each suite has, for people."""
    return " and ".join(f"{suite.name} has Python {suite.python}" for suite in SUITES.values())
