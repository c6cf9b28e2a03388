"""The contract against the dataset: all differences, before anything runs."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.datasets.columns import ColumnType
from branchline.datasets.errors import ContractRefused
from branchline.datasets.match import READABLE_AS, differences, require_match, require_values
from branchline.datasets.needs import NeededColumn, NeededTable, schema_for
from branchline.datasets.schema import Column, Schema, Table
from branchline.datasets.synthetic import make_tables

KINDS: list[ColumnType] = ["integer", "number", "text", "boolean", "date", "code"]


def needed(*columns: NeededColumn, rows: int = 0) -> list[NeededTable]:
    """Write a contract of one table."""
    return [NeededTable("patients", columns, rows)]


def test_a_fitting_dataset_has_no_differences(schema: Schema) -> None:
    """Fewer columns, wider bounds, more codes and lossless types all fit."""
    contract = needed(
        NeededColumn("age", "number", minimum=0, maximum=120),
        NeededColumn("arm", "code", ("drug", "other", "placebo")),
        NeededColumn("outcome", "text"),
        NeededColumn("remark", "text", nullable=True),
    )
    assert differences(contract, schema, {"patients": 4}) == []


def test_every_kind_of_difference_is_listed_at_once(schema: Schema) -> None:
    """One look tells all: missing table and column, type, codes, range, missing values, rows."""
    contract = [
        *needed(
            NeededColumn("weight", "number"),
            NeededColumn("risk", "integer"),
            NeededColumn("arm", "code", ("drug",)),
            NeededColumn("age", "integer", minimum=20, maximum=120),
            NeededColumn("remark", "text"),
            rows=5,
        ),
        NeededTable("visits", (NeededColumn("at", "date"),)),
    ]
    found = differences(contract, schema, {"patients": 4})
    assert [(each.kind, each.column) for each in found] == [
        ("missing-column", "weight"),
        ("wrong-type", "risk"),
        ("unknown-code", "arm"),
        ("out-of-range", "age"),
        ("missing-values", "remark"),
        ("too-few-rows", None),
        ("missing-table", None),
    ]
    assert [each.sentence for each in found] == [
        "Table 'patients', column 'weight': missing column: "
        "expected a column of type number, got none.",
        "Table 'patients', column 'risk': wrong type: expected type integer, got type number.",
        "Table 'patients', column 'arm': unknown code: "
        "expected only the codes drug, got also placebo.",
        "Table 'patients', column 'age': out of range: expected 20..120, got 18..100.",
        "Table 'patients', column 'remark': missing values: "
        "expected no missing values, got some may be missing.",
        "Table 'patients': too few rows: expected at least 5 rows, got fewer.",
        "Table 'visits': missing table: expected a table of this name, got patients.",
    ]
    with pytest.raises(ContractRefused) as refusal:
        require_match(contract, schema, {"patients": 4})
    assert refusal.value.detail["differences"] == [msgspec.to_builtins(each) for each in found]


def test_an_undeclared_bound_does_not_fit_a_needed_one() -> None:
    """A dataset that declares no range is not assumed to keep within the contract's."""
    offered = Schema((Table("patients", (Column("age", "integer", minimum=0),)),))
    found = differences(needed(NeededColumn("age", "integer", minimum=0, maximum=9)), offered)
    assert [each.kind for each in found] == ["out-of-range"]


@pytest.mark.parametrize("wanted", KINDS)
@pytest.mark.parametrize("held", KINDS)
def test_types_are_read_only_without_loss(wanted: ColumnType, held: ColumnType) -> None:
    """Only integer as number and code as text are conversions; every other pair differs."""
    offered = Schema((Table("patients", (Column("x", held, ("a",) if held == "code" else None),)),))
    found = differences(needed(NeededColumn("x", wanted)), offered)
    fits = wanted == held or (wanted, held) in {("number", "integer"), ("text", "code")}
    assert [each.kind for each in found] == ([] if fits else ["wrong-type"])
    assert (held in READABLE_AS[wanted]) == fits


@st.composite
def contracts(draw: st.DrawFn) -> list[NeededTable]:
    """Draw a contract."""
    columns = []
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(KINDS))
        codes = bottom = top = None
        if kind == "code":
            codes = draw(st.none() | st.just(("x", "y", "z")))
        if kind in ("integer", "number"):
            low = draw(st.integers(-50, 50))
            bottom = draw(st.none() | st.just(float(low)))
            top = draw(st.none() | st.just(float(low + draw(st.integers(0, 50)))))
        columns.append(NeededColumn(f"c{number}", kind, codes, bottom, top, draw(st.booleans())))
    return needed(*columns, rows=draw(st.integers(0, 30)))


@given(contracts(), st.integers(1, 50), st.integers(0, 2**32))
def test_invented_tables_satisfy_their_contract(
    contract: list[NeededTable], rows: int, seed: int
) -> None:
    """Synthetic data lie within the contract's schema, and equal seeds give equal tables."""
    tables = make_tables(contract, rows, seed)
    table = tables["patients"]
    described = schema_for(contract)
    assert differences(contract, described, {"patients": table.num_rows}) == []
    require_values(table, described.tables[0].columns, "invented")
    assert table.num_rows == max(rows, contract[0].minimum_rows)
    assert tables == make_tables(contract, rows, seed)


def test_another_seed_gives_other_data() -> None:
    """Simulated stations differ from each other."""
    contract = needed(NeededColumn("x", "number"))
    assert make_tables(contract, 10, 1) != make_tables(contract, 10, 2)


def test_invented_columns_have_missing_values_only_where_allowed() -> None:
    """Nullable columns get some missing values, so that a train meets them in trials."""
    contract = needed(NeededColumn("a", "number", nullable=True), NeededColumn("b", "number"))
    table = make_tables(contract, 500, 1)["patients"]
    assert 0 < table["a"].null_count < 100
    assert table["b"].null_count == 0
