"""The variables that git and git-annex run with: nothing of the caller's shell leaks in."""

from __future__ import annotations

import os
from collections.abc import Mapping

from branchline.project.git.settings import ALLOWED_PROTOCOLS, SAFE

KEPT = ("PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
"""Of the caller's variables, those that git sees."""

_KEPT_FOR_NETWORK = (
    *("SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "ALL_PROXY"),
)
_OF_THE_PERSON = ("credential.helper", "core.sshCommand", "core.askPass")
"""Programs by which a person reaches other machines; his own settings may name them."""


_KEPT_MEMORY = str(64 << 20)
"""Bytes that the C library keeps for the program: git's fast-import would give a page back after each
object, and ask for it again for the next; that takes two thirds of its time."""


def clean_environment(
    settings: Mapping[str, str | None], *, network: bool = False
) -> dict[str, str]:
    """Return the variables that git and git-annex run with.

    Args:
        settings: Settings beside the safe ones; None leaves a safe one out.
        network: Whether the person's own global settings and agents count (proxies, credentials).
    """
    kept = (*KEPT, *_KEPT_FOR_NETWORK) if network else KEPT
    variables = {name: os.environ[name] for name in kept if name in os.environ}
    variables |= {
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ALLOW_PROTOCOL": ALLOWED_PROTOCOLS,
        "MALLOC_TRIM_THRESHOLD_": _KEPT_MEMORY,
    }
    if not network:
        variables["GIT_CONFIG_GLOBAL"] = "/dev/null"
    safe = {n: v for n, v in SAFE.items() if not network or n not in _OF_THE_PERSON}
    pairs = {n: v for n, v in {**safe, **settings}.items() if v is not None}
    variables["GIT_CONFIG_COUNT"] = str(len(pairs))
    for number, (name, value) in enumerate(pairs.items()):
        variables[f"GIT_CONFIG_KEY_{number}"] = name
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables
