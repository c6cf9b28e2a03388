"""``default.nix``: where it takes its packages from. It is a program; it is not run."""

from __future__ import annotations

import re

from branchline.environment.spec.refusal import without_secrets

_CHANNEL = re.compile(r"<([A-Za-z][A-Za-z0-9._-]*)(?:/[^>\s]*)?>")
_ADDRESS = re.compile(r"https://[^\s\"';]+")
_MOST = 3


def sources_of(data: bytes) -> tuple[str, ...]:
    """Return the channels (``<nixpkgs>``) and addresses that a ``default.nix`` names, in order.

    Comments that begin with ``#`` do not count.
    """
    lines = (f" {line}".partition(" #")[0] for line in data.decode("utf-8", "replace").split("\n"))
    code = "\n".join(lines)
    found = [*_CHANNEL.findall(code), *map(without_secrets, _ADDRESS.findall(code))]
    return tuple(dict.fromkeys(found))[:_MOST]
