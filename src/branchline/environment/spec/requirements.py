"""``requirements.txt`` as pip reads it, strictly, and without asking anybody."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from branchline.environment.spec.pep508 import NoRequirement, is_simple, read_requirement
from branchline.environment.spec.references import MAX_REFERENCES, inside
from branchline.environment.spec.refusal import SpecRefused, shown
from branchline.environment.spec.text import lines_of, pip_text

Lookup = Callable[[str], bytes | None]
"""Gives the bytes of a file in the tree."""

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
HASH = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
"""A hash that pip accepts: weaker algorithms it does not."""

_ONE_INDEX = "a lock holds versions from the one index only"
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\]\s*)?@")
_OPTION = re.compile(r"\s--?[a-z]")
_ARCHIVES = (".whl", ".tar.gz", ".tar.bz2", ".tgz", ".zip")

_REFER = {"-r": "-r", "--requirement": "-r", "-c": "-c", "--constraint": "-c"}
_EDITABLE = ("-e", "--editable")
_INDEX = (
    "-i",
    "--index-url",
    "--pypi-url",
    "--extra-index-url",
    "--no-index",
    "-f",
    "--find-links",
    "--trusted-host",
)
_MET_ANYWAY = ("--require-hashes", "--prefer-binary", "--only-binary")
_OTHER = ("--pre", "--no-binary", "--use-feature")
_REMEMBERED = 200
"""Shorter lines that say a name and a version are remembered; most are written again and again."""
_SHORT = ("-r", "-c", "-e", "-i", "-f")


@dataclass
class Requirements:
    """What requirements files ask for.

    Args:
        lines: Requirements in their one spelling, in their order.
        hashes: For those with ``--hash``: the hashes.
        constraints: Requirements of ``-c`` files.
        files: The files that were read, by path in the tree.
        unsupported: Sentences on what no lock can hold.
    """

    lines: list[str] = field(default_factory=list)
    hashes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    constraints: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)

    def read_file(
        self, path: str, data: bytes, lookup: Lookup, *, constraints: bool = False
    ) -> None:
        """Take in a file, and the files it refers to, each once.

        Raises:
            SpecRefused: A line that pip would not take either, a file that is not in the tree, or
                too many files.
        """
        self.files.append(path)
        kept = self.constraints if constraints else self.lines
        text = pip_text(path, data)
        lines = lines_of(path, text)
        # Nothing to join and no comment to take off: the lines are what pip sees.
        simple = "#" not in text and "\\" not in text
        for number, line in enumerate(lines, 1) if simple else logical_lines(lines):
            bare = line.strip()
            if len(bare) < _REMEMBERED and _is_plain(bare):
                kept.append(bare)
            elif bare:
                self._line(path, number, bare, lookup, constraints)

    def read_lines(self, path: str, lines: list[str], lookup: Lookup) -> None:
        """Take in lines that stand in a file of another kind.

        Raises:
            SpecRefused: As for ``read_file``.
        """
        for _, line in logical_lines(lines):
            if len(line) < _REMEMBERED and _is_plain(line):
                self.lines.append(line)
            else:
                self._line(path, 0, line, lookup, False)

    def _line(self, path: str, number: int, line: str, lookup: Lookup, constraints: bool) -> None:
        """Take in one line that is not empty and has no comment."""
        if _VARIABLE.search(line):
            since = "a lock holds what stands in the files"
            self._cannot(path, number, "takes a value from the machine's own variables", since)
        elif line.startswith("-"):
            self._option(path, number, line, lookup, constraints)
        else:
            self._requirement(path, number, line, constraints)

    def _option(self, path: str, number: int, line: str, lookup: Lookup, constraints: bool) -> None:
        name, value = _split(path, number, line)
        if name in _REFER:
            bounds = constraints or _REFER[name] == "-c"
            self._refer(path, number, value, lookup, bounds)
        elif name in _EDITABLE:
            self._cannot(path, number, "asks for a package in a state that may be edited (-e)")
        elif name in _INDEX:
            self._cannot(path, number, f"chooses another source of packages ({name})")
        elif name in _OTHER:
            self._cannot(
                path,
                number,
                f"changes what pip may install ({name})",
                "a lock does not follow that",
            )
        elif name not in _MET_ANYWAY:
            raise SpecRefused(
                path,
                f"has an option that requirements files do not have: {shown(name)}",
                line=number,
                reason="unknown option",
                advice="Remove it",
            )

    def _refer(self, path: str, number: int, other: str, lookup: Lookup, bounds: bool) -> None:
        inner = inside(path, other)
        if not inner:
            raise SpecRefused(
                path,
                "refers to a file outside the folder",
                line=number,
                reason="refers outside",
                advice="Put the file into the folder",
            )
        if inner in self.files:
            return
        data = lookup(inner)
        if data is None:
            raise SpecRefused(
                path,
                f"refers to {shown(inner)}, which is not there",
                line=number,
                reason="refers to a missing file",
            )
        if len(self.files) >= MAX_REFERENCES:
            raise SpecRefused(
                path,
                f"refers to more than {MAX_REFERENCES} files",
                line=number,
                reason="too large",
            )
        self.read_file(inner, data, lookup, constraints=bounds)

    def _requirement(self, path: str, number: int, line: str, constraints: bool) -> None:
        bare = line
        hashes: tuple[str, ...] = ()
        if "--" in line and (found := _OPTION.search(line)):
            bare, hashes = line[: found.start()].rstrip(), _hashes(path, number, line, found.end())
        if _is_place(bare):
            self._cannot(path, number, "asks for a package by URL or path, not by name")
            return
        try:
            requirement, url = read_requirement(bare)
        except NoRequirement as error:
            raise _no_requirement(path, number, bare, error) from None
        if url:
            name = shown(requirement.partition("@")[0].strip())
            self._cannot(path, number, f"asks for {name} by URL, not by version")
        elif constraints:
            self.constraints.append(requirement)
        else:
            self.lines.append(requirement)
            if hashes:
                self.hashes[requirement] = hashes

    def _cannot(self, path: str, number: int, why: str, since: str = _ONE_INDEX) -> None:
        place = f"{path}, line {number}," if number else path
        self.unsupported.append(f"{place} {why}; {since}")


def logical_lines(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield lines as pip sees them, numbered: joined where they end in a backslash, uncommented."""
    joined, start = "", 0
    for number, line in enumerate(lines, 1):
        if not start and "#" not in line and "\\" not in line:
            if bare := line.strip():
                yield number, bare
            continue
        start = start or number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            joined += line.strip("\\")
            continue
        bare = _COMMENT.sub("", joined + (" " + line if is_comment else line)).strip()
        if bare:
            yield start, bare
        joined, start = "", 0
    if bare := _COMMENT.sub("", joined).strip():
        yield start, bare


