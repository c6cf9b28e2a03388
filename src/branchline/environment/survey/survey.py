"""Run a survey over datasets and folders, in one pass and bounded memory."""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from branchline.environment.spec import SpecRefused, read_tree
from branchline.environment.spec.pep508 import NoRequirement, read_requirement
from branchline.environment.survey.dataset import is_database, open_dataset
from branchline.environment.survey.examine import (
    REFUSED,
    Examined,
    Examiner,
    Fault,
    examine,
    fault_of,
    python_name,
)
from branchline.environment.survey.folders import repositories
from branchline.environment.survey.layers import KINDS, Layer, coverage
from branchline.environment.survey.report import Agreement, Faulty, Report, Used, Year
from branchline.environment.survey.tally import Environments, Tally
from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import NotFound

SHOWN = 50
"""How many packages of each kind are reported."""

SHOWN_A_YEAR = 10
"""How many packages of each year are reported."""

MAX_YEAR_NAMES = 50_000
"""The most names that are counted of each year."""

MAX_VERSIONS = 10_000
"""The most versions that are counted."""

_LANGUAGES = {"R": "R", "JuliaProjectToml": "Julia"}
_TELL_EVERY = 1000
_COLLECT_AFTER = 200_000
"""How many more things there must be before Python looks for cycles; its own number is 700."""

Progress = Callable[[int, int], None]
"""Told how many environments are done, and how many there are (0: not known)."""


def survey(
    sources: Sequence[Path],
    layers: Sequence[Layer] = (),
    *,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Examine every environment of datasets and folders.

    Args:
        sources: SQLite files of the Binder launch dataset, and folders of repositories.
        layers: Proposed layers to compute the coverage of.
        progress: Told now and then.

    Raises:
        NotFound: A folder has no repository with spec files.
        Refused: A file is not the dataset, or is damaged.
    """
    with _rare_collections(), Environments() as environments:
        counts = _Counts(environments)
        for source in sources:
            if source.is_dir():
                _take_folder(source, counts, progress)
            else:
                _take_dataset(source, counts, progress)
        return counts.report(layers)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Have Python look for cycles rarely: what is read here has none, and there is much of it."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _take_folder(folder: Path, counts: _Counts, progress: Progress) -> None:
    done = 0
    for done, path in enumerate(repositories(folder), 1):
        counts.take(_examine_folder(path), {})
        if done % _TELL_EVERY == 0:
            progress(done, 0)
    if not done:
        raise NotFound(
            f"{folder} has no folder with spec files",
            advice="Give a repository, or a folder of repositories",
        )


def _examine_folder(path: Path) -> Examined:
    try:
        return examine(read_tree(path))
    except SpecRefused as error:
        return Examined(REFUSED, None, (), (fault_of(error),), False, "no", ())


def _take_dataset(path: Path, counts: _Counts, progress: Progress) -> None:
    if not is_database(path):
        raise SpecRefused(
            str(path),
            "is not an SQLite file",
            reason="not a dataset",
            advice="Give the Binder dataset's SQLite file, or a folder of repositories",
        )
    with open_dataset(path) as dataset:
        total = dataset.count()
        progress(0, total)
        counts.launches.update(dataset.launches())
        examiner = Examiner()
        for done, row in enumerate(dataset.rows(), 1):
            found = examiner.examine(row.tree, row.faults)
            counts.take(found, row.years)
            if row.clean is not None:
                counts.compare(found, row.clean)
            if done % _TELL_EVERY == 0:
                progress(done, total)


@dataclass
class _Counts:
    """What was counted so far."""

    environments: Environments
    files: Tally = field(default_factory=Tally)
    winners: Counter[str] = field(default_factory=Counter)
    versions: Tally = field(default_factory=lambda: Tally(MAX_VERSIONS))
    lockable: Counter[str] = field(default_factory=Counter)
    faults: Counter[Fault] = field(default_factory=Counter)
    packages: Tally = field(default_factory=Tally)
    launches: Counter[str] = field(default_factory=Counter)
    launched: Counter[str] = field(default_factory=Counter)
    by_year: dict[str, Tally] = field(
        default_factory=lambda: defaultdict(lambda: Tally(MAX_YEAR_NAMES))
    )
    compared: int = 0
    equal: int = 0

    def take(self, found: Examined, years: Iterable[str]) -> None:
        """Count one environment."""
        self.files.add(found.files)
        self.winners[found.winner] += 1
        if found.version is not None and found.whole:
            language = _LANGUAGES.get(found.winner, "Python")
            self.versions.add([f"{language} {found.version}"])
        self.lockable[found.lockable] += 1
        if found.faults:
            self.faults.update(found.faults)
        self.packages.add(found.packages)
        if found.whole and found.packages:
            self.environments.add(found.packages)
        for year in years:
            self.launched[year] += 1
            self.by_year[year].add(found.packages)

    def compare(self, found: Examined, clean: bytes) -> None:
        """Compare Python's packages with the dataset's own list."""
        if not found.whole or found.winner not in ("Python", "default"):
            return
        self.compared += 1
        own = {name for name in found.packages if name.startswith("python:")}
        self.equal += own == _clean_names(clean)

    def report(self, layers: Sequence[Layer]) -> Report:
        """Return what was found."""
        ordered = self.packages.top()
        return Report(
            environments=self.winners.total(),
            files=dict(self.files.top()),
            winners=dict(self.winners.most_common()),
            versions=dict(self.versions.top(SHOWN)),
            lockable={answer: self.lockable[answer] for answer in ("yes", "consent", "no")},
            packages={kind: _of_kind(kind, ordered) for kind in KINDS},
            distinct=len(ordered),
            missing=self.packages.missing,
            coverage=coverage(layers, self.environments, (name for name, _ in ordered)),
            whole=self.environments.count,
            faults=[Faulty(f.file, f.reason, n) for f, n in self.faults.most_common()],
            years=[self._year(year) for year in sorted(self.launches)],
            clean=Agreement(self.compared, self.equal) if self.compared else None,
        )

    def _year(self, year: str) -> Year:
        top = self.by_year[year].top(SHOWN_A_YEAR) if year in self.by_year else []
        return Year(
            year, self.launches[year], self.launched[year], [Used(name, n) for name, n in top]
        )


def _of_kind(kind: str, ordered: Sequence[tuple[str, int]]) -> list[Used]:
    prefix = f"{kind}:"
    found = (Used(name.removeprefix(prefix), n) for name, n in ordered if name.startswith(prefix))
    return [used for used, _ in zip(found, range(SHOWN), strict=False)]


def _clean_names(clean: bytes) -> set[str]:
    """Return the packages of the dataset's own list."""
    try:
        lines = decode_json(clean, list[str])
        return {python_name(read_requirement(line)[0]) for line in lines}
    except (msgspec.DecodeError, NoRequirement):
        return set()
