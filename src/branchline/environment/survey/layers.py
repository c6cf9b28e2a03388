"""Shared layers: a list of packages, and how many environments it would serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from branchline.environment.survey.tally import Environments
from branchline.foundation.errors import Refused

KINDS = ("python", "conda", "apt", "r", "julia")
"""Where a package may come from."""

MAX_LAYER = 100_000
"""The most packages of a layer."""


@dataclass(frozen=True)
class Layer:
    """A proposed layer: the ``most`` used packages, or a list of them by name.

    Args:
        name: What it is called in the report.
        most: How many of the most used ones; 0 where ``packages`` says which.
        packages: ``python:numpy`` and the like.
    """

    name: str
    most: int = 0
    packages: tuple[str, ...] = ()


class Coverage(msgspec.Struct, frozen=True):
    """How far a layer serves environments that ask for anything at all.

    Args:
        layer: Its name.
        packages: How many packages it has.
        full: The share of environments that need nothing else, in parts of ten thousand.
        mean: The share of an environment's packages that it has, on average, likewise.
    """

    layer: str
    packages: int
    full: int
    mean: int


def parse_layer(text: str, read: Callable[[str], str]) -> Layer:
    """Read ``--layer``: a number, or the name of a file with a package on each line.

    Args:
        text: The number or the file's name.
        read: Gives a file's text.

    Raises:
        Refused: Neither; or a line that is no package.
    """
    if text.isascii() and text.isdigit():
        most = int(text)
        if 0 < most <= MAX_LAYER:
            return Layer(f"{most} most used", most)
        raise Refused(f"A layer has 1 to {MAX_LAYER} packages, not {text[:20]}")
    packages = []
    for number, line in enumerate(read(text).splitlines(), 1):
        package = line.partition("#")[0].strip()
        if package:
            packages.append(_package(text, number, package))
    if not packages or len(packages) > MAX_LAYER:
        raise Refused(f"{text} must list 1 to {MAX_LAYER} packages, one on each line")
    return Layer(text, packages=tuple(dict.fromkeys(packages)))


def coverage(
    layers: Sequence[Layer], environments: Environments, ordered: Iterable[str]
) -> list[Coverage]:
    """Return how far each layer serves, in one pass over the environments.

    Args:
        layers: The proposals.
        environments: Those that were kept.
        ordered: All packages, the most used first.
    """
    names = list(ordered)
    chosen = [set(_numbers(layer, environments, names)) for layer in layers]
    full, shares, count = [0] * len(layers), [0.0] * len(layers), 0
    for packages in environments:
        if not packages:
            continue
        count += 1
        for index, layer in enumerate(chosen):
            met = sum(1 for number in packages if number in layer)
            full[index] += met == len(packages)
            shares[index] += met / len(packages)
    return [
        Coverage(
            layer.name,
            min(layer.most, len(names)) if layer.most else len(layer.packages),
            round(10_000 * full[index] / count) if count else 0,
            round(10_000 * shares[index] / count) if count else 0,
        )
        for index, layer in enumerate(layers)
    ]


def _numbers(layer: Layer, environments: Environments, names: list[str]) -> Iterator[int]:
    for name in names[: layer.most] if layer.most else layer.packages:
        number = environments.number_of(name)
        if number is not None:
            yield number


def _package(file: str, number: int, text: str) -> str:
    kind, separator, name = text.partition(":")
    if not separator:
        return f"python:{text.lower()}"
    if kind not in KINDS or not name:
        raise Refused(
            f"{file}, line {number}, is not a package",
            advice=f"Write 'numpy', or one of {', '.join(KINDS)} before it, as in 'apt:curl'",
        )
    return text
