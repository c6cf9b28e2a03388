"""What two data lists have in common: files, and whom their rows are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from branchline.foundation.errors import Conflict, Refused
from branchline.project.data.contents import laid_out
from branchline.project.data.lists import DataList, shared_files
from branchline.project.data.tables import KINDS, keys_of
from branchline.project.names import shown
from branchline.project.place import Project


@dataclass(frozen=True)
class Overlap:
    """What two lists have in common.

    Args:
        one: The first.
        two: The second.
        files: Pairs of paths with the same content.
        rows: How many keys are in both; None where not both lists name a column.
    """

    one: DataList
    two: DataList
    files: Sequence[tuple[str, str]]
    rows: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is anything."""
        return bool(self.files or self.rows)

    @property
    def sentence(self) -> str:
        """Says it to people, with no value of a row."""
        pair = f"{self.one.reference} and {self.two.reference}"
        said = []
        if self.files:
            said.append(f"{len(self.files)} files, {shown(self.files[0][0])} among them")
        if self.rows:
            said.append(f"{self.rows} of the same {self.one.row_key!r}")
        return f"{pair} share {' and '.join(said)}" if said else f"{pair} share nothing"


def overlap(project: Project, one: DataList, two: DataList) -> Overlap:
    """Return what two lists have in common: files, and rows where both name the same column.

    Raises:
        NotFound: A content that has to be read is not in this clone.
        Refused: A file is no table, or has no such column.
        Conflict: They name different columns: rows cannot be compared.
    """
    files = shared_files(one, two)
    if not one.row_key or not two.row_key:
        return Overlap(one, two, files)
    if one.row_key != two.row_key:
        raise Conflict(
            f"{one.reference} tells rows by {one.row_key!r}, {two.reference} by {two.row_key!r}"
        )
    return Overlap(one, two, files, len(row_keys(project, one) & row_keys(project, two)))


def row_keys(project: Project, each: DataList) -> set[str]:
    """Return whom the rows of a list are about; read anew, and kept nowhere."""
    found: set[str] = set()
    tables = [item for item in each.items if item.path.lower().endswith(KINDS)]
    if not tables:
        raise Refused(f"{each.reference} has no table, so it has no rows to tell apart")
    with laid_out(project, tables) as files:
        for item in tables:
            found |= keys_of(files[item.path], item.path, each.row_key)
    return found
