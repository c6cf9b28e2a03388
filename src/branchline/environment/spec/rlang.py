"""``install.R`` and ``DESCRIPTION``: which R packages they ask for. Nothing is executed.

Of the R language only what install scripts usually are is read: calls that install or load named
packages, vectors of texts given a name, and options. Everything else is told, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from branchline.environment.spec.refusal import SpecRefused, shown
from branchline.environment.spec.text import lines_of, utf8

WITH_R = frozenset(
    [
        "base",
        "compiler",
        "datasets",
        "graphics",
        "grDevices",
        "grid",
        "methods",
        "parallel",
        "splines",
        "stats",
        "stats4",
        "tcltk",
        "tools",
        "utils",
    ]
)
"""The packages that come with R itself."""

PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9.]*[A-Za-z0-9]")
"""A package's name (Writing R Extensions §1.1.1)."""

MAX_TOKENS = 20_000
"""The most words and signs that are read of a script."""

_TOKEN = re.compile(
    r"(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<name>[A-Za-z.][A-Za-z0-9._]*)"
    r"|(?P<number>[0-9][0-9.eEL]*)|(?P<sign>:::?|<-|<<-|->|[-+*/^=<>!&|~?:$@,;(){}\[\]])",
    re.S,
)
_SPACE = re.compile(r"(?:[ \t\f]|#[^\n]*)+")
_INSTALLS = frozenset(("install.packages", "install_cran", "pkg_install", "p_load"))
_LOADS = frozenset(("library", "require", "requireNamespace", "loadNamespace"))
_WRAPS = frozenset(("suppressPackageStartupMessages", "suppressWarnings", "suppressMessages"))
_NO_MATTER = frozenset(
    ("options", "Sys.setenv", "message", "print", "cat", "sessionInfo", "update.packages")
)
_OPENS, _CLOSES = ("(", "[", "{"), (")", "]", "}")
_MAX_DEPTH = 20
_NAMED_BY = ("pkgs", "package", "packages", "pkg")


