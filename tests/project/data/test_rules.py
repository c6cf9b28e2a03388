"""Rules of data: read strictly; the strictest word holds; what cannot be evaluated is a no."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.errors import Refused
from branchline.project.data.judging import loosened, may_go, why_not
from branchline.project.data.rules import CLASSES, Place, Rule, Rules, read_rules

DAY = date(2026, 11, 21)
PLACES = {
    "hub": Place(address="https://hub.example.org"),
    "north": Place(annex=("11111111-2222-3333-4444-555555555555",)),
    "south": Place(address="/srv/south"),
}
NAMES = (*PLACES, None)
PATHS = ("data/a.csv", "data/patients/1.csv", "data/patients/sub/2.csv", "results/t.csv", "x")

names = st.sampled_from(sorted(PLACES))
patterns = st.sampled_from(
    ["data", "data/**", "data/patients/*", "**/*.csv", "results/t.csv", "x", "data/*/sub"]
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Any rule about these paths and places."""
    return Rule(
        paths=tuple(draw(st.lists(patterns, min_size=1, max_size=2))),
        excepted=tuple(draw(st.lists(patterns, max_size=1))),
        confidentiality=draw(st.sampled_from(CLASSES)),
        allowed=draw(st.none() | st.lists(names | st.just("*"), max_size=2).map(tuple)),
        forbidden=tuple(draw(st.lists(names, max_size=1))),
        expires=draw(st.none() | st.integers(-2, 2).map(lambda n: DAY + timedelta(days=n))),
    )


@given(st.lists(rules(), max_size=4), rules())
def test_a_rule_that_is_added_never_permits_more(before: list[Rule], added: Rule) -> None:
    """Whatever it says, and in whatever order rules stand."""
    old, new = Rules(tuple(before), PLACES), Rules((added, *before), PLACES)
    for path in PATHS:
        for place in NAMES:
            if may_go(new, path, place, DAY):
                assert may_go(old, path, place, DAY)
            again = Rules((*before, added), PLACES)
            assert may_go(new, path, place, DAY) == may_go(again, path, place, DAY)


@given(st.lists(rules(), max_size=4), st.sampled_from(PATHS), st.sampled_from(PATHS))
def test_what_stands_at_two_paths_goes_where_both_may(
    listed: list[Rule], one: str, two: str
) -> None:
    """So that a copy at another path sets nothing free."""
    known = Rules(tuple(listed), PLACES)
    for place in NAMES:
        both = may_go(known, one, place, DAY) and may_go(known, two, place, DAY)
        assert may_go(known, (one, two), place, DAY) == both


@given(st.lists(rules(), max_size=3), st.lists(rules(), max_size=3))
def test_no_permission_that_is_new_goes_unsaid(one: list[Rule], two: list[Rule]) -> None:
    """Where nothing is said to be loosened, nothing may go where it might not before."""
    before, after = Rules(tuple(one), PLACES), Rules(tuple(two), PLACES)
    if loosened(before, after, PATHS):
        return
    for path in PATHS:
        for place in NAMES:
            assert may_go(before, path, place, DAY) or not may_go(after, path, place, DAY)


@pytest.mark.parametrize(
    ("word", "allowed", "place", "may"),
    [
        ("public", None, None, True),
        ("internal", None, "hub", True),
        ("internal", ["north"], "hub", False),
        ("confidential", None, "hub", False),
        ("confidential", ["*"], "hub", True),
        ("confidential", ["*"], None, False),
        ("secret", ["*"], "hub", False),
        ("secret", ["hub"], "hub", True),
    ],
)
def test_a_class_decides_where_nothing_else_is_said(
    word: str, allowed: list[str] | None, place: str | None, may: bool
) -> None:
    """Confidential data go where a rule names, secret ones where it names in full."""
    rule = Rule(("data",), word, allowed=None if allowed is None else tuple(allowed))  # type: ignore[arg-type]
    assert may_go(Rules((rule,), PLACES), "data/a", place, DAY) == may


def test_a_forbidden_place_may_not_hide_behind_no_name() -> None:
    """A place that nobody described may be the one that is forbidden."""
    known = Rules((Rule(("data",), "internal", forbidden=("south",)),), PLACES)
    assert may_go(known, "data/a", "hub", DAY)
    assert not may_go(known, "data/a", None, DAY)


