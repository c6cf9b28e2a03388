"""``default.nix``: what it takes, and from where, as far as that can be read.

Nix's files are programs, and this one is not run. The names in its plain lists of packages are
read; what a program around them would make of them, or take beside them, only Nix can say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from branchline.environment.spec.refusal import without_secrets

_CHANNEL = re.compile(r"<([A-Za-z][A-Za-z0-9._-]*)(?:/[^>\s]*)?>")
_ADDRESS = re.compile(r"https://[^\s\"';]+")
_MOST = 3

_NAME = r"[A-Za-z_][A-Za-z0-9_'-]*(?:\.[A-Za-z0-9_'-]+)*"
# A comment or text that never ends, ends with the file: then each is looked at once.
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.S)
_TEXT = re.compile(r"\"(?:[^\"\\]|\\.?)*+(?:\"|\Z)|''.*?(?:''|\Z)", re.S)
_LIST = re.compile(
    r"\b(?:(?:native|propagated)?[bB]uildInputs|packages|paths)\s*=\s*"
    rf"(?:with\s+(?P<of>{_NAME})\s*;\s*)*\["
)
_INNER = re.compile(
    rf"\(\s*(?P<python>{_NAME})\.withPackages\s*\(\s*(?P<set>{_NAME})\s*:\s*"
    rf"with\s+(?P=set)\s*;\s*\[(?P<names>[^\[\]()]*)\]\s*\)\s*\)"
)
_WORD = re.compile(rf"{_NAME}|\S")


@dataclass(frozen=True)
class NixFile:
    """What a ``default.nix`` asks for.

    Args:
        sources: The channels (``<nixpkgs>``) and addresses it names, in order; up to three.
        packages: The packages that its lists name, sorted; those of a language's own set as
            ``python3.numpy``.
    """

    sources: tuple[str, ...]
    packages: tuple[str, ...]


def read_nix(data: bytes) -> NixFile:
    """Read a ``default.nix``; comments do not count."""
    lines = (f" {line}".partition(" #")[0] for line in data.decode("utf-8", "replace").split("\n"))
    code = _COMMENT.sub(" ", "\n".join(lines))
    sources = [*_CHANNEL.findall(code), *map(without_secrets, _ADDRESS.findall(code))]
    packages = set(_listed(_TEXT.sub(' "" ', code)))
    return NixFile(tuple(dict.fromkeys(sources))[:_MOST], tuple(sorted(packages)))


def _listed(code: str) -> Iterator[str]:
    """Yield the names in all lists of packages; what stands in brackets within one is left out."""
    at = 0
    while begun := _LIST.search(code, at):
        at, depth = begun.end(), 0
        while depth >= 0 and at < len(code):
            if not depth and (inner := _INNER.match(code, at)):
                python = _short(inner["python"])
                yield python
                yield from (f"{python}.{name}" for name in inner["names"].split())
                at = inner.end()
            elif word := _WORD.match(code, at):
                text, at = word[0], word.end()
                depth += (text in "([{") - (text in ")]}")
                if not depth and (text[0].isalpha() or text[0] == "_"):
                    yield _short(text)
            else:
                at += 1


def _short(name: str) -> str:
    """Leave out the set of all packages, by the names people give it."""
    first, _, rest = name.partition(".")
    return rest if rest and first in ("pkgs", "nixpkgs") else name
