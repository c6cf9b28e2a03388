"""uv, the resolver of Python packages: found beside our own Python, asked as this machine's pip is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from branchline.environment.lock.model import PYLOCK_NAME
from branchline.environment.lock.python.refusals import why_unresolved
from branchline.foundation.errors import Refused, Unavailable

_SECONDS = 900
_PIP_SECONDS = 60
_SETTING = re.compile(r"^(?P<where>[^.]*|:env:)\.(?P<name>[a-z-]+)='(?P<value>.*)'$")
_YES = ("1", "true", "yes", "on")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")


@dataclass(frozen=True)
class Question:
    """What uv is asked.

    Args:
        requirements: PEP 508 requirements, one each.
        constraints: Requirements that bound versions and install nothing.
        python: The whole version of the Python that will run them, such as ``3.11.2``.
        platform: The platform as uv names it, such as ``x86_64-manylinux_2_36``.
        before: The earlier answer, whose versions stay where they may; empty if there is none.
        upgrade: Names whose earlier versions do not matter; None where that is all of them.
        newest: Leave out what was published after this RFC 3339 date.
        offline: Use what uv keeps from earlier.
        alone: Take the requirements without what they need in turn.
    """

    requirements: Sequence[str]
    constraints: Sequence[str]
    python: str
    platform: str
    before: bytes = b""
    upgrade: Sequence[str] | None = ()
    newest: str | None = None
    offline: bool = False
    alone: bool = False


def find_uv() -> str:
    """Return the path of uv.

    Raises:
        Refused: It is not installed.
    """
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("uv")
    if found is None:
        raise Refused(
            "uv, which resolves Python packages, is not installed",
            advice="Install it beside Branchline: 'pip install branchline[environment]'",
        )
    return found


def uv_version() -> str:
    """Return uv's own version."""
    done = _run([find_uv(), "--version"], Path.cwd(), seconds=_PIP_SECONDS)
    return done.stdout.split()[1]


def compile_pylock(question: Question) -> bytes:
    """Return uv's answer, a ``pylock.toml`` (PEP 751) with wheels of one platform.

    Raises:
        Refused: There is no answer: a package is unknown, has no wheel, or excludes another.
        Unavailable: An index cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="branchline-uv-") as name:
        folder = Path(name)
        (folder / "requirements.in").write_text("\n".join(question.requirements) + "\n", "utf-8")
        (folder / "constraints.in").write_text("\n".join(question.constraints) + "\n", "utf-8")
        answer = folder / PYLOCK_NAME
        if question.before:
            answer.write_bytes(question.before)
        done = _run([find_uv(), *_words(question)], folder, seconds=_SECONDS)
        if done.returncode != 0:
            raise why_unresolved(done.stderr, question.python, offline=question.offline)
        return answer.read_bytes()


def _words(question: Question) -> list[str]:
    words = ["pip", "compile", "requirements.in", "--constraints", "constraints.in"]
    words += ["--output-file", PYLOCK_NAME, "--no-header", "--quiet", "--color", "never"]
    # Building a source distribution would run its code, and nobody could repeat it.
    words += ["--only-binary", ":all:", "--no-python-downloads", "--python", sys.executable]
    words += ["--python-version", question.python, "--python-platform", question.platform]
    if question.upgrade is None:
        words.append("--upgrade")
    else:
        words += [word for name in question.upgrade for word in ("--upgrade-package", name)]
    if question.newest:
        words += ["--exclude-newer", question.newest]
    words += ["--offline"] if question.offline else []
    words += ["--no-deps"] if question.alone else []
    # uv has no variable for this one.
    words += ["--no-index"] if _pip_settings().get("no-index", "").lower() in _YES else []
    return words


def _run(words: Sequence[str], folder: Path, *, seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        # A folder of our own: a project's settings must not choose where packages come from.
        return subprocess.run(
            words,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            env=variables(),
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"uv did not answer within {seconds:.0f} s") from error


def variables() -> dict[str, str]:
    """Return the environment variables for uv: index, links and certificates as pip has them.

    Whoever has set uv's own variables is left alone with them.
    """
    env = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    said = _pip_settings()
    certificates = said.get("cert") or (str(_CERTIFICATES) if _CERTIFICATES.is_file() else "")
    if certificates:
        env.setdefault("SSL_CERT_FILE", certificates)
    if not any(name in env for name in _INDEX_VARIABLES):
        if index := said.get("index-url"):
            env["UV_DEFAULT_INDEX"] = index
        if more := said.get("extra-index-url"):
            env["UV_INDEX"] = " ".join(more.split())
            # As pip does: an index that has one version of a package does not hide the others.
            env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    if links := said.get("find-links"):
        env.setdefault("UV_FIND_LINKS", ",".join(links.split()))
    return env


@cache
def _pip_settings() -> Mapping[str, str]:
    """Return pip's settings, by the names of its options; none where there is no pip."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"],
            capture_output=True,
            text=True,
            timeout=_PIP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    found = {}
    # Variables come before files in pip's list, and go before them in effect.
    for line in sorted(done.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        if match := _SETTING.match(line):
            found[match["name"]] = match["value"].replace("\\n", " ")
    return found
