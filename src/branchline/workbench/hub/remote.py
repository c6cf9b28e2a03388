"""A clone's remote at the hub: its address, git-annex's way to it, and the helper that gets tokens."""

from __future__ import annotations

import base64
import shlex
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from branchline.foundation.errors import Conflict
from branchline.journey.hosting import TOKENS, HostedProject
from branchline.project.git.command import Git
from branchline.project.git.program import OURS
from branchline.project.place import Project
from branchline.workbench.home import CentralRef
from branchline.workbench.hub.place import url_of

HUB = "hub"
"""What git calls the hub in a clone, unless something else is asked for."""


def connect(
    project: Project, remote: str, ref: CentralRef, hosted: HostedProject, home: Path
) -> str:
    """Make a clone's remote at the hub, so that plain git and git-annex reach it; return its address.

    Args:
        project: The clone.
        remote: What git is to call it.
        ref: The central service.
        hosted: The hosted project.
        home: The person's folder, with the keys that sign for tokens.

    Raises:
        Conflict: Git calls something else by that name.
    """
    git, url = project.git, url_of(ref, hosted.owner, hosted.name)
    known = git.own.get(f"remote.{remote}.url")
    if known not in (None, url):
        raise Conflict(
            f"Git calls {known} {remote!r} in this clone",
            advice="Choose another name with --remote",
        )
    words = settings_of(ref, hosted.owner, hosted.name, home)
    for name in dict.fromkeys(name for name, _ in words):
        git.run("config", "--local", "--unset-all", name, accept=(0, 5))
    for name, value in words:
        git.run("config", "--local", "--add", name, value)
    _set(git, f"remote.{remote}.url", url)
    _set(git, f"remote.{remote}.fetch", f"+refs/heads/*:refs/remotes/{remote}/*")
    _set(git, f"remote.{remote}.annex-uuid", hosted.annex)
    _set(git, f"remote.{remote}.annexUrl", f"annex+{url}/")
    _set(git, f"remote.{remote}.annex-ignore", "false")
    _allow(git, private_addresses(ref.url))
    git.forget()
    return url


def bearing(ref: CentralRef, owner: str, name: str, token: str) -> dict[str, str]:
    """Return git's settings for one call that carries a token itself, with no helper to ask.

    They go into the call's environment, never onto its command line or into a file.
    """
    url = url_of(ref, owner, name)
    words = base64.b64encode(f"{TOKENS}:{token}".encode()).decode()
    found = {f"http.{url}.extraHeader": f"Authorization: Basic {words}"}
    if ref.ca_file is not None:
        found[f"http.{url}.sslCAInfo"] = ref.ca_file
    return found


def settings_of(ref: CentralRef, owner: str, name: str, home: Path) -> list[tuple[str, str]]:
    """Return git's settings for everything below a hosted project's address, in their order.

    The empty helper comes first: a person's own helpers are neither asked nor given the token to keep.
    """
    url = url_of(ref, owner, name)
    words = (*OURS, "hub", "credential")
    helper = shlex.join((*words, "--home", str(home), "--central", ref.origin, f"{owner}/{name}"))
    found = [
        (f"credential.{url}.helper", ""),
        (f"credential.{url}.helper", f"!{helper}"),
        (f"credential.{url}.useHttpPath", "true"),
    ]
    if ref.ca_file is not None:
        found.append((f"http.{url}.sslCAInfo", ref.ca_file))
    return found


def private_addresses(url: str) -> list[str]:
    """Return the addresses of a service that is not on the open network; none for any other.

    git-annex speaks to no such address unless it is told to: a project that came from elsewhere
    could name one. This one is the person's own central service, pinned at enrolment.
    """
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    addresses = dict.fromkeys(str(each[4][0]) for each in found)
    return [each for each in addresses if not ip_address(each.partition("%")[0]).is_global]


def _allow(git: Git, addresses: Sequence[str]) -> None:
    name = "annex.security.allowed-ip-addresses"
    known = git.own.get(name, "").split()
    if "all" not in known and not set(addresses) <= set(known):
        _set(git, name, " ".join(dict.fromkeys((*known, *addresses))))


def _set(git: Git, name: str, value: str) -> None:
    git.run("config", "--local", "--replace-all", name, value)
