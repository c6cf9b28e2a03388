"""Tables leave without small cells, and rows do not leave as tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.disclosure.scene import check, context, patients, refusal

from branchline.disclosure.findings import SafeReason
from branchline.disclosure.rules import OutputRule

COUNTS = OutputRule(kind="counts", dimensions=("arm", "outcome"), count="n")
BANDS = OutputRule(
    kind="counts",
    dimensions=("band",),
    count="n",
    labels={"band": ("young", "middle", "old")},
    total_label="all",
)
MEANS = OutputRule(kind="statistics", columns=("arm", "n", "mean"), dimensions=("arm",), count="n")
TOTALS = OutputRule(
    kind="statistics",
    columns=("arm", "n", "sum", "first", "second"),
    dimensions=("arm",),
    count="n",
    total="sum",
    largest="first",
    second_largest="second",
)


def _by(*columns: str, rows: int = 100) -> pa.Table:
    grouped = patients(rows).group_by(list(columns)).aggregate([([], "count_all")])
    return grouped.rename_columns([*columns, "n"])


def _band(*counts: int, labels: tuple[str, ...] = ("young", "middle", "old", "all")) -> pa.Table:
    return pa.table({"band": labels[: len(counts)], "n": counts})


def _means(mean: Any = (9.5, 10.5), n: Any = (40, 40), arm: Any = ("drug", "placebo")) -> pa.Table:
    return pa.table({"arm": arm, "n": n, "mean": mean})


def test_an_honest_table_of_counts_passes() -> None:
    """Cells that are large enough leave as they are, in a fixed order."""
    found = check(COUNTS, _by("arm", "outcome", rows=600))
    assert found.verdict == "refused"  # six hundred counted where a hundred are bound
    found = check(COUNTS, _by("arm", "outcome", rows=600), context(600))
    assert found.verdict == "pass"
    assert found.payload["x"].column_names == ["arm", "outcome", "n"]
    assert found.payload["x"]["arm"].to_pylist() == ["drug", "drug", "placebo", "placebo"]
    assert pc.sum(found.payload["x"]["n"]).as_py() == 600


def test_small_cells_become_null_and_take_a_partner_along() -> None:
    """One cell of three is small: it and the smallest other are null, the rest stays."""
    found = check(BANDS, _band(4, 30, 50, 84))
    assert found.verdict == "suppressed"
    assert found.safe_reason == SafeReason.SUPPRESSED
    assert found.payload["x"]["n"].to_pylist() == [None, None, 50, 84]
    assert found.findings[0].evidence["small"] == 1
    assert found.findings[0].evidence["suppressed"] == 2


def test_nothing_lies_under_a_null() -> None:
    """Bytes under a null, metadata and chunks of the train's table do not leave with the clean one."""
    table = _band(4, 30, 50, 84).replace_schema_metadata({"row": "Surname0001, 71 years"})
    clean = check(BANDS, table).payload["x"]
    assert clean.schema.metadata is None
    values, column = clean["n"].chunk(0).buffers()[1], clean["n"].chunk(0)
    assert np.frombuffer(values, dtype=np.int64)[:4].tolist() == [0, 0, 50, 84]
    assert column.null_count == 2


