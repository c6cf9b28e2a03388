"""Change the verifier in every small way, one at a time, and see whether a test notices.

    python tests/ledger/mutants.py [--share 1/4] [--results FILE] [module …]
    make mutants MUTANTS="proof.note proof.policy"

First each test runs once, and which lines it comes to is noted. Then each mutant (``mutating``) is
tried in a forked child: against the tests that come to the statement, or, if it stands in no function
or the function runs while tests are loaded, in a child that loads the changed module and then all
tests that concern it. What no test notices is printed: a test is missing, or the change
means nothing. Those that mean nothing stand in ``equivalents.toml`` with the reason, and do not
count; one that stands there and is noticed, or is no mutant any more, is an error. Told to end
(``timeout 170 …``), it says how far it came.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from hypothesis import HealthCheck, Phase, settings

if __name__ == "__main__":  # as a script: the folders are the package, as pytest sees them
    package = ModuleType("tests")
    package.__path__ = [str(Path(__file__).parents[1])]
    sys.modules["tests"] = package

from tests.ledger.forking import Ended, Job, forked
from tests.ledger.mutating import ROOT, Mutant, MutantName, load_changed, mutants
from tests.ledger.outcomes import Outcomes
from tests.ledger.trials import (
    Judge,
    Knowledge,
    Learned,
    Learning,
    Trials,
    collect,
    order_for,
    patience,
)

GOAL = 0.95
HOURS = 6 * 3600.0
EQUIVALENTS = Path(__file__).with_name("equivalents.toml")

TESTS = {
    "proof.merkle": ("merkle", "evidence", "vectors"),
    "proof.note": ("note", "cosignature", "policy", "vectors"),
    "proof.checkpoint": ("note", "witness", "vectors"),
    "proof.cosignature": ("cosignature", "vectors"),
    "proof.policy": ("policy", "vectors"),
    "proof.receipt": ("note", "policy", "vectors"),
    "proof.evidence": ("evidence", "vectors"),
    "proof.cose": ("cose", "vectors"),
    "witness.decision": ("witness", "vectors"),
    "witness.wire": ("witness", "vectors"),
    "vouched": ("audit",),
    "audit": ("audit", "mirror", "log"),
    "entry": ("entry", "entry_vectors", "standalone"),
    "topics": ("topics", "entry_vectors"),
    "beside": ("classes", "entry_vectors"),
    "classes": ("classes", "grants", "entry_vectors"),
    "grants": ("grants", "entry_vectors"),
    "tagproof": ("tagtree", "completeness", "entry_vectors"),
    "completeness": ("completeness",),
    "statements": ("statements", "package"),
    "light": ("light",),
    "keeper": ("light",),
    "witness.statements": ("statements",),
    "package_check": ("package", "package_report"),
    "standalone.verify": (
        "standalone_parts",
        "standalone_output",
        "entry_vectors",
        "standalone",
        "tagtree",
        "package",
    ),
}


_CHANGING = ("tests", "branchline.ledger", "__main__")
"""What a mutant may change."""


class _NoTests:
    def pytest_runtestloop(self) -> bool:
        """Run nothing."""
        return True


class Counted:
    """What came of modules.

    Args:
        results: Where it stands.
        share: Which of how many equal parts of each module's mutants.
        workers: How many children at once.
    """

    def __init__(self, results: Outcomes, share: tuple[int, int], workers: int) -> None:
        self._results, self._share, self._workers = results, share, workers
        self._equivalent = _equivalents()
        self.made = self.tried = self.noticed = self.errors = 0
        self._began = time.monotonic()
        self.knowledge: Knowledge = {}

    def learn(self, modules: Sequence[str]) -> bool:
        """See which test runs which lines; tell whether all tests pass."""
        files = sorted({file for module in modules for file in TESTS[module]})
        said = _alone(
            lambda folder: collect(files, Learning(modules, self._workers, folder / "said"))
        )
        if isinstance(said, str):
            self._error(said)
            return False
        self.knowledge = {test: Learned.of(text) for test, text in said.items()}
        return True

    def run(self, module: str) -> None:
        """Try a module's mutants; say what was not noticed."""
        began = time.monotonic()
        part, parts = self._share
        made = list(mutants(module))
        names = {each.name for each in made}
        for name in self._equivalent:
            if name.module == module and name not in names:
                self._error(f"equivalents.toml: there is no such mutant: {name}")
        chosen = made[part - 1 :: parts]
        self._try(module, [each for each in chosen if not self._results.noticed(each)])
        tried = noticed = 0
        for mutant in chosen:
            found, equivalent = self._results.noticed(mutant), mutant.name in self._equivalent
            self._judge(mutant, bool(found), equivalent)
            tried, noticed = tried + (not equivalent), noticed + bool(found and not equivalent)
        _row(module, len(chosen), noticed, tried, time.monotonic() - began)
        self.made, self.tried = self.made + len(chosen), self.tried + tried
        self.noticed += noticed

    def sum_up(self) -> None:
        """Say what came of all."""
        _row("all", self.made, self.noticed, self.tried, time.monotonic() - self._began)
        _say(f"the goal is {GOAL:.0%}")

    def _try(self, module: str, chosen: Sequence[Mutant]) -> None:
        tell = self._results.tell

        def in_functions(_: Path) -> int:
            trials = Trials(module, chosen, self.knowledge, self._workers, tell)
            return trials.run(TESTS[module])

        _alone(in_functions)
        self._results.read()
        left = [each for each in chosen if self._results.noticed(each) is None]
        at_most = patience(self.knowledge.values())
        jobs = [Job(partial(self._load, each), at_most) for each in left]
        for number, ended in forked(jobs, self._workers):
            tell(left[number], ended.code)
        self._results.read()

    def _load(self, mutant: Mutant, _: Path) -> int:
        load_changed(mutant)
        judge = Judge(self.knowledge, order_for(mutant))
        return collect(TESTS[mutant.name.module], judge)

    def _judge(self, mutant: Mutant, found: bool, equivalent: bool) -> None:
        name = mutant.name
        if equivalent and found:
            self._error(f"equivalents.toml: a test notices this mutant: {name}")
        if not found and not equivalent:
            nth = f" (nth = {name.nth})" if name.nth > 1 else ""
            _say(f"  not noticed: {name.module}:{mutant.line}: {name.what}{nth}")

    def _error(self, text: str) -> None:
        self.errors += 1
        _say(text)