@lru_cache(maxsize=1 << 15)
def _is_plain(line: str) -> bool:
    """Tell whether a line is a name with a version or none, and nothing else."""
    return is_simple(line) and not line.endswith(_ARCHIVES)


def _split(path: str, number: int, line: str) -> tuple[str, str]:
    """Split an option's line into its name and its value."""
    try:
        words = shlex.split(line)
    except ValueError:
        raise SpecRefused(
            path, "has a quotation mark without its partner", line=number, reason="malformed line"
        ) from None
    name, _, value = words[0].partition("=") if words[0].startswith("--") else (words[0], "", "")
    if name[:2] in _SHORT and len(name) > 2:
        name, value = name[:2], name[2:].lstrip("=")
    rest = words[1:]
    if not value and rest:
        value, *rest = rest
    if name in _REFER and (rest or not value):
        raise SpecRefused(
            path, f"must name one file after {name}", line=number, reason="malformed line"
        )
    return name, value


def _hashes(path: str, number: int, line: str, at: int) -> tuple[str, ...]:
    """Read the options after a requirement: hashes, and nothing else."""
    found = []
    words = iter(line[at - 3 :].split())
    for word in words:
        name, separator, value = word.partition("=")
        value = value if separator else next(words, "")
        if name != "--hash" or not HASH.fullmatch(value):
            raise SpecRefused(
                path,
                f"has {shown(word)} after its requirement; only --hash=<algorithm>:<digits> may "
                "stand there",
                line=number,
                reason="unknown option",
            )
        found.append(value)
    return tuple(found)


def _is_place(text: str) -> bool:
    """Tell whether a line names an archive, a folder or a repository; ``name @ URL`` does not."""
    if text.startswith((".", "/", "~", "git+", "file:")):
        return True
    if text.partition("#")[0].lower().endswith(_ARCHIVES):
        return "@" not in text
    return "://" in text and not _NAMED.match(text)


def _no_requirement(path: str, number: int, text: str, error: NoRequirement) -> SpecRefused:
    advice = "Write it as in 'numpy>=1.26' (PEP 508)"
    if re.fullmatch(r"[A-Za-z0-9._-]+=[^=].*", text):
        advice = "Write two equals signs, as in 'numpy==1.26.4'"
    return SpecRefused(
        path,
        f"says {shown(text)}, which {error}",
        line=number,
        reason="not a requirement",
        advice=advice,
    )