@given(st.permutations(range(4)))
def test_the_order_of_rows_says_nothing(order: list[int]) -> None:
    """However a train orders its rows, what leaves is the same."""
    table = _band(14, 30, 50, 94)
    assert check(BANDS, table.take(order)).payload["x"].equals(check(BANDS, table).payload["x"])


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        pytest.param(_band(40, 50, 60, 150), "counts", id="more people than records"),
        pytest.param(_band(20, 30, 40, 95), "totals", id="total is no sum"),
        pytest.param(_band(71, 34, 88), "counts", id="ages as counts"),
        pytest.param(_band(-1, 30, 50), "counts", id="negative"),
        pytest.param(_band(20, 30, 40, labels=("young", "middle", "middle")), "form", id="twice"),
        pytest.param(
            _band(20, 30, 40, labels=("young", "71", "old")), "labels", id="undeclared label"
        ),
        pytest.param(pa.table({"band": ["old"], "n": [1.5]}), "form", id="no whole number"),
        pytest.param(pa.table({"band": ["old"], "n": [float("nan")]}), "form", id="nan count"),
        pytest.param(pa.table({"band": ["old"], "n": [None]}), "form", id="null count"),
        pytest.param(pa.table({"band": ["old"], "n": [True]}), "form", id="boolean count"),
        pytest.param(pa.table({"band": ["old"], "n": ["20"]}), "form", id="text count"),
        pytest.param(pa.table({"band": [0.5], "n": [20]}), "form", id="fraction as label"),
        pytest.param(pa.table({"band": [b"old"], "n": [20]}), "form", id="bytes as label"),
        pytest.param(pa.table({"band": ["x" * 81], "n": [20]}), "form", id="long label"),
        pytest.param(pa.table({"band": ["old\u200b"], "n": [20]}), "form", id="hidden character"),
        pytest.param(pa.table({"n": [20]}), "form", id="missing column"),
        pytest.param(
            pa.table({"band": ["old"], "n": [20], "age": [71]}), "form", id="extra column"
        ),
        pytest.param({"band": ["old"], "n": [20]}, "form", id="no table"),
        pytest.param(
            pa.table({"band": np.array([2**63], dtype=np.uint64), "n": [20]}),
            "form",
            id="large label",
        ),
        pytest.param(
            pa.table({"band": [str(i) for i in range(2000)], "n": [0] * 2000}), "size", id="large"
        ),
    ],
)
def test_rows_do_not_leave_as_counts(table: Any, rule: str) -> None:
    """Each attempt to put something else into a table of counts is refused as a whole."""
    assert refusal(check(BANDS, table)) == rule


def test_stacking_the_same_rows_does_not_make_a_group() -> None:
    """A count larger than the records with that label is refused: the rows were doubled."""
    held = pc.sum(pc.equal(patients(100)["outcome"], "yes")).as_py()
    rule = OutputRule(kind="counts", dimensions=("outcome",), count="n")
    honest = pa.table({"outcome": ["yes", "no"], "n": [held, 100 - held]})
    doubled = pa.table({"outcome": ["yes", "no"], "n": [2 * held, 10]})
    assert check(rule, honest).verdict == "pass"
    assert refusal(check(rule, doubled)) == "counts"


@pytest.mark.parametrize("column", ["id", "surname"])
def test_records_do_not_leave_as_labels(column: str) -> None:
    """Labels that single records have are refused or shown to a person, never released."""
    rule = OutputRule(kind="counts", dimensions=(column,), count="n")
    labels = patients(100)[column].slice(0, 3)
    found = check(rule, pa.table({column: labels, "n": [20, 30, 40]}))
    assert found.verdict in ("refused", "person")


def test_unknown_labels_need_a_person() -> None:
    """A label that nobody declared and few records have: a person looks at it."""
    rule = OutputRule(kind="counts", dimensions=("season",), count="n")
    found = check(rule, pa.table({"season": ["summer", "winter"], "n": [40, 60]}))
    assert (found.verdict, found.safe_reason) == ("person", SafeReason.LABELS)
    rule = OutputRule(kind="counts", dimensions=("ward",), count="n")
    found = check(rule, pa.table({"ward": ["east", "west"], "n": [40, 45]}))
    assert found.verdict == "pass"


def test_empty_cells_are_suppressed_where_a_station_wants_it() -> None:
    """Zeros are shown by default, and left out if the station calls them disclosive."""
    table = _band(0, 40, 50)
    assert check(BANDS, table).verdict == "pass"
    strict = check(BANDS, table, context(zeros_are_disclosive=True))
    assert strict.payload["x"]["n"].to_pylist() == [None, None, 50]


def test_statistics_of_small_groups_are_left_out_with_their_counts() -> None:
    """The mean of four goes, and one more so that its count is not given away."""
    rule = OutputRule(
        kind="statistics",
        columns=("band", "n", "mean"),
        dimensions=("band",),
        count="n",
        labels={"band": ("young", "middle", "old")},
    )
    table = pa.table(
        {"band": ["young", "middle", "old"], "n": [4, 30, 50], "mean": [1.5, 2.5, 3.5]}
    )
    clean = check(rule, table).payload["x"]
    assert clean["n"].to_pylist() == [None, None, 50]
    assert clean["mean"].to_pylist() == [None, None, 3.5]


