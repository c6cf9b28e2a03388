"""``environment.yml``: channels, match specs and what pip is to add."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from branchline.environment.spec.conda_lines import read_quickly
from branchline.environment.spec.refusal import SpecRefused, shown, without_secrets
from branchline.environment.spec.text import lines_of, utf8
from branchline.environment.spec.yaml_values import NotText, Value, read_yaml

# How repo2docker finds the version: at a dependency's start, and only behind an equals sign.
_PYTHON = re.compile(r"python\s*=+\s*([0-9.]*)")
_SPEC = re.compile(
    r"(?:(?P<channel>[\w.:/+~@-]+?)::)?(?P<name>\w[\w.-]*)"
    r"(?P<version>\s*[=<>!~][\w.*+!=<>,|~^\s-]*|\s+[\w.*][\w.*+!=<>,|~^\s-]*)?"
    r"(?:\[(?P<options>[\w.*+!=<>,|~^\s\"'/:-]*)\])?",
    re.A,
)
_KEYS = frozenset(("name", "channels", "dependencies", "prefix"))
_MET_BY_SUITE = frozenset(("python", "pip", "setuptools", "wheel"))


class MatchSpec(NamedTuple):
    """One dependency on a conda package.

    Args:
        text: As written.
        name: The package's name, in lower case.
        version: The version part, without what stands around it; empty if there is none.
    """

    text: str
    name: str
    version: str


class CondaEnvironment(NamedTuple):
    """What an ``environment.yml`` says.

    Args:
        specs: The dependencies on conda packages.
        channels: In order, without passwords and tokens.
        pip: What pip is to install: lines of a requirements file.
        python: The version repo2docker reads, as written; empty if it reads none.
        unread: Keys at the top that have no effect.
    """

    specs: tuple[MatchSpec, ...] = ()
    channels: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    python: str = ""
    unread: tuple[str, ...] = ()

    @property
    def foreign(self) -> tuple[MatchSpec, ...]:
        """Return the specs that only a channel can meet: all but Python and its installers."""
        return tuple(spec for spec in self.specs if spec.name not in _MET_BY_SUITE)


def parse_conda(file: str, data: bytes) -> CondaEnvironment:
    """Read an ``environment.yml``.

    Raises:
        SpecRefused: Not YAML of the bounded kind, or not of conda's form.
    """
    value: object = read_quickly(lines_of(file, utf8(file, data)))
    if value is None:
        value = read_yaml(file, data)
    if value is None or (isinstance(value, NotText) and value.is_null):
        return CondaEnvironment()
    if not isinstance(value, dict):
        raise _malformed(file, "must hold one mapping (name, channels, dependencies)")
    channels = tuple(_channel(file, item) for item in _list(file, value, "channels"))
    specs: list[MatchSpec] = []
    pip: list[str] = []
    python: str | None = None
    for item in _list(file, value, "dependencies"):
        if not isinstance(item, str):
            pip += _pip(file, item)
            continue
        specs.append(_match_spec(item) or parse_match_spec(file, item))
        if python is None and item.startswith("python") and (found := _PYTHON.match(item)):
            python = found[1]
    unread = tuple(sorted(str(key) for key in value.keys() - _KEYS))
    return CondaEnvironment(tuple(specs), channels, tuple(pip), python or "", unread)


def parse_match_spec(file: str, text: str) -> MatchSpec:
    """Read a dependency: ``[channel::]name[ version][ build]`` or with ``[key=value]`` behind.

    Raises:
        SpecRefused: It is none.
    """
    found = _match_spec(text)
    if found is None:
        raise SpecRefused(
            file,
            f"says {shown(text)}, which is not a conda match spec",
            reason="not a match spec",
            advice="Write for example 'numpy=1.26' or 'conda-forge::numpy>=1.26'",
        )
    return found


@lru_cache(maxsize=1 << 15)
def _match_spec(text: str) -> MatchSpec | None:
    found = _SPEC.fullmatch(text.strip())
    if found is None:
        return None
    return MatchSpec(
        without_secrets(text.strip()), found["name"].lower(), (found["version"] or "").strip()
    )


def _list(file: str, value: dict[str, Value], key: str) -> list[Value]:
    items = value.get(key, [])
    if not isinstance(items, list):
        raise _malformed(file, f"has {key} that are not a list")
    return items


def _channel(file: str, item: Value) -> str:
    if not isinstance(item, str):
        raise _malformed(file, "has a channel that is not a text")
    return without_secrets(item)


def _pip(file: str, item: Value) -> list[str]:
    """Return the lines below ``pip:``."""
    if isinstance(item, NotText):
        raise _malformed(file, f"has the dependency {shown(item.written)}, which is not a text")
    if not isinstance(item, dict) or set(item) != {"pip"}:
        raise _malformed(file, "has a dependency that is neither a text nor a list named pip")
    lines = item["pip"]
    if isinstance(lines, list):
        texts = [line for line in lines if isinstance(line, str)]
        if len(texts) == len(lines):
            return texts
    raise _malformed(file, "has a pip section that is not a list of texts")


def _malformed(file: str, why: str) -> SpecRefused:
    return SpecRefused(
        file,
        why,
        reason="malformed environment.yml",
        advice="Write 'dependencies:' and below it one '- package=version' a line",
    )
