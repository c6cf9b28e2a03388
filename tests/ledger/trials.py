"""Tests as the mutants' judges: which run what, and whether one fails where something is changed."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any, NoReturn, Self

import pytest
from tests.ledger.forking import Job, forked
from tests.ledger.mutating import ROOT, Mutant, module_file
from tests.ledger.swapping import functions_of, put_in

UNNOTICED, NOTICED, UNFIT = 0, 1, 97
"""How a child ends that tried a mutant. UNFIT: the change cannot be made in a loaded module."""
_TIMES = 8.0
_GRACE = 1.0
"""A mutant is noticed, for it does not end, if a test takes so many times the processor's time that
it takes without it, and so many seconds."""
_ENOUGH = 100
"""A test's lines are noted so many times a function is entered; then it is taken to run them all."""


@dataclass(frozen=True)
class Learned:
    """What a test does while nothing is changed.

    Args:
        seconds: How long it takes.
        busy: How much of the processor's time it takes.
        lines: Which lines of which module it runs.
    """

    seconds: float
    busy: float
    lines: Mapping[str, frozenset[int]]

    def runs(self, mutant: Mutant) -> bool:
        """Tell whether it comes to the changed line."""
        return mutant.line in self.lines.get(mutant.name.module, ())

    def reaches(self, mutant: Mutant) -> bool:
        """Tell whether it comes to the changed statement."""
        return not self.lines.get(mutant.name.module, frozenset()).isdisjoint(mutant.statement)

    def text(self) -> str:
        """Return it for another process."""
        lines = {module: sorted(numbers) for module, numbers in self.lines.items()}
        return json.dumps([self.seconds, self.busy, lines])

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what another process returned."""
        seconds, busy, lines = json.loads(text)
        return cls(seconds, busy, {module: frozenset(lines[module]) for module in lines})


Knowledge = Mapping[str, Learned]
"""By the name of each test."""


def collect(files: Iterable[str], *plugins: object) -> int:
    """Have pytest collect tests, and the plugins do something with them."""
    early = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", early]
    paths = [str(ROOT / f"tests/ledger/test_{name}.py") for name in files]
    return int(pytest.main([*options, *paths], plugins=[*plugins]))


class Judge:
    """End the process as soon as a test fails, or when all passed.

    Args:
        knowledge: What the tests do while nothing is changed.
        order: By what to sort them; as they come without it.
    """

    def __init__(
        self, knowledge: Knowledge, order: Callable[[Learned], tuple[bool, float]] | None = None
    ) -> None:
        self._knowledge, self._order = knowledge, order

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """End where a file of tests cannot even be loaded."""
        if report.failed:
            os._exit(NOTICED)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """End where a test fails."""
        if report.failed:
            os._exit(NOTICED)

    def pytest_runtestloop(self, session: pytest.Session) -> NoReturn:
        """Run the tests."""
        items, order = session.items, self._order
        if order:
            items = sorted(items, key=lambda each: order(self._knowledge[each.nodeid]))
        self.judge(items)

    def judge(self, items: Sequence[pytest.Item]) -> NoReturn:
        """Run tests in an order, each with a limit of its own."""
        for item, following in zip(items, [*items[1:], None], strict=False):
            if learned := self._knowledge.get(item.nodeid):
                signal.setitimer(signal.ITIMER_PROF, _TIMES * learned.busy + _GRACE)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        os._exit(UNNOTICED)


class Learning:
    """Run each test in a child of its own, and write down what it does.

    Args:
        modules: Which are watched.
        workers: How many tests at a time.
        file: Where it is written which test fails, or else what each does.
    """

    def __init__(self, modules: Iterable[str], workers: int, file: Path) -> None:
        self._modules, self._workers, self._file = list(modules), workers, file

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Learn."""
        if session.testsfailed:
            return None
        knowledge, items = dict[str, str](), session.items
        judge = Judge({})
        jobs = [Job(partial(self._learn, judge, each), 600.0) for each in items]
        gc.freeze()
        for number, ended in forked(jobs, self._workers):
            if ended.code != UNNOTICED:
                said = f"{items[number].nodeid} fails without any change"
                self._file.write_text(json.dumps(said))
                return True
            knowledge[items[number].nodeid] = (ended.folder / "learned").read_text()
        self._file.write_text(json.dumps(knowledge))
        return True

    def _learn(self, judge: Judge, item: pytest.Item, folder: Path) -> int:
        began, busy = time.monotonic(), time.process_time()
        hook = item.config.hook
        item.config.pluginmanager.register(judge)
        with _watched(self._modules) as lines:
            hook.pytest_runtest_protocol(item=item, nextitem=None)
        learned = Learned(
            time.monotonic() - began,
            time.process_time() - busy,
            {module: frozenset(seen) for module, seen in lines.items() if seen},
        )
        (folder / "learned").write_text(learned.text())
        return UNNOTICED


