"""Stanzas, and look-ups in package indexes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.lock.debian.deb822 import Index, stanza, stanzas
from branchline.foundation.errors import Corrupt

_NAMES = st.from_regex(r"\A[A-Za-z][A-Za-z-]{0,8}\Z")
_LINES = st.from_regex(r"\A[a-z0-9.:,][a-z0-9 .:,]{0,12}[a-z0-9]\Z")
_VALUES = st.lists(_LINES, min_size=1, max_size=3)
_STANZAS = st.lists(
    st.dictionaries(_NAMES.map(str.lower), _VALUES, min_size=1, max_size=4), max_size=4
)

PACKAGES = b"""\
Package: jq
Version: 1.6
Provides: json-tool (= 1.6), other
Filename: pool/j/jq.deb

Package: jqp
Version: 2
Essential: yes
Provides: json-tool-extra

Package: jq
Version: 1.7
Essential: no
"""


@given(_STANZAS)
def test_stanzas_read_back(written: list[dict[str, list[str]]]) -> None:
    """What is written in the format is read from it, line breaks included."""
    text = "\n".join(
        "".join(f"{name.title()}: " + "\n ".join(lines) + "\n" for name, lines in fields.items())
        for fields in written
    )
    expected = [{name: "\n".join(lines) for name, lines in fields.items()} for fields in written]
    assert list(stanzas(text, "a text")) == expected


@given(st.text(max_size=200))
def test_other_texts_are_read_or_refused(text: str) -> None:
    """Nothing but a sentence comes of a text that is no stanza."""
    with suppress(Corrupt):
        list(stanzas(text, "a text"))


def test_comments_are_left_out_and_doubles_refused() -> None:
    """A field that stands twice has no value."""
    assert stanza("# no\nA: 1\n# no\nB:\n two\n", "a text") == {"a": "1", "b": "\ntwo"}
    with pytest.raises(Corrupt, match="line 2"):
        stanza("A: 1\na: 2\n", "a text")


def test_an_index_is_looked_up_by_exact_names() -> None:
    """Names that begin alike are told apart; every version is found."""
    index = Index(PACKAGES, "an index")
    found = index.find(["jq", "nothing"])
    assert [stanza["version"] for stanza in found["jq"]] == ["1.6", "1.7"]
    assert "nothing" not in found
    assert index.names() == {"jq", "jqp"}
    assert index.essential() == {"jqp"}
    assert index.providers("json-tool") == {"jq"}
    assert index.providers("other") == {"jq"}
    assert index.providers("json") == set()


def test_the_first_stanza_may_be_essential() -> None:
    """An index's first package has nothing before it."""
    assert Index(b"Package: a\nEssential: yes\nVersion: 1\n", "x").essential() == {"a"}
