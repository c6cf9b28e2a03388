"""What people ask for by name, before apt ever sees it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.lock.debian.deb822 import Index
from branchline.environment.lock.debian.requested import Request, parse_requests, settle
from branchline.foundation.errors import Refused

INDEX = Index(
    b"Package: curl\nVersion: 7.88-1\n\nPackage: curl\nVersion: 7.90-1\n\n"
    b"Package: g++\nVersion: 12\nProvides: c++-compiler\n\n"
    b"Package: exim4\nVersion: 4\nProvides: mta\n\nPackage: postfix\nVersion: 3\nProvides: mta\n",
    "an index",
)


def test_requests_are_read_and_joined() -> None:
    """The native architecture may be said; the same package twice is one request."""
    assert parse_requests(["curl:amd64", "g++", "curl=7.90-1"], "amd64") == (
        Request("curl", "7.90-1"),
        Request("g++"),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("curl; rm -rf /", "not a Debian package"),
        ("--allow-unauthenticated", "not a Debian package"),
        ("Curl", "not a Debian package"),
        ("curl\nwget", "not a Debian package"),
        ("curl=7.*", "not a Debian package"),
        ("task^", "not a Debian package"),
        ("curl:i386", "asks for the architecture i386"),
    ],
)
def test_anything_else_is_refused(text: str, why: str) -> None:
    """Options, shell's signs, patterns and foreign architectures get one sentence."""
    with pytest.raises(Refused, match=why):
        parse_requests([text], "amd64")


def test_two_versions_of_one_package_contradict_each_other() -> None:
    """A package has one version."""
    with pytest.raises(Refused, match="two versions"):
        parse_requests(["curl=1", "curl=2"], "amd64")


@given(st.text(max_size=60))
def test_what_is_accepted_is_a_name_and_nothing_more(text: str) -> None:
    """Whatever people write, only names and versions get through."""
    try:
        (request,) = parse_requests([text], "amd64")
    except Refused:
        return
    assert not request.word.startswith("-")
    assert not set(request.word) & set(" ;|&$`'\"\n\t*?[]^/\\")


def test_names_are_looked_up_exactly() -> None:
    """apt would read 'g+' as a pattern and 'curl-' as a wish to remove; here both are unknown."""
    assert settle([Request("g++"), Request("curl", "7.88-1")], [INDEX], "bookworm")[1] == ()
    for name in ("g+", "curl-", "cur."):
        with pytest.raises(Refused, match=f"has no package {name.replace('+', '[+]')}"):
            settle([Request(name)], [INDEX], "bookworm")


def test_unknown_names_and_versions_say_what_there_is() -> None:
    """A near name, or the versions at hand."""
    with pytest.raises(Refused, match="one of these meant: curl"):
        settle([Request("crul")], [INDEX], "bookworm")
    with pytest.raises(Refused, match=r"has curl 7\.90-1, 7\.88-1, not 7\.1"):
        settle([Request("curl", "7.1")], [INDEX], "bookworm")


def test_a_name_that_one_package_provides_stands_for_it() -> None:
    """With several providers a person has to choose."""
    requests, notes = settle([Request("c++-compiler")], [INDEX], "bookworm")
    assert requests == (Request("g++"),)
    assert notes == ("c++-compiler is provided by g++",)
    with pytest.raises(Refused, match="any of exim4, postfix"):
        settle([Request("mta")], [INDEX], "bookworm")
