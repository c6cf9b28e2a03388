"""Every trap in repo2docker's rules: what it does, checked, and the sentence said here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.environment.spec.oracle import Oracle, ours
from tests.environment.spec.trees import Files, write_tree

from branchline.environment.spec import SpecRefused

REFUSED = "refused"


@dataclass(frozen=True)
class Trap:
    """One trap.

    Args:
        files: The tree.
        theirs: What repo2docker makes of it: (winner, Python's version), or that it refuses.
        ours: The same of ours, where it differs.
        said: A part of what is told: of the refusal, of a note, or of why it cannot be locked.
    """

    files: Files
    theirs: tuple[str, str | None] | str
    said: str = ""
    ours: tuple[str, str | None] | str = field(default="")


def _runtime(text: str, theirs: tuple[str, str | None] | str, said: str) -> Trap:
    return Trap({"runtime.txt": text}, theirs, said)


def _conda(spec: str, theirs: tuple[str, str | None] | str, said: str = "") -> Trap:
    return Trap({"environment.yml": f"dependencies:\n  - {spec}\n"}, theirs, said)


def _apt(line: str, theirs: tuple[str, str | None] | str, said: str, own: str = "") -> Trap:
    return Trap({"apt.txt": line}, theirs, said, own)


PLAIN = ("default", "3.10")
_PIPFILE = '[packages]\nsix = "*"\n'

TRAPS = {
    "R without a date": Trap(
        {"runtime.txt": "r-4.1", "requirements.txt": "six"}, PLAIN, "R needs a date, as in r-4.1-"
    ),
    "julia in runtime.txt": _runtime("julia-1.6", PLAIN, "asks for 'julia'.*Project.toml"),
    "a capital": _runtime("Python-3.9", PLAIN, "asks for 'Python'.*lower case"),
    "three numbers": _runtime("python-3.9.1", REFUSED, "asks for Python '3.9.1'.*form x.y"),
    "no name": _runtime("3.9", REFUSED, "'3.9'; it must say a name"),
    "empty": _runtime("", REFUSED, "is empty"),
    "three parts": _runtime("python-3.9-1", REFUSED, "a version, a date, or both"),
    "no name beside conda": Trap(
        {"runtime.txt": "3.9", "environment.yml": "dependencies: []"}, REFUSED, "must say a name"
    ),
    "two lines": _runtime("python-3.9\nmore", REFUSED, r"asks for Python '3.9\\nmore'"),
    "Python 4": _runtime("python-4", REFUSED, "asks for Python '4'"),
    "Python 3": _runtime("python-3", ("Python", "3.10"), "Python 3; that is read as 3.10"),
    "Python 2": _runtime("python-2", ("Python", "2.7"), "Python 2; that is read as 2.7"),
    "a date alone": _runtime("python-2020-01-01", ("Python", "3.10"), "date 2020-01-01 has no eff"),
    "version and date": _runtime("python-3.9-2020-01-01", ("Python", "3.9"), "date 2020-01-01"),
    "Python 3.4": _runtime("python-3.4", REFUSED, "asks for Python '3.4'"),
    "conda's 3.4": _conda("python=3.4", REFUSED, "asks for Python '3.4'"),
    "conda's least": _conda("python>=3.8", ("Conda", "3.10"), "'python>=3.8', of which Binder"),
    "conda's most": _conda("python<=3.9", ("Conda", "3.10"), "reads no version and takes 3.10"),
    "conda's space": _conda("python 3.9", ("Conda", "3.10"), "write python=x.y"),
    "conda's channel": _conda("conda-forge::python=3.9", ("Conda", "3.10"), "write python=x.y"),
    "conda's three numbers": _conda("python=3.9.1", ("Conda", "3.9")),
    "conda's star": _conda("python=3.9.*", ("Conda", "3.9")),
    "an empty environment.yml": Trap({"environment.yml": ""}, ("Conda", "3.10")),
    "a list": Trap({"environment.yml": "- six"}, REFUSED, "must hold one mapping"),
    "no dependencies": Trap(
        {"environment.yml": "dependencies:"}, REFUSED, "dependencies that are not a list"
    ),
    "yml and yaml": Trap(
        {
            "environment.yml": "dependencies: [python=3.8]",
            "environment.yaml": "dependencies: [python=3.9]",
        },
        ("Conda", "3.8"),
        "environment.yaml has no effect: environment.yml counts before it",
    ),
    "conda and requirements": Trap(
        {"environment.yml": "dependencies: []", "requirements.txt": "six"},
        ("Conda", "3.10"),
        "requirements.txt has no effect: environment.yml alone counts",
    ),
    "Pipfile vetoed": Trap(
        {"Pipfile": _PIPFILE, "runtime.txt": "r-4.1"},
        PLAIN,
        "Pipfile has no effect: runtime.txt asks for something other",
    ),
    "Pipfile before runtime.txt": Trap(
        {
            "Pipfile": _PIPFILE + '[requires]\npython_version = "3.8"\n',
            "runtime.txt": "python-3.7",
        },
        ("Pipfile", "3.8"),
        "runtime.txt has no effect: the Pipfile alone chooses",
    ),
    "install.R alone": Trap(
        {"install.R": 'install.packages("glue")'}, PLAIN, "install.R has no effect: only R projects"
    ),
    "a project that is no package": Trap(
        {"pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.12"\n'},
        ("default", "3.14"),
        r"no \[build-system\], so neither the folder nor what it depends on is installed",
    ),
    "pyproject.toml that is no TOML": Trap(
        {"pyproject.toml": "[project]\nname = \n"}, REFUSED, "pyproject.toml, line 2, is not TOML"
    ),
    "Dockerfile is a folder": Trap({"Dockerfile": None}, REFUSED, "Dockerfile is a folder"),
    "requirements.txt is a folder": Trap(
        {"requirements.txt": None}, REFUSED, "requirements.txt is a folder"
    ),
    "the first Binder, in lower case": Trap(
        {"Dockerfile": "from andrewosh/binder-base\n"}, ("Docker", None), "cannot be locked"
    ),
    "the first Binder": Trap(
        {"Dockerfile": "FROM andrewosh/binder-base\n"}, REFUSED, "not been built since 2020"
    ),
    "both folders": Trap(
        {"binder/apt.txt": "", ".binder/apt.txt": ""}, REFUSED, "both binder and .binder"
    ),
    "apt's capital": _apt("Curl", REFUSED, "line 1, says 'Curl'"),
    "apt's version": _apt("curl=7.1", PLAIN, ""),
    "apt's option": _apt("--allow-unauthenticated", PLAIN, "not a Debian package", REFUSED),
    "apt's injection": _apt("less\ncurl; echo x", PLAIN, "line 2, says 'curl; echo x'", REFUSED),
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_told_in_one_sentence(name: str, oracle: Oracle, tmp_path: Path) -> None:
    """repo2docker does what the table says, and ours the same, or what the table says of ours."""
    trap = TRAPS[name]
    tree = write_tree(tmp_path, trap.files)
    theirs, own = oracle.ask(tree), ours(tree)
    if trap.theirs == REFUSED:
        assert "refused" in theirs
    else:
        assert (theirs["winner"], theirs["python"]) == trap.theirs
    if (trap.ours or trap.theirs) == REFUSED:
        assert isinstance(own, SpecRefused)
        assert re.search(trap.said, str(own))
        assert "\n" not in str(own)
        return
    assert not isinstance(own, SpecRefused)
    assert (own.winner, own.language_version) == (trap.ours or trap.theirs)
    told = [*own.notes, *own.unsupported]
    assert any(re.search(trap.said, sentence) for sentence in told) or not trap.said


def test_a_version_of_a_debian_package_goes_into_the_lock(tmp_path: Path) -> None:
    """What may stand in apt.txt comes out as it is, sorted, once, without comments."""
    text = "  zlib1g:amd64=1:1.2.13.dfsg-1 # why\ncurl=7.1\n\n#all\ncurl=7.1\r\ng++\n"
    own = ours(write_tree(tmp_path, {"apt.txt": text}))
    assert not isinstance(own, SpecRefused)
    assert own.debian == ("curl=7.1", "g++", "zlib1g:amd64=1:1.2.13.dfsg-1")