@contextmanager
def _watched(modules: Iterable[str]) -> Iterator[dict[str, set[int]]]:
    """Note which lines of modules run meanwhile."""
    lines: dict[str, set[int]] = {module: set() for module in modules}
    by_file = {str(module_file(module)): seen for module, seen in lines.items()}
    entered = Counter[int]()

    def enter(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        code = frame.f_code
        seen = by_file.get(code.co_filename)
        if seen is None or entered[id(code)] > _ENOUGH:
            return None
        entered[id(code)] += 1
        if entered[id(code)] > _ENOUGH:
            seen.update(line for *_, line in code.co_lines() if line)
            return None
        note = seen.add

        def line(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
            note(frame.f_lineno)
            return line

        return line

    sys.settrace(enter)
    threading.settrace(enter)
    try:
        yield lines
    finally:
        sys.settrace(None)
        threading.settrace(None)


class Trials:
    """Try mutants of a module's functions in children of the process that has loaded it.

    A child puts the changed code into the function, and runs the tests that come to it. That is
    what a changed file would do, but for functions that run while tests are loaded: those are left
    for others to try.

    Args:
        module: Which.
        chosen: The mutants to try.
        knowledge: What the tests do.
        workers: How many children at a time.
        tell: Is told of each mutant whether it was noticed.
    """

    def __init__(
        self,
        module: str,
        chosen: Sequence[Mutant],
        knowledge: Knowledge,
        workers: int,
        tell: Callable[[Mutant, int | None], None],
    ) -> None:
        self._module, self._chosen, self._workers = module, chosen, workers
        self._knowledge, self._tell = knowledge, tell
        self._judge = Judge(knowledge)

    def run(self, files: Iterable[str]) -> int:
        """Load the tests, watching which functions that runs already; then try.

        Returns:
            0, or what pytest ends with where something went wrong.
        """
        with _watched([self._module]) as lines:
            self._loading = lines[self._module]
            return collect(files, self._judge, self)  # the last is asked first

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try."""
        sys.settrace(None)
        threading.settrace(None)
        loading = frozenset(self._loading)
        fit = [
            (mutant, self._judges(mutant, session.items))
            for mutant in self._chosen
            if mutant.body and loading.isdisjoint(mutant.body)
        ]
        functions = functions_of(self._module)
        jobs = [
            Job(partial(self._try, functions, mutant, items), self._patience(items))
            for mutant, items in fit
        ]
        gc.freeze()
        for number, ended in forked(jobs, self._workers):
            if ended.code != UNFIT:
                self._tell(fit[number][0], ended.code)
        return True

    def _judges(self, mutant: Mutant, items: Iterable[pytest.Item]) -> list[pytest.Item]:
        """Return the tests that come to the changed statement, the likeliest and quickest first."""
        learned = self._knowledge
        judges = [each for each in items if learned[each.nodeid].reaches(mutant)]
        return sorted(judges, key=lambda each: order_for(mutant)(learned[each.nodeid]))

    def _patience(self, items: Iterable[pytest.Item]) -> float:
        return patience(self._knowledge[each.nodeid] for each in items)

    def _try(
        self,
        functions: Sequence[FunctionType],
        mutant: Mutant,
        items: Sequence[pytest.Item],
        folder: Path,
    ) -> int:
        fit = put_in(mutant, functions)
        return self._judge.judge(items) if fit else UNFIT


def order_for(mutant: Mutant) -> Callable[[Learned], tuple[bool, float]]:
    """Return by what to sort tests: those that come to the changed line first, and the quickest."""
    return lambda learned: (not learned.runs(mutant), learned.seconds)


def patience(tests: Iterable[Learned]) -> float:
    """Return after how many seconds a child that waits for something is given up."""
    return 60.0 + 4 * sum(each.seconds for each in tests)
