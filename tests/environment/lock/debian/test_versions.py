"""The order of versions: the same as dpkg's."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.lock.debian.versions import (
    is_older,
    upstream_of,
    version_key,
    without_rebuild,
)

# Few letters and digits, so that equal beginnings are common.
_PARTS = st.from_regex(r"\A[0-9][01a.+~B]{0,6}\Z")
VERSIONS = st.builds(
    lambda epoch, upstream, revision: epoch + upstream + revision,
    st.sampled_from(["", "", "0:", "1:", "10:"]),
    _PARTS,
    st.sampled_from(["", "-0", "-1", "-1~deb12u1", "-1+b1", "-1-2", "-a"]),
)


def _dpkg(version: str, relation: str, other: str) -> bool:
    words = ["dpkg", "--compare-versions", version, relation, other]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


@given(VERSIONS, VERSIONS)
def test_versions_are_ordered_as_dpkg_orders_them(version: str, other: str) -> None:
    """Whichever two versions: dpkg and we agree which is older, or that neither is."""
    assert is_older(version, other) == _dpkg(version, "lt", other)
    assert (version_key(version) == version_key(other)) == _dpkg(version, "eq", other)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0~rc1-1", "1.0-1"),
        ("1.0-1", "1.0-1+b1"),
        ("2.36-9+deb12u7", "2.36-9+deb12u14"),
        ("9.9-1", "1:0.1-1"),
        ("1.6-2.1", "1.6-2.1+deb12u3"),
        ("5.2.15-2+b8", "5.2.15-2+b10"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0+"),
    ],
)
def test_pairs_that_are_easily_got_wrong(older: str, newer: str) -> None:
    """Tildes, rebuilds, epochs, numbers of two digits."""
    assert is_older(older, newer)
    assert not is_older(newer, older)


def test_no_revision_is_the_revision_nought() -> None:
    """Two ways to write one version."""
    assert version_key("1.0") == version_key("1.0-0") == version_key("0:1.0-0")


def test_parts_of_a_version() -> None:
    """The source's version and the upstream part are told from the rest."""
    assert without_rebuild("5.2.15-2+b8") == "5.2.15-2"
    assert without_rebuild("1.0+b") == "1.0+b"
    assert upstream_of("3.11.2-6+deb12u6") == "3.11.2"
    assert upstream_of("2:1.0-rc1-3") == "1.0-rc1"
    assert upstream_of("20230311") == "20230311"
