"""Where a train's code came from: the project, its commit, its activity, its lists of data."""

from __future__ import annotations

from typing import Annotated

import msgspec
import tomli_w

from branchline.foundation.digest import WireDigest
from branchline.foundation.ids import Id, Name

SECTION = "origin"

Commit = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})\Z")]


class UsedList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a data list.

    Args:
        name: The list's name.
        number: The version.
        digest: What names it.
    """

    name: Name
    number: Annotated[int, msgspec.Meta(ge=1, le=10**6)]
    digest: WireDigest


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Name the project and its state that a train was packed from.

    Args:
        project: The project's identifier.
        commit: Git's name of what was saved.
        folder: The train's folder in the project; empty for its root.
        clone: The clone it was packed in.
        seq: The number of that clone's last record.
        record: The digest of that record, which names all before it.
        lists: The data lists that the train was made with.
    """

    project: Id
    commit: Commit
    clone: Id
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    record: WireDigest
    folder: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    lists: Annotated[tuple[UsedList, ...], msgspec.Meta(max_length=64)] = ()


def with_origin(manifest: bytes, origin: Origin) -> bytes:
    """Return a manifest's text with its origin written at the end."""
    table = tomli_w.dumps({SECTION: msgspec.to_builtins(origin)})
    return manifest.rstrip(b"\n") + b"\n\n" + table.encode()
