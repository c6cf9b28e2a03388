"""Every small change of a module of the verifier: another comparison, a condition turned round.

What an error says is not changed, nor annotations or docstrings: they are nobody's behaviour.
"""

from __future__ import annotations

import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_ERRORS = ("Corrupt", "Refused")
_SAYING = ("Declined", "parse_decimal", "_decimal")
"""Calls whose second argument only stands in a sentence."""
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


class MutantName(NamedTuple):
    """What a mutant is called, however the lines of its module move.

    Args:
        module: Below ``branchline.ledger``.
        code: The line that is changed, without its indentation.
        what: What is changed in it, for people.
        nth: Of several such changes of such lines, which; from 1.
    """

    module: str
    code: str
    what: str
    nth: int = 1


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Args:
        name: What it is called.
        line: Where.
        body: The lines of the function (of the outermost, if it stands in others) whose body is all
            that is changed; None if something else is.
        statement: The lines of the statement that is changed, of one with others inside its head: who
            comes to none of them does not notice.
        top: Which statement of the module is changed, somewhere inside.
        number: Which change of that statement it is.
    """

    name: MutantName
    line: int
    body: range | None
    statement: range
    top: int
    number: int

    @property
    def tree(self) -> ast.Module:
        """The changed module; made when it is needed, as there are many of them."""
        body = list(_parsed(self.name.module).body)
        body[self.top] = self._changed()
        return ast.Module(body, [])

    @property
    def part(self) -> ast.Module:
        """A module of nothing but the changed statement."""
        return ast.Module([self._changed()], [])

    def _changed(self) -> ast.stmt:
        block = [copy.deepcopy(_parsed(self.name.module).body[self.top])]
        _Changer(self.number).visit_block(block)
        return ast.fix_missing_locations(block[0])


class _Changer(ast.NodeVisitor):
    """Offer every change of a tree, each by name, to be made by number."""

    def __init__(self, wanted: int | None = None) -> None:
        self._wanted = wanted
        self._body: range | None = None
        self._statement: ast.AST | None = None
        self.offers: list[tuple[str, int, range | None, range]] = []

    def offer(self, node: ast.AST, what: str) -> bool:
        """Note a change, its line, its function's and statement's; tell whether it is to be made."""
        statement = node if isinstance(node, ast.stmt) else self._statement
        line = getattr(node, "lineno", 0)
        self.offers.append((what, line, self._body, _head(statement) if statement else range(0)))
        return len(self.offers) - 1 == self._wanted

    def visit(self, node: ast.AST) -> None:
        """Visit a node, knowing its statement."""
        outer = self._statement
        if isinstance(node, ast.stmt):
            self._statement = node
        super().visit(node)
        self._statement = outer

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
        """Nor where the error is made and raised elsewhere, or what is wrong is only named."""
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        if called in _SAYING:
            for part in (node.args[0], *node.args[2:], *node.keywords):
                self.visit(part)
        elif called not in _ERRORS:
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
        outer = self._body
        if outer is None and node.end_lineno:
            self._body = range(node.body[0].lineno, node.end_lineno + 1)
        self.visit_block(node.body)
        self._body = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Docstrings and decorators are passed over."""
        self.visit_block(node.body)

    def generic_visit(self, node: ast.AST) -> None:
        """Leave statements out of inner blocks, too."""
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                self._leave_out(block)
        super().generic_visit(node)

    def visit_block(self, body: list[ast.stmt]) -> None:
        """Visit statements, which may be left out; docstrings are passed over."""
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
    """Name every mutant of a module."""
    text = module_file(module).read_text()
    lines, seen = text.splitlines(), Counter[tuple[str, str]]()
    for top, statement in enumerate(_parsed(module).body):
        changer = _Changer()
        changer.visit_block([statement])
        for number, (what, line, body, near) in enumerate(changer.offers):
            code = lines[line - 1].strip()
            seen[code, what] += 1
            name = MutantName(module, code, what, seen[code, what])
            yield Mutant(name, line, body, near, top, number)


@cache
def _parsed(module: str) -> ast.Module:
    return ast.parse(module_file(module).read_text())


def _head(statement: ast.AST) -> range:
    """Return the lines of a statement; of one with a block, those before the block."""
    first, end = getattr(statement, "lineno", 0), getattr(statement, "end_lineno", 0)
    block = getattr(statement, "body", None)
    if isinstance(block, list) and not isinstance(statement, ast.Try):
        end = max(first, block[0].lineno - 1)
    return range(first, end + 1)


def module_file(module: str) -> Path:
    """Return where a module stands."""
    return ROOT / "src/branchline/ledger" / f"{module.replace('.', '/')}.py"


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


def load_changed(mutant: Mutant) -> None:
    """Have a mutant loaded in place of its module, which nobody has loaded yet."""
    sys.meta_path.insert(0, _Finder(mutant))
