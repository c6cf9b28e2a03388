"""What is to be locked: what files ask for, and what a person decides."""

from __future__ import annotations

import msgspec
import pytest
from tests.environment.lock.samples import SMALL

from branchline.environment.lock.model import Lock, SpecPart
from branchline.environment.lock.suites import RECIPE, SUITES, suite_named
from branchline.environment.lock.wanted import BY_HAND, Options, decide, remembering
from branchline.environment.spec import Detected, Suggestion
from branchline.foundation.errors import Refused


def lock_of(suite: str, *differences: str) -> Lock:
    """Return a lock of a suite that states some differences."""
    debian = msgspec.structs.replace(SMALL.debian, suite=suite)
    spec = msgspec.structs.replace(SMALL.spec, differences=differences)
    return msgspec.structs.replace(SMALL, debian=debian, spec=spec)


def test_nothing_asked_for_is_the_first_suite_with_the_runtime() -> None:
    """The runner inside a train's sandbox needs numpy and pyarrow."""
    wanted = decide(None, Options(), None)
    assert (wanted.winner, wanted.suite.name) == (BY_HAND, "bookworm")
    assert wanted.python.more == ("numpy", "pyarrow")
    assert not decide(None, Options(runtime=False), None).has_python


def test_files_and_hands_are_added_up() -> None:
    """What a person adds comes to what the files ask for, each once."""
    asked = Detected(winner="Python", python=("six>=1",), debian=("jq",), constraints=("six<2",))
    wanted = decide(asked, Options(with_python=("six>=1", "attrs"), with_debian=("curl",)), None)
    assert wanted.python.requirements == ("six>=1", "attrs")
    assert wanted.python.constraints == ("six<2",)
    assert wanted.debian == ("curl", "jq")


@pytest.mark.parametrize(
    ("asked", "options", "before", "suite", "difference"),
    [
        ({}, {}, "", "bookworm", ()),
        ({}, {}, "trixie", "trixie", ()),
        ({}, {"suite": "trixie"}, "bookworm", "trixie", ()),
        (
            {},
            {"newest": "2025-01-01"},
            "",
            "bookworm",
            ("Python packages published after 2025-01-01T00:00:00 were left out",),
        ),
        ({"python_version": "3.13"}, {}, "", "trixie", ()),
        ({"python_version": "3.11"}, {}, "", "bookworm", ()),
        ({"requires_python": ">=3.9"}, {}, "", "bookworm", ()),
        ({"requires_python": ">=3.11.2,<3.12"}, {}, "", "bookworm", ()),
        (
            {"python_version": "3.9"},
            {"python": "3.11"},
            "",
            "bookworm",
            ("Python 3.9 asked for, 3.11 used on purpose",),
        ),
        (
            {"requires_python": "<3.10"},
            {"python": "3.13"},
            "",
            "trixie",
            ("Python <3.10 asked for, 3.13 used on purpose",),
        ),
    ],
)
def test_the_suite_follows_the_python(
    asked: dict[str, str],
    options: dict[str, str],
    before: str,
    suite: str,
    difference: tuple[str, ...],
) -> None:
    """A suite has one Python; another is taken on purpose only, and that is recorded."""
    detected = Detected(winner="Python", **asked)  # type: ignore[arg-type]
    wanted = decide(detected, Options(**options), lock_of(before) if before else None)  # type: ignore[arg-type]
    assert wanted.suite.name == suite
    assert wanted.differences == difference