@dataclass(frozen=True)
class RScript:
    """What an install script asks for, and the lines that were not understood."""

    packages: tuple[str, ...] = ()
    foreign: tuple[tuple[int, str], ...] = ()
    """Line, and what stands there."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


class _NotUnderstood(Exception):
    pass


def parse_install_r(file: str, data: bytes) -> RScript:
    """Read an ``install.R``.

    Raises:
        SpecRefused: Not UTF-8, too large, or with a quotation mark without its partner.
    """
    text = "\n".join(lines_of(file, utf8(file, data)))
    packages: set[str] = set()
    foreign = []
    known: dict[str, list[str]] = {}
    for statement in _statements(file, text):
        try:
            packages.update(_Reader(statement, known).packages())
        except _NotUnderstood:
            said = " ".join(token.text for token in statement[:8])
            foreign.append((statement[0].line, said))
    return RScript(tuple(sorted(packages - WITH_R)), tuple(foreign))


def parse_description(file: str, data: bytes) -> tuple[str, ...]:
    """Return the packages that an R package depends on, imports or links to, sorted.

    Raises:
        SpecRefused: Not of the form of Debian control files, or a dependency that is none.
    """
    packages = set()
    for key, value in _fields(file, lines_of(file, utf8(file, data))):
        if key not in ("Depends", "Imports", "LinkingTo"):
            continue
        for part in filter(None, map(str.strip, value.split(","))):
            found = re.fullmatch(r"([A-Za-z][A-Za-z0-9.]*)\s*(\([<>=!]=?\s*[0-9][0-9.-]*\))?", part)
            if not found:
                raise SpecRefused(
                    file,
                    f"says {shown(part)} under {key}, which is not an R package",
                    reason="malformed DESCRIPTION",
                    advice="Write 'name' or 'name (>= version)'",
                )
            packages.add(found[1])
    return tuple(sorted(packages - WITH_R - {"R"}))


def _fields(file: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    key, value = "", ""
    for number, line in enumerate(lines, 1):
        if line[:1] in (" ", "\t"):
            value += " " + line.strip()
        elif line.strip():
            if key:
                yield key, value
            key, separator, value = line.partition(":")
            if not separator or not re.fullmatch(r"[!-~]+", key):
                raise SpecRefused(
                    file,
                    "is not 'Field: value'",
                    line=number,
                    reason="malformed DESCRIPTION",
                )
    if key:
        yield key, value


def _statements(file: str, text: str) -> Iterator[list[_Token]]:
    """Split a script at the line ends and semicolons that no bracket encloses."""
    statement: list[_Token] = []
    depth = 0
    for token in _tokens(file, text):
        if token.kind == "end" or token.text == ";":
            if statement and depth == 0:
                yield statement
                statement = []
            continue
        depth += (token.text in _OPENS) - (token.text in _CLOSES)
        depth = max(depth, 0)
        statement.append(token)
    if statement:
        yield statement


def _tokens(file: str, text: str) -> Iterator[_Token]:
    at, line = 0, 1
    for _ in range(MAX_TOKENS):
        if space := _SPACE.match(text, at):
            at = space.end()
        if at >= len(text):
            return
        if text[at] == "\n":
            yield _Token("end", "\n", line)
            at, line = at + 1, line + 1
            continue
        found = _TOKEN.match(text, at)
        if found is None:
            if text[at] in "\"'":
                raise SpecRefused(
                    file,
                    "has a quotation mark without its partner",
                    line=line,
                    reason="malformed install.R",
                )
            yield _Token("foreign", text[at], line)
            at += 1
            continue
        yield _Token(str(found.lastgroup), found[0], line)
        at, line = found.end(), line + found[0].count("\n")
    raise SpecRefused(file, "is too long an install script to be read", reason="too large")


class _Reader:
    """Reads one statement; knows the vectors that were given names before."""

    def __init__(self, tokens: list[_Token], known: dict[str, list[str]]) -> None:
        self.tokens = tokens
        self.known = known
        self.at = 0

    def packages(self) -> list[str]:
        """Return the packages the statement asks for."""
        if len(self.tokens) > 2 and self.tokens[1].text in ("<-", "="):
            name = self._take("name")
            self.at += 1
            self.known[name] = self._vector()
            found = []
        else:
            found = self._call()
        if self.at != len(self.tokens):
            raise _NotUnderstood
        if not all(PACKAGE.fullmatch(package) for package in found):
            raise _NotUnderstood
        return found

    def _call(self, depth: int = 0) -> list[str]:
        name = self._take("name")
        while self._peek() in ("::", ":::"):
            self.at += 1
            name = self._take("name")
        self._sign("(")
        if name in _WRAPS and depth < _MAX_DEPTH:
            found = self._call(depth + 1)
            self._sign(")")
            return found
        if name in _NO_MATTER:
            self._skip()
            return []
        if name not in _INSTALLS and name not in _LOADS:
            raise _NotUnderstood
        return self._arguments(bare=name in _LOADS or name == "p_load")

    def _arguments(self, bare: bool) -> list[str]:
        found: list[str] = []
        first = True
        while self._peek() != ")":
            keyword = ""
            if self._peek(1) == "=":
                keyword = self._take("name")
                self.at += 1
            if (first and not keyword) or keyword in _NAMED_BY:
                found += self._vector(bare)
            else:
                self._skip_argument()
            first = False
            if self._peek() == ",":
                self.at += 1
        self._sign(")")
        return found

    def _vector(self, bare: bool = False, depth: int = 0) -> list[str]:
        token = self._next()
        if token.kind == "text":
            return [token.text[1:-1]]
        if token.kind != "name":
            raise _NotUnderstood
        if token.text in ("c", "list") and self._peek() == "(" and depth < _MAX_DEPTH:
            self.at += 1
            found = []
            while self._peek() != ")":
                found += self._vector(depth=depth + 1)
                if self._peek() == ",":
                    self.at += 1
            self._sign(")")
            return found
        if bare:
            return [token.text]
        if token.text in self.known:
            return self.known[token.text]
        raise _NotUnderstood

    def _skip_argument(self) -> None:
        depth = 0
        while depth or self._peek() not in (",", ")"):
            text = self._next().text
            depth += (text in _OPENS) - (text in _CLOSES)

    def _skip(self) -> None:
        """Go past the closing bracket of a call that has been opened."""
        while self._peek() != ")":
            self._skip_argument()
            if self._peek() == ",":
                self.at += 1
        self.at += 1

    def _peek(self, ahead: int = 0) -> str:
        if self.at + ahead >= len(self.tokens):
            return ""
        return self.tokens[self.at + ahead].text

    def _next(self) -> _Token:
        if self.at >= len(self.tokens):
            raise _NotUnderstood
        self.at += 1
        return self.tokens[self.at - 1]

    def _take(self, kind: str) -> str:
        token = self._next()
        if token.kind != kind:
            raise _NotUnderstood
        return token.text

    def _sign(self, text: str) -> None:
        if self._next().text != text:
            raise _NotUnderstood