def test_nothing_goes_anywhere_after_its_last_day() -> None:
    """The last day itself still counts."""
    known = Rules((Rule(("data",), "public", expires=DAY),), PLACES)
    assert may_go(known, "data/a", "hub", DAY)
    reason = why_not(known.rule_for("data/a"), "hub", DAY + timedelta(days=1))
    assert reason == "its time ended on 2026-11-21"


def test_a_public_place_holds_public_data_only() -> None:
    """Whatever the rule allows the place for the rest."""
    for word in CLASSES:
        known = Rules((Rule(("data",), word, allowed=("hub",)),), PLACES)
        assert may_go(known, "data/a", "hub", DAY, "public") == (word == "public")
        assert may_go(known, "data/a", "hub", DAY, "internal") == (word in ("public", "internal"))
        assert may_go(known, "data/a", "hub", DAY, "private")


@pytest.mark.parametrize(
    ("pattern", "path", "hit"),
    [
        ("data", "data/a/b", True),
        ("data", "database", False),
        ("data/*", "data/a/b", True),
        ("data/*.csv", "data/a.csv", True),
        ("data/*.csv", "data/b/a.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "x/y/a.csv", True),
        ("data/**/raw", "data/raw/1", True),
        ("data/**/raw", "data/a/b/raw", True),
        ("data/?.csv", "data/ab.csv", False),
        ("DATA/Patients", "data/patients/1", True),
        ("data/a.csv", "data/axcsv", False),
        ("data/\u00e9", "data/e\u0301/1", True),
    ],
)
def test_patterns_mean_what_people_expect(pattern: str, path: str, hit: bool) -> None:
    """Stars stay within a name, folders mean all in them, spelling by case counts as equal."""
    assert Rule((pattern,), "public").matches(path) == hit


def test_a_place_is_found_by_what_git_and_git_annex_call_it() -> None:
    """An address that only begins alike, or leads out of it, is another place."""
    known = Rules((), PLACES)
    assert known.place_of(annex="11111111-2222-3333-4444-555555555555") == "north"
    assert known.place_of(address="https://hub.example.org/wear.git") == "hub"
    assert known.place_of(address="https://hub.example.org.example.com/wear.git") is None
    assert known.place_of(address="/srv/south/../north") is None
    assert known.place_of(address="") is None


GOOD = """
[project]
name = "wear"
[places.hub]
address = "https://hub.example.org"
[places.north]
annex = ["11111111-2222-3333-4444-555555555555"]
[[data]]
paths = ["data/patients"]
except = ["data/patients/README.md"]
confidentiality = "confidential"
purpose = "Wear of molars"
allowed = ["hub", "n*"]
required = ["north"]
expires = 2027-12-31
"""


def test_rules_are_read() -> None:
    """Each word of them."""
    known = read_rules(GOOD.encode())
    found = known.rule_for("data/patients/1.csv")
    assert (found.confidentiality, found.closed) == ("confidential", True)
    assert found.purposes == ("Wear of molars",)
    assert found.required == ("north",)
    assert found.expires == date(2027, 12, 31)
    assert not known.rule_for("data/patients/README.md").rules


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ('"confidential"', '"private"', "confidentiality"),
        ("purpose", "purpos", "purpos"),
        ('["data/patients"]', '["../data"]', "no pattern"),
        ('["data/patients"]', '["/data"]', "no pattern"),
        ('["data/patients"]', '["data/a**"]', "stands alone"),
        ('["data/patients"]', "[]", "paths"),
        ('["hub", "n*"]', '["hubb"]', "There is no place 'hubb'"),
        ('["north"]', '["south"]', "There is no place 'south'"),
        ('["hub", "n*"]', '["hub"]', "must keep a copy, and may not have one"),
        ("2027-12-31", '"soon"', "expires"),
        ('["11111111-2222-3333-4444-555555555555"]', '["x y"]', "annex"),
        ("[[data]]", "[data]", "data"),
        ("[places.hub]", "[places.Hub]", "not a name for a place"),
        ("[[data]]", "[[data]", "not acceptable"),
    ],
)
def test_what_is_not_understood_is_refused(was: str, becomes: str, complaint: str) -> None:
    """By file and key: a rule with a slip of the pen must not be taken for none."""
    assert was in GOOD
    with pytest.raises(Refused, match=complaint):
        read_rules(GOOD.replace(was, becomes).encode())


def test_one_repository_is_one_place() -> None:
    """Or else two rules would speak of the same copies in different words."""
    twice = GOOD + '[places.south]\nannex = ["11111111-2222-3333-4444-555555555555"]\n'
    with pytest.raises(Refused, match="already"):
        read_rules(twice.encode())