def test_a_statistic_of_nobody_is_no_place_for_anything() -> None:
    """Where no record is behind a row, its measures are null whatever the train put there."""
    clean = check(MEANS, _means(mean=(71.0, 10.5), n=(0, 40))).payload["x"]
    assert clean["mean"].to_pylist() == [None, 10.5]
    assert clean["n"].to_pylist() == [0, 40]


@pytest.mark.parametrize(
    ("three", "verdict"),
    [
        ((1000.0, 50.0, 40.0), "pass"),
        ((1000.0, 500.0, 400.0), "suppressed"),  # n,k: two make up ninety per cent
        ((1000.0, 895.0, 5.0), "suppressed"),  # n,k once more, just not by the largest alone
        ((1000.0, 880.0, 40.0), "suppressed"),
        ((-1000.0, 50.0, 40.0), "person"),
        ((1000.0, 40.0, 50.0), "person"),
        ((1000.0, float("nan"), 40.0), "person"),
        ((50.0, 40.0, 30.0), "person"),
        ((0.0, 0.0, 0.0), "pass"),
    ],
)
def test_totals_of_one_or_two_people_are_left_out(
    three: tuple[float, float, float], verdict: str
) -> None:
    """The (n,k) and p % rules; undefined contributions go to a person."""
    rows = {"arm": ["drug", "placebo"], "n": [40, 45], "sum": [three[0], 900.0]}
    rows |= {"first": [three[1], 30.0], "second": [three[2], 20.0]}
    found = check(TOTALS, pa.table(rows))
    assert found.verdict == verdict
    assert found.payload["x"]["first"].null_count == 2
    assert found.payload["x"]["second"].null_count == 2
    if verdict == "suppressed":
        assert found.payload["x"]["sum"].to_pylist() == [None, None]


def test_the_p_rule_alone() -> None:
    """Largest 500, second 290, rest 40: less than ten per cent of the largest is left."""
    rows = {"arm": ["drug"], "n": [40], "sum": [830.0], "first": [500.0], "second": [240.0]}
    assert check(TOTALS, pa.table(rows), context(dominance_k=1.0)).verdict == "pass"
    rows["second"] = [290.0]
    assert check(TOTALS, pa.table(rows), context(dominance_k=1.0)).verdict == "suppressed"


def test_records_do_not_leave_as_statistics() -> None:
    """A column of measures that holds single people's values is refused."""
    lactate = patients(100)["lactate"].slice(0, 2).to_pylist()
    assert refusal(check(MEANS, _means(mean=lactate))) == "copies"
    assert refusal(check(MEANS, _means(mean=(10.5, lactate[0])))) == "copies"
    rule = OutputRule(kind="statistics", columns=("n", "v"), count="n")
    every = pa.table({"n": [10] * 100, "v": np.arange(100) / 7})
    assert refusal(check(rule, every)) == "rows"
    ages = patients(100)["age"].slice(0, 30)
    assert refusal(check(rule, pa.table({"n": [10] * 30, "v": ages}))) == "copies"


def test_spare_bits_in_a_statistic_are_gone() -> None:
    """A NaN's payload and a negative zero do not leave in a table either."""
    odd = np.array([0x7FF8DEADBEEF0001, 0x8000000000000000], dtype=np.uint64).view(np.float64)
    clean = check(MEANS, _means(mean=odd)).payload["x"]["mean"].to_numpy()
    assert clean.view(np.uint64).tolist() == [0x7FF8000000000000, 0]


@pytest.mark.parametrize("mean", [("9", "10"), (True, False), ([1.0], [2.0])])
def test_measures_are_numbers(mean: Any) -> None:
    """Texts, booleans and lists are no statistics."""
    assert refusal(check(MEANS, _means(mean=mean))) == "form"
