"""YAML to plain values: no tags, no merges, every size bounded; YAML 1.2's core schema.

Built from the parser's events, so that nothing is made before it was counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from branchline.environment.spec.refusal import SpecRefused, shown
from branchline.environment.spec.text import lines_of, utf8

MAX_NODES = 20_000
"""The most values a file may stand for, once its aliases are written out."""

MAX_DEPTH = 16
"""How deeply values may be nested."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("true", "True", "TRUE"))
_FALSE = frozenset(("false", "False", "FALSE"))
# YAML 1.2.2 §10.3.2
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_ADVICE = "Write plain YAML: texts, lists and one mapping"


class NotText:
    """A plain scalar that YAML takes for a number, a truth value or nothing."""

    def __init__(self, written: str) -> None:
        self.written = written

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NotText) and other.written == self.written

    def __hash__(self) -> int:
        return hash(self.written)

    @property
    def is_null(self) -> bool:
        """Whether it says nothing."""
        return self.written in _NULL


Value = str | NotText | list["Value"] | dict[str, "Value"]
"""What a file can hold."""


@dataclass
class _Open:
    """A list or mapping whose end was not seen yet."""

    value: list[Value] | dict[str, Value]
    anchor: str | None
    before: int
    key: str | None = None


def read_yaml(file: str, data: bytes) -> Value | None:
    """Read one YAML document; None for an empty one.

    Raises:
        SpecRefused: Not YAML, more than one document, a tag, a merge, a key that is not a text or
            stands twice, or beyond a bound.
    """
    text = utf8(file, data)
    lines_of(file, text)
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or "it cannot be read"
        raise SpecRefused(
            file,
            f"is not YAML: {said}",
            line=mark.line + 1 if mark else 0,
            reason="not YAML",
            advice=_ADVICE,
        ) from None
    return builder.root


class _Builder:
    """Turns events into values."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Value | None = None
        self.documents = 0
        self.count = 0
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Value, int]] = {}

    def take(self, event: Any) -> None:
        """Take in the next event."""
        if isinstance(event, yaml.ScalarEvent):
            self._count(event, 1)
            self._name(event.anchor, self._put(event, self._scalar(event)), 1)
        elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            self._begin(event)
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            ended = self.open.pop()
            self._name(ended.anchor, ended.value, self.count - ended.before)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._refuse(
                    event, "begins a second document; one is read", "not one document"
                )

    def _begin(self, event: Any) -> None:
        sequence = isinstance(event, yaml.SequenceStartEvent)
        if event.tag is not None:
            raise self._tag(event)
        if len(self.open) >= MAX_DEPTH:
            raise self._refuse(event, f"is nested more than {MAX_DEPTH} deep", "too deep")
        before = self.count
        self._count(event, 1)
        value: list[Value] | dict[str, Value] = [] if sequence else {}
        self._put(event, value)
        self.open.append(_Open(value, event.anchor, before))

    def _alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            raise self._refuse(event, f"refers to {shown(event.anchor)} before its end", "not YAML")
        value, size = self.anchors[event.anchor]
        self._count(event, size)
        self._put(event, value)

    def _put(self, event: Any, value: Value) -> Value:
        """Put a value where it belongs: into the innermost open one, or as its next key."""
        if not self.open:
            self.root = value
            return value
        inner = self.open[-1]
        if isinstance(inner.value, list):
            inner.value.append(value)
        elif inner.key is None:
            inner.key = self._key(event, value, inner.value)
        else:
            inner.value[inner.key], inner.key = value, None
        return value

    def _key(self, event: Any, value: Value, mapping: dict[str, Value]) -> str:
        if not isinstance(value, str):
            raise self._refuse(event, "has a key that is not a text", "not a text")
        if value == "<<" and not getattr(event, "style", None):
            raise self._refuse(
                event, "merges mappings (<<), which is not read here", "merge or tag"
            )
        if value in mapping:
            raise self._refuse(event, f"has the key {shown(value)} twice", "key twice")
        return value

    def _scalar(self, event: Any) -> Value:
        text: str = event.value
        if event.tag is not None:
            raise self._tag(event)
        if event.implicit[0] and _is_special(text):
            return NotText(text)
        return text

    def _name(self, anchor: str | None, value: Value, size: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = (value, size)

    def _count(self, event: Any, size: int) -> None:
        self.count += size
        if self.count > MAX_NODES:
            raise self._refuse(event, f"stands for more than {MAX_NODES} values", "too large")

    def _tag(self, event: Any) -> SpecRefused:
        return self._refuse(event, f"has the tag {shown(event.tag)}", "merge or tag")

    def _refuse(self, event: Any, why: str, reason: str) -> SpecRefused:
        line = event.start_mark.line + 1
        return SpecRefused(self.file, why, line=line, reason=reason, advice=_ADVICE)


def _is_special(text: str) -> bool:
    if text in _NULL or text in _TRUE or text in _FALSE:
        return True
    first = text[0]
    return (first.isdigit() or first in "+-.") and bool(
        _INT.fullmatch(text) or _FLOAT.fullmatch(text)
    )
