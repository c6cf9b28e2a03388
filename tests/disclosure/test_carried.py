"""On a sequential route counts grow from station to station."""

import pyarrow as pa

from branchline.disclosure.check import check_outputs
from branchline.disclosure.context import Context
from branchline.disclosure.rows import RowIndex
from branchline.disclosure.rules import OutputRule

RULE = OutputRule(kind="statistics", columns=("n", "sum"), count="n")
OUT = {"sums": pa.table({"n": [60], "sum": [10.5]})}


def _context(*, carried: bool) -> Context:
    return Context({"t": 30}, RowIndex(dict), carried=carried)


def test_more_people_than_records_are_refused() -> None:
    """At a station that stands alone nobody can be counted who is not there."""
    assert check_outputs({"sums": RULE}, OUT, _context(carried=False)).verdict == "refused"


def test_a_state_that_came_in_may_bring_more_people() -> None:
    """With a state from the station before, the count is not bounded by the records here."""
    assert check_outputs({"sums": RULE}, OUT, _context(carried=True)).verdict == "pass"
