"""Which of a machine's sources count for a lock."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.lock.debian.sources import (
    Source,
    choose,
    parse_list,
    parse_sources,
)
from branchline.foundation.errors import Corrupt, Refused

DEBIANS = "/usr/share/keyrings/debian-archive-keyring.gpg"
LIST = """\
# a comment
deb http://mirror.example/debian bookworm main contrib # why
deb [arch=amd64 signed-by=/k/debian-archive-keyring.gpg] http://mirror.example/debian bookworm-updates main
deb [arch=arm64] http://arm.example/debian bookworm main
deb [trusted=yes] http://unsigned.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb http://vendor.example/apt stable extra
deb http://flat.example/ ./
deb http://broken.example 'quoted
deb [ signed-by=/k/debian-archive-keyring.gpg ] http://mirror.example/security/ bookworm-security main
"""
STANZAS = f"""\
Types: deb deb-src
URIs: http://one.example/debian http://two.example/debian/
Suites: bookworm bookworm-updates
Components: main non-free
Signed-By: {DEBIANS}

# off
Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://key.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 AAAA
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_one_line_sources_are_read() -> None:
    """Comments, other architectures, unsigned and flat sources stay out."""
    assert list(parse_list(LIST, "amd64")) == [
        Source("http://mirror.example/debian/", "bookworm"),
        Source(
            "http://mirror.example/debian/", "bookworm-updates", "/k/debian-archive-keyring.gpg"
        ),
        Source(
            "http://mirror.example/security/", "bookworm-security", "/k/debian-archive-keyring.gpg"
        ),
    ]


def test_sources_in_stanzas_are_read() -> None:
    """Every mirror with every suite; what is switched off is off; keys may stand in the text."""
    found = list(parse_sources(STANZAS, "a file", "amd64"))
    assert [(s.uri, s.suite) for s in found] == [
        ("http://one.example/debian/", "bookworm"),
        ("http://one.example/debian/", "bookworm-updates"),
        ("http://two.example/debian/", "bookworm"),
        ("http://two.example/debian/", "bookworm-updates"),
        ("http://key.example/debian/", "bookworm"),
    ]
    assert found[0].signed_by == DEBIANS
    assert found[-1].signed_by.startswith("-----BEGIN PGP")
    with pytest.raises(Corrupt, match="a file, line 1"):
        list(parse_sources("nonsense", "a file", "amd64"))


def test_a_suite_is_taken_with_its_updates_and_security() -> None:
    """Backports and vendors stay out, in whatever order the machine has them."""
    everything = [
        Source("http://v/", "stable", "/etc/apt/keyrings/vendor.gpg"),
        Source("http://m/", "bookworm-backports", DEBIANS),
        Source("http://s/", "bookworm-security", DEBIANS),
        Source("http://m/", "bookworm-updates", DEBIANS),
        Source("http://m/", "bookworm", DEBIANS),
        Source("http://m/", "bookworm", DEBIANS),
        Source("http://vendor/", "bookworm", "/etc/apt/keyrings/vendor.gpg"),
    ]
    assert choose(everything, "bookworm") == (
        Source("http://m/", "bookworm", DEBIANS),
        Source("http://m/", "bookworm-updates", DEBIANS),
        Source("http://s/", "bookworm-security", DEBIANS),
    )


def test_a_mirror_under_another_key_counts_where_it_is_the_only_one() -> None:
    """A hospital's mirror may sign with its own key."""
    own = Source("http://inside/", "bookworm", "/etc/apt/keyrings/hospital.gpg")
    assert choose([own], "bookworm") == (own,)


def test_another_suite_comes_from_the_mirror_at_hand() -> None:
    """A machine of bookworm locks trixie: the same mirror, the other name."""
    machine = [
        Source("http://m/", "bookworm", DEBIANS),
        Source("http://s/", "bookworm-security", DEBIANS),
    ]
    assert choose(machine, "trixie") == (
        Source("http://m/", "trixie", DEBIANS),
        Source("http://s/", "trixie-security", DEBIANS),
    )


def test_a_machine_without_debian_is_told() -> None:
    """A vendor's sources alone are no mirror of Debian."""
    with pytest.raises(Refused, match="knows no mirror of Debian"):
        choose([Source("http://v/", "nodistro")], "bookworm")


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_read_or_refused(line: str, stanza: str) -> None:
    """A configuration file of whatever content ends in sources or in one sentence."""
    assert all(source.uri for source in parse_list(f"deb {line}", "amd64"))
    with suppress(Corrupt):
        list(parse_sources(stanza, "a file", "amd64"))
