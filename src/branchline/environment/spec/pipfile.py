"""``Pipfile`` and ``Pipfile.lock``: their packages as requirements, and their Python version."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from branchline.environment.spec.pep508 import NoRequirement, read_requirement
from branchline.environment.spec.refusal import SpecRefused, shown
from branchline.environment.spec.requirements import HASH
from branchline.environment.spec.text import utf8
from branchline.environment.spec.toml_values import read_toml, table

MAX_PACKAGES = 5000
"""The most packages one file may name."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")
_PLACES = ("git", "hg", "svn", "bzr", "path", "file", "editable", "ref", "subdirectory")
# PEP 508's names, each allowed as a key of its own.
_MARKERS = (
    "os_name",
    "sys_platform",
    "platform_machine",
    "platform_python_implementation",
    "platform_release",
    "platform_system",
    "platform_version",
    "python_version",
    "python_full_version",
    "implementation_name",
    "implementation_version",
)
_KEYS = frozenset(("version", "extras", "markers", "hashes", "index", *_PLACES, *_MARKERS))
_STANDARD = "pypi"


@dataclass
class Pipenv:
    """What a ``Pipfile`` or its lock says.

    Args:
        python: The version it requires, as written from its first digit on; empty if none.
        lines: Requirements in one spelling; those for development, too, as Binder installs them.
        hashes: For those of a lock: the hashes it accepts.
        unsupported: Sentences on what no lock of ours can hold.
    """

    python: str = ""
    lines: list[str] = field(default_factory=list)
    hashes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unsupported: list[str] = field(default_factory=list)


def parse_pipfile(file: str, data: bytes) -> Pipenv:
    """Read a ``Pipfile``.

    Raises:
        SpecRefused: Not TOML, or not of pipenv's form.
    """
    value = read_toml(file, data)
    found = Pipenv(_python(file, table(file, value, "requires")))
    _sources(file, value.get("source", []), found)
    for section in ("packages", "dev-packages"):
        _packages(file, table(file, value, section), found)
    return found


def parse_pipfile_lock(file: str, data: bytes) -> Pipenv:
    """Read a ``Pipfile.lock``.

    Raises:
        SpecRefused: Not JSON, or not of pipenv's form.
    """
    try:
        value = json.loads(utf8(file, data))
    except json.JSONDecodeError as error:
        raise SpecRefused(
            file,
            f"is not JSON: {error.msg}",
            line=error.lineno,
            reason="not JSON",
            advice="Make it again with 'pipenv lock'",
        ) from None
    except RecursionError:
        raise SpecRefused(file, "is nested too deeply", reason="too deep") from None
    if not isinstance(value, dict):
        raise _malformed(file, "does not hold one object")
    meta = table(file, value, "_meta")
    found = Pipenv(_python(file, table(file, meta, "requires")))
    _sources(file, meta.get("sources", []), found)
    for section in ("default", "develop"):
        _packages(file, table(file, value, section), found)
    return found


def _python(file: str, requires: dict[str, Any]) -> str:
    for key in ("python_full_version", "python_version"):
        version = requires.get(key)
        if not version:
            continue
        if not isinstance(version, str):
            raise _malformed(file, f"has a {key} that is not a text")
        if found := _VERSION.match(version):
            return found[0]
    return ""


def _sources(file: str, sources: object, found: Pipenv) -> None:
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        raise _malformed(file, "has a source that is not a table")
    for source in sources:
        name = source.get("name")
        if name != _STANDARD:
            found.unsupported.append(
                f"{file} names the source {shown(str(name))}; a lock holds versions from the one "
                "index only"
            )


def _packages(file: str, packages: dict[str, Any], found: Pipenv) -> None:
    if len(packages) > MAX_PACKAGES:
        raise SpecRefused(file, f"names more than {MAX_PACKAGES} packages", reason="too large")
    for name, said in packages.items():
        about = {"version": said} if isinstance(said, str) else said
        if not isinstance(about, dict):
            raise _malformed(file, f"says of {shown(name)} neither a version nor a table")
        if unknown := about.keys() - _KEYS:
            raise _malformed(file, f"says {shown(min(unknown))} of {shown(name)}")
        places = [key for key in _PLACES if about.get(key)]
        if places:
            found.unsupported.append(
                f"{file} takes {shown(name)} from a {places[0]}; a lock holds versions from the "
                "one index only"
            )
            continue
        if about.get("index", _STANDARD) != _STANDARD:
            found.unsupported.append(
                f"{file} takes {shown(name)} from the index {shown(str(about['index']))}; a lock "
                "holds versions from the one index only"
            )
            continue
        line = _requirement(file, name, about)
        found.lines.append(line)
        if hashes := _hashes(file, name, about):
            found.hashes[line] = hashes


def _requirement(file: str, name: str, about: dict[str, Any]) -> str:
    version, extras = about.get("version", "*"), about.get("extras", [])
    markers = [about["markers"]] if about.get("markers") else []
    markers += [f"{key} {about[key]}" for key in _MARKERS if key in about]
    texts = [version, *markers, *(extras if isinstance(extras, list) else [None])]
    if not all(isinstance(text, str) for text in texts):
        raise _malformed(file, f"does not say in texts what it wants of {shown(name)}")
    bare = "" if version.strip() in ("*", "") else version.strip()
    # Joined without a look, "six" and "one" would be another package's name.
    if not _NAME.fullmatch(name) or (bare and bare[0] not in "<>=!~"):
        raise _malformed(file, f"says {shown(version)} of {shown(name)}, which is no version of it")
    text = name + (f"[{','.join(extras)}]" if extras else "") + bare
    if markers:
        text += "; " + " and ".join(f"({marker})" for marker in markers)
    try:
        line, url = read_requirement(text)
    except NoRequirement:
        line, url = "", ""
    if not line or url:
        raise _malformed(file, f"says {shown(text)}, which is not a requirement")
    return line


def _hashes(file: str, name: str, about: dict[str, Any]) -> tuple[str, ...]:
    hashes = about.get("hashes", [])
    if not isinstance(hashes, list) or not all(
        isinstance(each, str) and HASH.fullmatch(each) for each in hashes
    ):
        raise _malformed(file, f"has hashes of {shown(name)} that are none")
    return tuple(hashes)


def _malformed(file: str, why: str) -> SpecRefused:
    return SpecRefused(
        file,
        why,
        reason=f"malformed {file.rpartition('/')[2]}",
        advice="Correct it and run 'pipenv lock'",
    )