@pytest.mark.parametrize(
    ("asked", "options", "why"),
    [
        ({"python_version": "3.9"}, {}, "bookworm has Python 3.11 and trixie has Python 3.13"),
        ({"python_version": "3.13"}, {"suite": "bookworm"}, "ith --suite trixie"),
        ({"requires_python": ">=3.14"}, {}, "on purpose with --python 3.11"),
        ({"requires_python": ">=3.12"}, {}, "ith --suite trixie"),
        ({}, {"python": "3.12"}, "bookworm has Python 3.11, not 3.12"),
        ({}, {"suite": "sarge"}, "no images of the Debian suite 'sarge'"),
        ({}, {"newest": "yesterday"}, "'yesterday' is not a date"),
        ({}, {"with_python": ("a b",)}, "not a Python requirement"),
        ({}, {"with_python": ("a @ http://h/a.whl",)}, "by URL"),
    ],
)
def test_what_is_not_to_be_had_is_refused_with_a_way_out(
    asked: dict[str, str], options: dict[str, object], why: str
) -> None:
    """One sentence on what was refused, one on what to do."""
    detected = Detected(winner="Python", **asked)  # type: ignore[arg-type]
    with pytest.raises(Refused, match=why):
        decide(detected, Options(**options), None)  # type: ignore[arg-type]


def test_a_jupyter_server_stays_until_it_is_left_out() -> None:
    """The lock remembers it; nothing of it counts as what a person named."""
    before = lock_of("bookworm")
    spec = msgspec.structs.replace(before.spec, lab=True)
    with_lab = msgspec.structs.replace(before, spec=spec)
    for said, earlier, has in [
        (None, None, False),
        (None, before, False),
        (None, with_lab, True),
        (True, None, True),
        (False, with_lab, False),
    ]:
        wanted = decide(None, Options(lab=said), earlier)
        assert wanted.lab is has
        assert ("jupyterlab" in wanted.python.more) is has
        assert wanted.python.requirements == ()


def test_a_part_of_an_environment_is_never_locked() -> None:
    """What cannot be locked refuses the whole; suggestions are taken with consent only."""
    sentence, other = "install.R needs CRAN", "environment.yml needs a channel"
    suggestion = Suggestion(sentence, "R comes from Debian", debian=("r-base-core",))
    asked = Detected(winner="R", unsupported=(sentence,), suggestions=(suggestion,))
    with pytest.raises(Refused, match="--accept-suggestions: R comes from Debian"):
        decide(asked, Options(), None)
    wanted = decide(asked, Options(accept=True), None)
    assert wanted.debian == ("r-base-core",)
    assert wanted.differences == ("R comes from Debian",)
    beyond = Detected(winner="R", unsupported=(sentence, other), suggestions=(suggestion,))
    with pytest.raises(Refused, match="needs a channel"):
        decide(beyond, Options(accept=True), None)


def test_what_was_agreed_to_once_stays_agreed() -> None:
    """The lock states it; locking again does not ask anew, but for anything else it does."""
    sentence = "install.R needs CRAN"
    suggestion = Suggestion(sentence, "R comes from Debian", debian=("r-base-core",))
    asked = Detected(winner="R", unsupported=(sentence,), suggestions=(suggestion,))
    again = decide(asked, Options(), lock_of("bookworm", "R comes from Debian"))
    assert again.differences == ("R comes from Debian",)
    with pytest.raises(Refused, match="Accept this instead"):
        decide(asked, Options(), lock_of("bookworm", "something else"))
    old = Detected(winner="Python", python_version="3.9")
    stated = "Python 3.9 asked for, 3.11 used on purpose"
    assert decide(old, Options(), lock_of("bookworm", stated)).differences == (stated,)
    with pytest.raises(Refused, match=r"ask for Python 3\.9"):
        decide(old, Options(suite="trixie"), lock_of("bookworm", stated))


def test_what_was_asked_by_hand_is_remembered() -> None:
    """Nothing but the lock remembers it; the same package asked for now goes before."""
    spec = SpecPart(winner=BY_HAND, python=("six==1.16", "attrs"), debian=("jq=1.6", "curl"))
    now = remembering(spec, Options(with_python=("Six",), with_debian=("jq",)))
    assert now.with_python == ("Six", "attrs")
    assert now.with_debian == ("jq", "curl")
    assert remembering(SpecPart(winner="Python", python=("six",)), Options()) == Options()


def test_builder_and_lock_agree_on_the_recipe() -> None:
    """A new lock names the recipe that the builder follows."""
    from branchline.environment.image.recipe import RECIPE as BUILT

    assert RECIPE == BUILT
    assert suite_named("trixie") is SUITES["trixie"]
