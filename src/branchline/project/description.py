"""What a project says of itself in ``branchline.toml``; pure."""

from __future__ import annotations

import tomllib
from typing import Annotated

import msgspec

from branchline.foundation.decoding import convert
from branchline.foundation.errors import Refused
from branchline.foundation.ids import Id
from branchline.project.finding import FILE

SCHEMA = 1


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``branchline.toml`` says under ``[project]``.

    Args:
        name: The project's name.
        id: Its identifier; the same in every clone.
        schema: The layout's version.
        description: One line for people.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    id: Id
    schema: int = SCHEMA
    description: str = ""


def read_description(text: bytes) -> Described:
    """Read ``branchline.toml``.

    Raises:
        Refused: It is not acceptable, or of a later layout.
    """
    try:
        read = tomllib.loads(text.decode())
        found = convert(read.get("project"), Described)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Refused(f"{FILE} is not acceptable: {error}") from error
    if found.schema > SCHEMA:
        raise Refused(
            f"{FILE} has schema {found.schema}; this Branchline knows {SCHEMA}",
            advice="Use a newer Branchline",
        )
    return found
