"""Let unpacked packages configure themselves: their preinst scripts, then `dpkg --configure`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

from branchline.environment.image import dpkg
from branchline.environment.image.confine import Confined, run, start
from branchline.environment.image.deb import Control
from branchline.environment.image.modes import put
from branchline.environment.image.recipe import LAYER_DATE
from branchline.foundation.errors import Refused

_VARIABLES = {"SOURCE_DATE_EPOCH": str(LAYER_DATE)}
_POLICY = "usr/sbin/policy-rc.d"
"""Asked before a service is started; 101 forbids it (invoke-rc.d(8))."""
_FAILED = re.compile(r"status: ([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9]+)? : error : ")
_DONE = re.compile(r"status: ([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9]+)?: installed")


class BuildFailed(Refused):
    """A package does not configure itself in an image."""

    code = "build-failed"


class Configuration:
    """Run packages' scripts in a root.

    Args:
        root: The image's root, with a database of dpkg's.
        log: Takes everything the scripts print.
        progress: Told what is done.
    """

    def __init__(self, root: Path, log: Path, progress: Callable[[str], None]) -> None:
        self._root, self._log, self._progress = root, log, progress
        log.write_bytes(b"")

    def preinst(self, name: str, control: Control) -> None:
        """Run a package's preinst, if it has one.

        Raises:
            BuildFailed: It failed.
        """
        if "preinst" not in control.files:
            return
        file = self._root / dpkg.ADMIN / "info" / f"{dpkg.qualified(control)}.preinst"
        put(file, control.files["preinst"][0], 0o755)
        variables = _VARIABLES | {
            "DPKG_MAINTSCRIPT_PACKAGE": control.fields["Package"],
            "DPKG_MAINTSCRIPT_ARCH": control.fields["Architecture"],
            "DPKG_MAINTSCRIPT_NAME": "preinst",
            "DPKG_ADMINDIR": f"/{dpkg.ADMIN}",
            "DPKG_ROOT": "",
        }
        inside = Confined(self._root, True, variables=variables)
        with self._log.open("ab") as output:
            code = run(inside, [f"/{file.relative_to(self._root)}", "install"], output=output)
        if code != 0:
            raise _failure(name, "preinst", self._log)

    def configure(self, count: int) -> None:
        """Configure all packages that are unpacked.

        Args:
            count: How many there are.

        Raises:
            BuildFailed: A script failed; the sentence names the package and the log.
        """
        put(self._root / _POLICY, "#!/bin/sh\nexit 101\n", 0o755)
        self._progress(f"configuring {count} Debian packages")
        with self._log.open("ab") as output:
            failed = _configure(self._root, output, count, self._progress)
        if failed is not None:
            raise _failure(failed, "postinst", self._log)


def _configure(
    root: Path, output: IO[bytes], count: int, progress: Callable[[str], None]
) -> str | None:
    """Run dpkg; return the first package that failed, or None."""
    reading, writing = os.pipe()
    try:
        process = start(
            Confined(root, True, variables=_VARIABLES),
            ["dpkg", "--status-fd", str(writing), "--configure", "-a"],
            output=output,
            pass_fds=(writing,),
        )
    finally:
        os.close(writing)
    failed, done = None, set()
    with os.fdopen(reading, encoding="utf-8", errors="replace") as said:
        for line in said:
            if failed is None and (match := _FAILED.match(line)):
                failed = match[1]
            elif match := _DONE.match(line):
                done.add(match[1])
                progress(f"configuring Debian packages: {len(done)} of {count}, {match[1]}")
    if process.wait() != 0 and failed is None:
        failed = "dpkg"
    return failed


def _failure(name: str, script: str, log: Path) -> BuildFailed:
    tail = log.read_bytes()[-4000:].decode(errors="replace")
    return BuildFailed(
        f"The Debian package {name} does not configure itself ({script})",
        advice=f"What its script said is in {log}",
        detail={"package": name, "script": script, "log": str(log), "tail": tail},
    )
