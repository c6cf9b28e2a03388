"""Schemas: what is a description, and how people edit one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.datasets.columns import range_text
from branchline.datasets.errors import SchemaRefused
from branchline.datasets.forms import FormRefused
from branchline.datasets.needs import NeededColumn, NeededTable
from branchline.datasets.schema import Column, Schema, Table
from branchline.datasets.schema_toml import parse_toml, to_toml
from branchline.datasets.use_terms import DUO_CODES, check_confidentiality, check_use_terms

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.isprintable)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
bounds = st.floats(-1e12, 1e12) | st.integers(-1000, 1000).map(float)


@st.composite
def columns(draw: st.DrawFn) -> Column:
    """Draw any column that is one."""
    kind = draw(st.sampled_from(["integer", "number", "text", "boolean", "date", "code"]))
    more: dict[str, Any] = {}
    if kind == "code":
        more["codes"] = tuple(draw(st.lists(texts, min_size=1, max_size=4, unique=True)))
    if kind in ("integer", "number"):
        low, high = sorted([draw(bounds), draw(bounds)])
        more |= {"minimum": draw(st.none() | st.just(low)), "maximum": high}
    return Column(
        draw(names),
        kind,  # type: ignore[arg-type]  # drawn from the kinds there are
        nullable=draw(st.booleans()),
        unit=draw(st.none() | texts),
        description=draw(texts),
        **more,
    )


tables = st.builds(
    Table,
    st.from_regex(r"[a-z0-9][a-z0-9_-]{0,10}", fullmatch=True),
    st.lists(columns(), min_size=1, max_size=4, unique_by=lambda c: c.name).map(tuple),
    description=texts,
)
schemas = st.builds(
    Schema, st.lists(tables, min_size=1, max_size=3, unique_by=lambda t: t.name).map(tuple)
)


@given(schemas)
def test_the_edited_form_says_the_same(schema: Schema) -> None:
    """A schema written as TOML and read again is the same schema, whatever its names and texts."""
    assert parse_toml(to_toml(schema)) == schema


def test_the_key_survives_and_comments_explain(schema: Schema) -> None:
    """The TOML carries the key, whole bounds without a point, and explains itself in comments."""
    text = to_toml(schema)
    assert parse_toml(text) == schema
    assert "maximum = 100\n" in text
    assert text.startswith("# What this dataset holds.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tables = 3", "s.toml: tables: Expected a table"),
        ("[tables]", "s.toml: tables: Expected at least one table"),
        ("tabels = {}", "s.toml: tabels: Unknown key"),
        ("[tables.a.columns.x]\ntype = 'float'", "s.toml: tables.a.columns.x.type: Invalid enum"),
        ("[tables.a.columns.x]\ntyp = 'text'", "tables.a.columns.x: Object "),
        ("[tables.a.columns.x]\ntype='text'\nminimum = 1", "minimum and maximum belong to"),
        ("[tables.a.columns.x]\ntype='number'\nminimum = nan", "finite"),
        ("[tables.a.columns.x]\ntype='number'\nminimum = 2\nmaximum = 1", "greater"),
        ("[tables.a.columns.x]\ntype='code'", "lists no codes"),
        ("[tables.a.columns.x]\ntype='code'\ncodes=['a','a']", "listed twice"),
        ("[tables.a.columns.x]\ntype='text'\nname='y'", "tables.a.columns.x.name: Unknown key"),
        ("[tables.a]\nkey='z'\ncolumns.x.type='text'", "key 'z' is not one of its columns"),
        ("[tables.'../a']\ncolumns.x.type='text'", "cannot name a table"),
        ("x = ", "s.toml is not TOML"),
        ("x = " + "[" * 5000, "s.toml is not TOML"),
    ],
)
def test_a_wrong_form_is_refused_with_file_key_and_expectation(text: str, said: str) -> None:
    """Each mistake in a schema's TOML is answered with its file, its key and what was expected."""
    with pytest.raises((FormRefused, SchemaRefused)) as refusal:
        parse_toml(text, "s.toml")
    assert said in str(refusal.value)
    assert str(refusal.value).startswith("s.toml")


def test_two_columns_or_tables_of_one_name_are_refused() -> None:
    """A schema names each table and each column once."""
    column = Column("x", "text")
    with pytest.raises(SchemaRefused, match="twice"):
        Table("a", (column, column))
    with pytest.raises(SchemaRefused, match="of its own"):
        Schema((Table("a", (column,)), Table("a", (column,))))
    with pytest.raises(SchemaRefused, match="no columns"):
        NeededTable("a", ())


def test_a_train_may_leave_codes_open_where_a_dataset_may_not() -> None:
    """A needed code column without codes accepts any code; a described one lists them."""
    assert NeededColumn("x", "code").codes is None
    with pytest.raises(SchemaRefused, match="lists no codes"):
        Column("x", "code")


def test_use_terms_are_the_23_codes_of_duo() -> None:
    """Short codes and DUO identifiers are accepted and come back short and sorted."""
    assert len(DUO_CODES) == 23
    assert check_use_terms(["IRB", "DUO:0000042"]) == ("GRU", "IRB")
    for code, (number, _) in DUO_CODES.items():
        permission = [] if code in {"NRES", "GRU", "HMB", "DS", "POA"} else ["NRES"]
        assert code in check_use_terms([f"DUO:{number}", *permission])


@pytest.mark.parametrize("term", ["XYZ", "DUO_0000042", "DUO:00000044", "gru", "", "DUO:0000001"])
def test_an_unknown_use_term_is_refused(term: str) -> None:
    """A term that is no DUO code, however near, is refused by name."""
    with pytest.raises(SchemaRefused, match="is not a DUO code"):
        check_use_terms(["NRES", term])


@pytest.mark.parametrize("terms", [[], ["IRB"], ["GRU", "HMB"]])
def test_a_dataset_has_exactly_one_permission(terms: list[str]) -> None:
    """None or two DUO permissions are refused: nobody could say what holds."""
    with pytest.raises(SchemaRefused, match="exactly one permission"):
        check_use_terms(terms)


def test_confidentiality_is_one_of_four_classes() -> None:
    """An unknown class is refused with the known ones."""
    assert check_confidentiality("secret") == "secret"
    with pytest.raises(SchemaRefused, match="public, internal, confidential, secret"):
        check_confidentiality("top secret")


def test_ranges_read_like_a_sentence() -> None:
    """Bounds are written for people."""
    assert range_text(0, 120) == "0..120"
    assert range_text(0, None) == "0 or more"
    assert range_text(None, 0.5) == "at most 0.5"
    assert range_text(None, None) == "any value"
