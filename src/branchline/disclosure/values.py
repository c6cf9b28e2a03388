"""Check single values: arrays of model parameters, scalars, figures, texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from branchline.disclosure.context import Checked, Context
from branchline.disclosure.figure import plain_png
from branchline.disclosure.findings import Finding, RefusedOutput, SafeReason
from branchline.disclosure.numbers import mirrored, plain_array, plain_float
from branchline.disclosure.rules import OutputRule


def check_freedom(parameters: int, context: Context) -> None:
    """Refuse a model that has too many parameters for the records (ACRO dof, DataSHIELD glm)."""
    if context.fewest is None or not parameters:
        return
    free = context.fewest - parameters
    most = context.thresholds.parameters_per_row * context.fewest
    least = context.thresholds.dof
    if parameters > most or (least and free < least):
        raise RefusedOutput(
            "degrees-of-freedom",
            SafeReason.FREEDOM,
            records=context.fewest,
            parameters=parameters,
            degrees_of_freedom=free,
        )


def check_array(name: str, rule: OutputRule, value: Any, context: Context) -> Checked:
    """Check model parameters: shape, type, one entry per record, number, copies.

    A symmetric matrix (sums of products) counts its side as parameters, and one of its halves as
    numbers; any other array counts all its entries. What the train declares can only add to that.

    Raises:
        RefusedOutput: The array is not as declared, or too much for the records.
    """
    import numpy as np

    if not isinstance(value, np.ndarray) or not _fits(rule, value):
        raise RefusedOutput("form", SafeReason.FORM)
    if any(context.is_row_dimension(length) for length in value.shape):
        raise RefusedOutput("rows", SafeReason.ROWS, shape=value.shape)
    same = mirrored(value) if _could_be_symmetric(value, context) else None
    values = value.size if same is None else len(same) * (len(same) + 1) // 2
    parameters = value.size if same is None else len(same)
    check_freedom(max(parameters, rule.model_parameters or 0), context)
    search = context.index.search(value.dtype)
    plain, respelled = plain_array(value if same is None else same, search.look)
    evidence = {"parameters": parameters, "respelled": respelled, **search.evidence()}
    if search.copied:
        raise RefusedOutput("copies", SafeReason.ROWS, **evidence)
    finding = Finding(name, "parameters", "pass", "all", SafeReason.PASSED, evidence)
    return Checked(finding, plain, values)


def _fits(rule: OutputRule, value: Any) -> bool:
    numeric = value.dtype.kind in "iu" or value.dtype.name in ("float32", "float64")
    shaped = rule.shape is None or value.shape == rule.shape
    typed = rule.dtype is None or value.dtype == rule.dtype
    return numeric and shaped and typed and value.flags.c_contiguous and value.dtype.isnative


def _could_be_symmetric(value: Any, context: Context) -> bool:
    if value.ndim != 2 or value.shape[0] != value.shape[1] or context.fewest is None:
        return False
    most = context.thresholds.parameters_per_row * context.fewest
    return bool(value.shape[0] <= most)


def check_scalar(
    name: str, rule: OutputRule, payload: Mapping[str, Any], context: Context
) -> Checked:
    """Check one number, and the number of records behind it if the train names one.

    Raises:
        RefusedOutput: No number, too few records behind it, or a single person's value.
    """
    import numpy as np

    value = payload[name]
    if not isinstance(value, bool | int | float):
        raise RefusedOutput("form", SafeReason.FORM)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise RefusedOutput("form", SafeReason.FORM)
    _check_records_behind(rule, payload, context)
    plain = plain_float(value) if isinstance(value, float) else value
    search = context.index.search(np.dtype(np.float64))
    search.look(np.array([plain], dtype=np.float64))
    if search.copied:
        raise RefusedOutput("copies", SafeReason.ROWS)
    return Checked(Finding(name, "scalar", "pass", "all", SafeReason.PASSED), plain, 1)


def _check_records_behind(rule: OutputRule, payload: Mapping[str, Any], context: Context) -> None:
    if rule.count is None:
        return
    count = payload.get(rule.count)
    if isinstance(count, bool) or not isinstance(count, int):
        raise RefusedOutput("form", SafeReason.FORM, count=rule.count)
    evidence = {"records": count, "minimum": context.thresholds.min_group}
    if count < context.thresholds.min_group:
        raise RefusedOutput("minimum-group", SafeReason.GROUP, **evidence)
    if context.most is not None and count > context.most:
        raise RefusedOutput("counts", SafeReason.COUNTS, **evidence)


def check_figure(name: str, value: Any, context: Context) -> Checked:
    """Check a figure and write it anew; a person must look at it.

    Raises:
        RefusedOutput: Not a plain PNG, or too large.
    """
    if not isinstance(value, bytes):
        raise RefusedOutput("form", SafeReason.FORM)
    plain = plain_png(value, pixels=context.thresholds.figure_pixels)
    finding = Finding(name, "figure", "person", "kind", SafeReason.PERSON, {"bytes": len(value)})
    return Checked(finding, plain)


def check_text(name: str, value: Any, context: Context) -> Checked:
    """Check a short text; a person must read it.

    Raises:
        RefusedOutput: Too long, not plain, or with a rare text of the records in it.
    """
    if not isinstance(value, str):
        raise RefusedOutput("form", SafeReason.FORM)
    plain = value.isprintable() and unicodedata.is_normalized("NFC", value)
    if len(value) > context.thresholds.text_chars or not plain:
        raise RefusedOutput("text", SafeReason.TEXT, characters=len(value))
    if context.index.has_text(value):
        raise RefusedOutput("copies", SafeReason.ROWS)
    finding = Finding(name, "text", "person", "kind", SafeReason.PERSON, {"text": value})
    return Checked(finding, value)
