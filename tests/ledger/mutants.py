"""Change the verifier in every small way, one at a time, and see whether a test notices.

    python tests/ledger/mutants.py [module …]      or: make mutants

Each mutant is one change of the syntax tree: another comparison, a condition turned round, a number
one off, a check left out. It runs in a forked child, in which the module is compiled from the changed
tree. What no test notices is printed: a test is missing, or the change means nothing.
"""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
GOAL = 0.95
PATIENCE = 90
"""Seconds after which a mutant counts as noticed: it does not end."""

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
    "package_check": ("package",),
    "standalone.verify": ("standalone", "package", "tagtree", "entry_vectors"),
}

_ERRORS = ("Corrupt", "Refused")
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr, ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Args:
        module: Below ``branchline.ledger``.
        line: Where.
        what: What was changed, for people.
        tree: The changed tree.
    """

    module: str
    line: int
    what: str
    tree: ast.Module


class _Changer(ast.NodeVisitor):
    """Offer every change of a tree, each by name, to be made by number."""

    def __init__(self, wanted: int | None = None) -> None:
        self._wanted, self.count = wanted, 0
        self.what, self.line = "", 0

    def offer(self, node: ast.AST, what: str) -> bool:
        """Count a change; tell whether it is the one to make."""
        chosen = self.count == self._wanted
        if chosen:
            self.what, self.line = what, getattr(node, "lineno", 0)
        self.count += 1
        return chosen

    def visit_Compare(self, node: ast.Compare) -> None:
        for number, operator in enumerate(node.ops):
            other = _COMPARISONS[type(operator)]
            if self.offer(node, f"{type(operator).__name__} -> {other.__name__}"):
                node.ops[number] = other()
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        if self.offer(node, "and <-> or"):
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        other = _OPERATORS.get(type(node.op))
        if other and self.offer(node, f"{type(node.op).__name__} -> {other.__name__}"):
            node.op = other()
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not) and self.offer(node, "not left out"):
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool(value) if self.offer(node, f"{value} -> {not value}"):
                node.value = not value
            case int(value) if not isinstance(value, bool):
                if self.offer(node, f"{value} -> {value + 1}"):
                    node.value = value + 1
                elif value and self.offer(node, f"{value} -> {value - 1}"):
                    node.value = value - 1
            case bytes(raw) if self.offer(node, "bytes changed"):
                node.value = raw + b"x"
            case str(text) if self.offer(node, f"{text[:20]!r} changed"):
                node.value = text + "x"

    def visit_If(self, node: ast.If) -> None:
        if self.offer(node, "condition turned round"):
            node.test = ast.UnaryOp(ast.Not(), node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        if self.offer(node, "branches exchanged"):
            node.body, node.orelse = node.orelse, node.body
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        """What an error says is not changed; ``generic_visit`` would go into its sentence."""

    def visit_Call(self, node: ast.Call) -> None:
        """Nor where the error is made and raised elsewhere."""
        if not (isinstance(node.func, ast.Name) and node.func.id in _ERRORS):
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Texts put together are changed in their fixed parts."""
        for part in node.values:
            self.visit(part)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Annotations are nobody's behaviour."""
        if node.value:
            self.visit(node.value)

    def visit_arguments(self, node: ast.arguments) -> None:
        """Of parameters the defaults count."""
        for default in (*node.defaults, *filter(None, node.kw_defaults)):
            self.visit(default)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Statements can be left out; docstrings and types are passed over."""
        self.visit(node.args)
        self._visit_body(node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Docstrings and decorators are passed over."""
        self._visit_body(node.body)

    def visit_Module(self, node: ast.Module) -> None:
        """The docstring is passed over."""
        self._visit_body(node.body)

    def generic_visit(self, node: ast.AST) -> None:
        """Leave statements out of inner blocks, too."""
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                self._leave_out(block)
        super().generic_visit(node)

    def _visit_body(self, body: list[ast.stmt]) -> None:
        self._leave_out(body)
        for statement in body:
            documents = isinstance(statement, ast.Expr) and isinstance(
                statement.value, ast.Constant
            )
            if not documents:
                self.visit(statement)

    def _leave_out(self, block: list[ast.stmt]) -> None:
        for number, statement in enumerate(block):
            acts = isinstance(statement, (ast.Raise, ast.Continue, ast.AugAssign)) or (
                isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
            )
            if acts and self.offer(statement, f"{type(statement).__name__} left out"):
                block[number] = ast.copy_location(ast.Pass(), statement)


def mutants(module: str) -> Iterator[Mutant]:
    """Make every mutant of a module."""
    file = ROOT / "src/branchline/ledger" / f"{module.replace('.', '/')}.py"
    tree = ast.parse(file.read_text())
    counting = _Changer()
    counting.visit(copy.deepcopy(tree))
    for number in range(counting.count):
        changed = copy.deepcopy(tree)
        changer = _Changer(number)
        changer.visit(changed)
        yield Mutant(module, changer.line, changer.what, ast.fix_missing_locations(changed))


class _Loader(importlib.abc.Loader):
    def __init__(self, tree: ast.Module, name: str) -> None:
        self._tree, self._name = tree, name

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, self._name, "exec"), module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    """Let one module be compiled from a changed tree."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"branchline.ledger.{mutant.module}"
        self._loader = _Loader(mutant.tree, f"<mutant of {self._name}>")

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the mutant in place of the module."""
        return importlib.util.spec_from_loader(name, self._loader) if name == self._name else None


def is_noticed(mutant: Mutant | None, module: str) -> bool:
    """Run the module's tests against a mutant, in a child; tell whether one fails."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        if mutant:
            sys.meta_path.insert(0, _Finder(mutant))
        import pytest  # loaded already, by the parent

        files = [str(ROOT / f"tests/ledger/test_{name}.py") for name in TESTS[module]]
        options = ["-x", "-q", "-p", "no:cacheprovider"]
        early = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
        os._exit(int(pytest.main([*options, "-W", early, *files])))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status != 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def run(modules: Sequence[str], workers: int) -> int:
    """Try all mutants of these modules; return 0 if enough of them are noticed."""
    total = noticed = 0
    with ThreadPoolExecutor(workers) as threads:
        for module in modules:
            if is_noticed(None, module):
                _say(f"{module}: its tests fail without any change")
                return 2
            made = list(mutants(module))
            results = list(threads.map(lambda each: is_noticed(each, each.module), made))
            for mutant, found in zip(made, results, strict=True):
                if not found:
                    _say(f"  not noticed: {module}:{mutant.line}: {mutant.what}")
            total, noticed = total + len(made), noticed + sum(results)
            _say(f"{module}: {sum(results)} of {len(made)} noticed")
    _say(f"all: {noticed} of {total} noticed ({noticed / total:.1%}); the goal is {GOAL:.0%}")
    return 0 if noticed >= GOAL * total else 1


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Load what does not change, then try."""
    os.chdir(ROOT)
    os.environ["CI"] = "1"  # the same examples in every run
    for name in ("hypothesis", "pytest", "sqlalchemy", "cryptography.hazmat.primitives", "cbor2"):
        importlib.import_module(name)
    return run(sys.argv[1:] or list(TESTS), len(os.sched_getaffinity(0)))


if __name__ == "__main__":
    sys.exit(main())
