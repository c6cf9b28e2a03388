"""Only a helper of ours may stand in a repository's own settings, and all of them are looked at."""

from __future__ import annotations

import shlex
import sys

import pytest
from tests.project.conftest import Scene

from branchline.foundation.errors import Refused
from branchline.project.git.settings import check_network

OURS = "!" + shlex.join(
    (sys.executable, "-P", "-m", "branchline", "hub", "credential", "--home", "/a b", "clara/wear")
)
NAME = "credential.https://hub.example.org/hub/clara/wear.helper"


def test_our_own_helper_is_let_be() -> None:
    """It gets tokens, and nothing else does."""
    check_network({NAME: OURS})
    check_network({NAME: ""})


@pytest.mark.parametrize(
    "value", [f"{OURS}; touch x", f"{OURS}\n!touch x", "!touch x", OURS + " $(x)", "store", "!'"]
)
def test_what_is_more_than_our_helper_is_refused(value: str) -> None:
    """Git hands a helper to a shell: whatever follows would be run, too."""
    with pytest.raises(Refused, match="names a program by which others are reached"):
        check_network({NAME: value})


def test_each_of_several_helpers_counts(scene: Scene) -> None:
    """Git calls all helpers of one address, not the last one only."""
    for value in ("", "!touch x", OURS):
        scene.git("config", "--add", NAME, value)
    with pytest.raises(Refused, match="names a program"):
        check_network(scene.project.git.own)
