"""Change the verifier in every small way, one at a time, and see whether a test notices.

    python tests/ledger/mutants.py [--share 1/4] [module …]
    make mutants MUTANTS="proof.note proof.policy"

Each mutant (``mutating``) runs in a forked child, in which the module is compiled from the changed
tree, against the tests that concern the module. What no test notices is printed: a test is missing,
or the change means nothing. Those that mean nothing stand in ``equivalents.toml`` with the reason,
and do not count; one that stands there and is noticed, or is no mutant any more, is an error. Told
to end (``timeout 170 …``), it says how far it came.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import NoReturn

if __name__ == "__main__":  # as a script: the folders are the package, as pytest sees them
    package = ModuleType("tests")
    package.__path__ = [str(Path(__file__).parents[1])]
    sys.modules["tests"] = package

from tests.ledger.mutating import ROOT, Mutant, MutantName, mutants

GOAL = 0.95
PATIENCE = 8.0
"""A mutant counts as noticed, for it does not end, after so many times what the tests take without it,
and so many seconds."""

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
    "package_check": ("package",),
    "standalone.verify": ("entry_vectors", "standalone", "tagtree", "package"),
}


class _Loader(importlib.abc.Loader):
    def __init__(self, tree: ast.Module, name: str) -> None:
        self._tree, self._name = tree, name

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, self._name, "exec"), module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    """Let one module be compiled from a changed tree."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"branchline.ledger.{mutant.name.module}"
        self._loader = _Loader(mutant.tree, f"<mutant of {self._name}>")

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the mutant in place of the module."""
        return importlib.util.spec_from_loader(name, self._loader) if name == self._name else None


def is_noticed(mutant: Mutant | None, module: str, patience: float) -> bool:
    """Run the module's tests against a mutant, in a child; tell whether one fails, or none ends."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        if mutant:
            sys.meta_path.insert(0, _Finder(mutant))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        import pytest  # loaded already, by the parent

        files = [str(ROOT / f"tests/ledger/test_{name}.py") for name in TESTS[module]]
        options = ["-x", "-q", "-p", "no:cacheprovider"]
        early = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
        os._exit(int(pytest.main([*options, "-W", early, *files])))
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status != 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


class Trial:
    """Try mutants, and count.

    Args:
        workers: How many at once.
        share: Which of how many equal parts of each module's mutants.
    """

    def __init__(self, workers: int, share: tuple[int, int]) -> None:
        self._workers, self._share = workers, share
        self._equivalent = _equivalents()
        self.tried = self.noticed = self.errors = 0
        self._so_far = "nothing was tried yet"

    def run(self, module: str) -> None:
        """Try a module's mutants; say what was not noticed."""
        began = time.monotonic()
        if is_noticed(None, module, 600.0):
            self._error(f"{module}: its tests fail without any change")
            return
        patience = PATIENCE * (1 + time.monotonic() - began)
        part, parts = self._share
        made = list(mutants(module))
        names = {each.name for each in made}
        for name in self._equivalent:
            if name.module == module and name not in names:
                self._error(f"equivalents.toml: there is no such mutant: {name}")
        chosen = made[part - 1 :: parts]
        with ThreadPoolExecutor(self._workers) as threads:
            results = threads.map(lambda each: is_noticed(each, module, patience), chosen)
            tried = noticed = 0
            for mutant, found in zip(chosen, results, strict=True):
                equivalent = mutant.name in self._equivalent
                self._judge(mutant, found, equivalent)
                tried, noticed = tried + (not equivalent), noticed + (found and not equivalent)
                self._so_far = f"{module}: {noticed} of {tried} noticed, of {len(chosen)} to try"
        _say(f"{module}: {noticed} of {tried} noticed, {len(chosen) - tried} mean nothing")
        self.tried, self.noticed = self.tried + tried, self.noticed + noticed

    def end(self) -> NoReturn:
        """Say how far it came, for whoever gave it some minutes only."""
        _say(f"ended early; {self._so_far}")
        os._exit(3)

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


def main() -> int:
    """Load what does not change, then try; exit with 0 if enough is noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("module", nargs="*", type=_module, help="all, if none is named")
    parser.add_argument("--share", type=_share, default=(1, 1), metavar="N/M",
                        help="try the N-th of M equal parts of each module's mutants")  # fmt: skip
    given = parser.parse_args()
    os.chdir(ROOT)
    os.environ["CI"] = "1"  # the same examples in every run
    for name in ("hypothesis", "pytest", "sqlalchemy", "cryptography.hazmat.primitives", "cbor2"):
        importlib.import_module(name)
    trial = Trial(len(os.sched_getaffinity(0)), given.share)
    signal.signal(signal.SIGTERM, lambda *_: trial.end())
    for module in given.module or TESTS:
        trial.run(module)
    if trial.errors or not trial.tried:
        return 2
    _say(f"all: {trial.noticed} of {trial.tried} noticed ({trial.noticed / trial.tried:.1%}); "
         f"the goal is {GOAL:.0%}")  # fmt: skip
    return 0 if trial.noticed >= GOAL * trial.tried else 1


if __name__ == "__main__":
    sys.exit(main())
