"""Names that other systems cannot hold never come into a project."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.errors import Refused
from branchline.project.adding import check_link
from branchline.project.names import check_names, why_not

BAD = {
    "con": "reserved",
    "data/NUL.txt": "reserved",
    "LPT1": "reserved",
    "com1.tar.gz": "reserved",
    "a:b": "':'",
    "what?.csv": "'?'",
    "x/trailing. /y": "blank at the end",
    "dot.": "blank at the end",
    "new\nline": "control",
    "bell\x07": "control",
    "\u202eexe.txt": "control",
    "data/.git/config": ".git",
    ".GIT": ".git",
    ".git . ": ".git",
    "git~1": ".git",
    ".g\u200cit/x": ".git",
    ".git::$INDEX_ALLOCATION": ".git",
    "../up": "..",
    "/etc/passwd": "does not begin",
    "a//b": "empty part",
    "\udcff": "UTF-8",
    "x" * 256: "bytes",
    "/".join(["long"] * 300): "bytes",
}


@pytest.mark.parametrize("path", BAD)
def test_a_bad_name_is_refused_with_its_reason(path: str) -> None:
    """The sentence says why, and stays on one line whatever the name holds."""
    with pytest.raises(Refused, match="cannot be kept") as refused:
        check_names([path])
    assert BAD[path] in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("new", "present"),
    [
        (["Data/x"], ["data/y"]),
        (["readme.md"], ["README.md"]),
        (["a/B/c", "a/b/d"], []),
        (["stra\u00dfe"], ["STRASSE"]),
        (["e\u0301.txt"], ["\u00e9.txt"]),
    ],
)
def test_names_that_some_systems_cannot_tell_apart_are_refused(
    new: list[str], present: list[str]
) -> None:
    """Case, spelling in Unicode, and folders on the way count."""
    with pytest.raises(Refused, match="cannot tell its name"):
        check_names(new, present)


@pytest.mark.parametrize(
    "path", ["données/été.csv", "code/a b.py", ".gitignore", "console.log", "git~12", "日本/語"]
)
def test_good_names_are_kept(path: str) -> None:
    """Blanks inside, other scripts and harmless likenesses are fine."""
    check_names([path], [path])


@given(st.text(min_size=1, max_size=30))
def test_the_short_way_says_what_the_long_one_says(text: str) -> None:
    """Whatever passes has none of the marks that are never held."""
    if why_not(text) is None:
        assert not set('<>:"|?*\\\0\n') & set(text)
        assert all(part.strip(". ") and part.casefold() != ".git" for part in text.split("/"))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "../.git/config", "a/../../../x"])
def test_links_that_lead_out_are_refused(target: str) -> None:
    """They would mean another thing on another machine."""
    with pytest.raises(Refused, match="leads out"):
        check_link("data/link", target)


def test_links_within_the_project_are_kept() -> None:
    """Up and down again is no way out."""
    check_link("data/link", "../code/x.py")
