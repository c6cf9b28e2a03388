"""The project's data key: under which names confidential contents go, and who has it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import tomli_w

from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.durable import write_durably
from branchline.foundation.errors import Conflict, Corrupt, NotFound, Refused
from branchline.foundation.ids import Id
from branchline.foundation.keys import Identity, seal_public
from branchline.foundation.sealing import seal, unseal
from branchline.project.data.naming import current
from branchline.project.data.rules import FILE
from branchline.project.git.intake import Progress
from branchline.project.git.keyed import DataKey, keep
from branchline.project.place import Project, check_inside
from branchline.project.saving import save


class _Shared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    project: Id
    key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    secret: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    v: Literal[1] = 1


def make(project: Project, identity: Identity, progress: Progress) -> DataKey:
    """Make a project's data key, name it in ``branchline.toml``, and save that.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign the record.
        progress: Told what is done.

    Raises:
        Conflict: There is one already.
    """
    known = project.rules.key
    if known:
        raise Conflict(
            f"The project has the data key {known}",
            advice=f"To have new contents named with another, take [confidential] out of {FILE} first",
        )
    made = DataKey.create()
    keep(project.root, made)
    file = check_inside(project.root, FILE)
    table = tomli_w.dumps({"confidential": {"key": made.id}})
    write_durably(file, file.read_bytes().rstrip(b"\n") + b"\n\n" + table.encode())
    fresh = Project(project.root, project.git.held)
    save(fresh, identity, progress, paths=[FILE], message="A key for confidential data")
    return made


def share(project: Project, recipients: tuple[str, ...]) -> bytes:
    """Return the project's data key, sealed to people; nobody else can open it.

    Args:
        project: The project.
        recipients: Their age recipients, ``age1…``.

    Raises:
        NotFound: There is none, or not in this clone.
        Refused: One is no recipient.
    """
    key = current(project.root)
    if key is None:
        raise NotFound(
            "The project has no data key yet", advice="Make one: branchline data key new"
        )
    for each in recipients:
        try:
            seal_public(each)
        except Corrupt as error:
            raise Refused(
                f"{each[:80]!r} is no recipient", advice="Ask for 'branchline data key mine'"
            ) from error
    said = _Shared(project.described.id, key.id, key.secret.hex())
    return bytes(seal(canonical_json(said), recipients))


def accept(project: Project, identity: Identity, sealed: bytes) -> DataKey:
    """Take in a data key that somebody shared.

    Args:
        project: The project.
        identity: Whose keys open it.
        sealed: What `share` returned.

    Raises:
        Corrupt: It cannot be opened with these keys, or was changed.
        Refused: It is another project's.
    """
    opened = bytes(unseal(sealed, identity.seal_private))
    said = parse_json(opened, _Shared, what="shared data key")
    if said.project != project.described.id:
        raise Refused("This is the data key of another project")
    key = DataKey(bytes.fromhex(said.secret))
    if key.id != said.key:
        raise Corrupt("The shared data key is not the one it says it is")
    keep(project.root, key)
    return key
