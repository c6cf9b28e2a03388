"""Where this machine has conda's channels from: as conda itself is told, or as rattler has it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import yaml

from branchline.foundation.errors import Refused

DEFAULTS = "defaults"
_NO_DEFAULTS = "nodefaults"
_MEANT_BY_DEFAULTS = ("main", "r")


def channels_meant(named: Iterable[str]) -> tuple[str, ...]:
    """Return the channels that a spec file's list stands for, in order, each once."""
    found = [name for name in named if name != _NO_DEFAULTS] or [DEFAULTS]
    meant = [part for name in found for part in _meant(name)]
    return tuple(dict.fromkeys(meant))


def address_of(channel: str) -> str:
    """Return where this machine has a channel: an address with a slash at its end."""
    from rattler import Channel, ChannelConfig

    alias = _alias()
    known = ChannelConfig(alias) if alias else ChannelConfig()
    return Channel(channel, known).base_url.rstrip("/") + "/"


def _meant(name: str) -> tuple[str, ...]:
    return _MEANT_BY_DEFAULTS if name == DEFAULTS else (name.rstrip("/"),)


def _alias() -> str | None:
    """Return what conda is told to put before channels' names: its variable, or its file."""
    said: object = os.environ.get("CONDA_CHANNEL_ALIAS")
    file = Path(os.environ.get("CONDARC") or Path.home() / ".condarc")
    if not said and file.is_file():
        try:
            plain = yaml.safe_load(file.read_bytes())
        except yaml.YAMLError as error:
            raise Refused(
                f"{file} is no YAML", advice="Mend it, or name another in CONDARC"
            ) from error
        said = plain.get("channel_alias") if isinstance(plain, dict) else None
    if not said:
        return None
    if not isinstance(said, str):
        raise Refused(f"{file} has a channel_alias that is no address")
    return said.rstrip("/") + "/"
