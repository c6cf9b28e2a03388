"""Merge notebooks by cell, with nbdime.

The rule: cells go together as lines do in programs. Outputs follow their cell. Where both sides ran
a cell and got different outputs, or differ in prompt numbers, neither is kept: what a merged
notebook prints is known when it has been run again. Two changes of one cell's code or text are a
conflict.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

_MAJOR = 4
_CONFLICT = "inline"


def merged_notebook(before: bytes | None, mine: bytes, theirs: bytes) -> bytes | None:
    """Return the merged notebook; None where the sides contradict each other.

    Args:
        before: What both began with; None where both added it.
        mine: The notebook here.
        theirs: The other one.
    """
    merged, conflict = _merge(before, mine, theirs)
    return None if conflict else merged


def notebook_with_both(before: bytes | None, mine: bytes, theirs: bytes) -> bytes | None:
    """Return a notebook in which contradicting cells hold both versions; None where that cannot be."""
    return _merge(before, mine, theirs)[0]


def _merge(before: bytes | None, mine: bytes, theirs: bytes) -> tuple[bytes | None, bool]:
    import nbformat

    try:
        books = [_read(text) for text in (mine, theirs)]
        base = _read(before) if before is not None else _empty(books[0])
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, ValueError, KeyError):
        # Not a notebook, or one of an older format: a file like another.
        return None, True
    from nbdime.merging.decisions import apply_decisions
    from nbdime.merging.notebooks import decide_notebook_merge

    decisions = decide_notebook_merge(base, *books, args=_RULE)
    conflict = any(decision.conflict for decision in decisions)
    merged = apply_decisions(base, decisions)
    text: str = nbformat.writes(merged)  # type: ignore[no-untyped-call]
    return text.rstrip("\n").encode() + b"\n", conflict


_RULE = Namespace(
    merge_strategy=_CONFLICT,
    input_strategy=_CONFLICT,
    output_strategy="remove",
    ignore_transients=True,
    log_level="ERROR",
)


def _read(text: bytes) -> Any:
    import nbformat

    book = nbformat.reads(text.decode(), as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    if book.nbformat != _MAJOR:
        raise ValueError("a notebook of another format")
    return book


def _empty(like: Any) -> Any:
    import nbformat

    return nbformat.from_dict(  # type: ignore[no-untyped-call]
        {"nbformat": _MAJOR, "nbformat_minor": like.nbformat_minor, "metadata": {}, "cells": []}
    )
