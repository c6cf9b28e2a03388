"""What a survey found."""

from __future__ import annotations

import msgspec

from branchline.environment.survey.layers import Coverage


class Used(msgspec.Struct, frozen=True):
    """A package, and how many environments ask for it."""

    package: str
    environments: int


class Faulty(msgspec.Struct, frozen=True):
    """A kind of fault in a kind of file, and how often it was met."""

    file: str
    reason: str
    files: int


class Year(msgspec.Struct, frozen=True):
    """One year of launches.

    Args:
        year: As ``2019``.
        launches: All of them.
        environments: The surveyed environments among those that were launched.
        packages: The packages most of these ask for.
    """

    year: str
    launches: int
    environments: int
    packages: list[Used]


class Agreement(msgspec.Struct, frozen=True):
    """How often the packages for pip are those of the dataset's own cleaned table."""

    environments: int
    equal: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a survey found.

    Args:
        environments: How many were examined.
        files: How many spec files of each name there are.
        winners: How many environments each pack wins.
        versions: How many environments take each version, as ``Python 3.7``.
        lockable: How many can be locked as they are, with consent, and not.
        packages: By kind, the packages most environments ask for.
        distinct: How many packages there are in all.
        missing: How many environments any count of ``packages`` may lack, at most; not 0 only where
            there are more packages than are counted at once.
        coverage: How far each proposed layer serves.
        whole: How many environments were read whole and ask for a package: what coverage is of.
        faults: What cannot be read, the most frequent first.
        years: By year, where there are events.
        clean: The comparison with the table ``clean_specs``, where there is one.
    """

    environments: int
    files: dict[str, int]
    winners: dict[str, int]
    versions: dict[str, int]
    lockable: dict[str, int]
    packages: dict[str, list[Used]]
    distinct: int
    missing: int
    coverage: list[Coverage]
    whole: int
    faults: list[Faulty]
    years: list[Year]
    clean: Agreement | None