def _alone(work: Callable[[Path], int]) -> Any:
    """Do something in a child that may load what it likes; return what it wrote into ``said``."""

    def in_child(folder: Path) -> int:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        (folder / "said").write_text("null")
        return work(folder)

    [said] = (_said(ended) for _, ended in forked([Job(in_child, HOURS)], 1))
    return said


def _said(ended: Ended) -> Any:
    if ended.code:
        error = ended.folder / "error"
        raise RuntimeError(error.read_text() if error.exists() else "the tests cannot be loaded")
    return json.loads((ended.folder / "said").read_text())


def _equivalents() -> dict[MutantName, str]:
    """Return the mutants that mean nothing, each with the reason."""
    found: dict[MutantName, str] = {}
    for module, listed in tomllib.loads(EQUIVALENTS.read_text()).items():
        for each in listed:
            reason = each.pop("reason")
            found[MutantName(module, **each)] = reason
    return found


def _module(text: str) -> str:
    if text not in TESTS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(TESTS)}")
    return text


def _share(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not (slash and part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 1/4")
    return int(part), int(parts)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _row(name: str, made: int, noticed: int, tried: int, seconds: float) -> None:
    share = noticed / tried if tried else 1
    _say(f"{name:20} {made:5} mutants, {made - tried:3} mean nothing, "
         f"{noticed:5} of {tried:5} noticed ({share:6.1%}) in {seconds:6.1f} s")  # fmt: skip


def _fix_examples() -> None:
    """Have Hypothesis make the same examples in every run, and no smaller ones of one that fails."""
    settings.register_profile(
        "mutants",
        deadline=None,
        max_examples=50,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"


def _preload(modules: Sequence[str]) -> None:
    """Load whatever the tests do but the ledger and themselves, for every child to have it."""

    def names(folder: Path) -> int:
        collect({file for module in modules for file in TESTS[module]}, _NoTests())
        loaded = [name for name in sys.modules if not name.startswith(_CHANGING)]
        (folder / "said").write_text(json.dumps(loaded))
        return 0

    for name in _alone(names):
        with suppress(ImportError):  # some exist only inside others
            importlib.import_module(name)


def main() -> int:
    """Load what does not change, then try; exit with 0 if enough is noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("module", nargs="*", type=_module, help="all, if none is named")
    parser.add_argument("--share", type=_share, default=(1, 1), metavar="N/M",
                        help="try the N-th of M equal parts of each module's mutants")  # fmt: skip
    parser.add_argument("--results", type=Path, metavar="FILE",
                        help="keep the results there, and try again only what was not noticed there, "
                             "or whose module changed since")  # fmt: skip
    given = parser.parse_args()
    os.chdir(ROOT)
    sys.dont_write_bytecode = False  # every child would compile every test anew
    modules = given.module or list(TESTS)
    _fix_examples()
    _preload(modules)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with TemporaryDirectory() as folder:
        outcomes = Outcomes(given.results or Path(folder) / "outcomes")
        counted = Counted(outcomes, given.share, len(os.sched_getaffinity(0)))
        try:
            if counted.learn(modules):
                for module in modules:
                    counted.run(module)
        except KeyboardInterrupt:
            _say(f"ended early; of whole modules {counted.noticed} of {counted.tried} noticed")
            return 3
    if counted.errors or not counted.tried:
        return 2
    counted.sum_up()
    return 0 if counted.noticed >= GOAL * counted.tried else 1


if __name__ == "__main__":
    sys.exit(main())
