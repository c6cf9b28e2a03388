"""Each difference in the table is as the table says, and the page shows the table."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.docs.pages import DOCS
from tests.environment.spec.oracle import Oracle, differing, ours
from tests.environment.spec.trees import Files, write_tree

from branchline.environment.spec import SpecRefused
from branchline.environment.spec.differences import DIFFERENCES, Difference, Kind

PAGE = DOCS / "reference" / "environment-specs.md"
BY_KEY = {each.key: each for each in DIFFERENCES}


def _env(text: str) -> Files:
    return {"environment.yml": text}


EXAMPLES: dict[str, list[Files]] = {
    "apt-shell": [{"apt.txt": "curl; echo x"}, {"apt.txt": "curl`id`"}, {"apt.txt": "curl\\"}],
    "apt-option": [{"apt.txt": "--allow-unauthenticated"}, {"apt.txt": "-y"}],
    "apt-several": [{"apt.txt": "curl wget"}],
    "requirements-line": [
        {"requirements.txt": "numpy=1.2"},
        {"requirements.txt": "--what"},
        {"requirements.txt": "-r 'x"},
    ],
    "requirements-reference": [
        {"requirements.txt": "-r absent.txt"},
        {"requirements.txt": "-c ../outside.txt"},
    ],
    "requirements-encoding": [
        {"requirements.txt": b"caf\xe9"},
        {"requirements.txt": b"# coding: koi8-r\ncaf\xe9"},
        {"requirements.txt": b"# coding: ascii\ncaf\xe9"},
    ],
    "environment-form": [
        _env("dependencies: six"),
        _env("dependencies: [1]"),
        _env("dependencies: [{conda: [x]}]"),
        _env("dependencies: [{pip: x}]"),
        _env("channels: x"),
        _env("channels: [1]"),
    ],
    "environment-spec": [_env("dependencies: ['six; x']"), _env("dependencies: ['']")],
    "environment-yaml": [
        _env("dependencies: [!x six]"),
        _env("<<: {dependencies: [six]}"),
        _env("1: 2"),
        _env("a: &a [*a]"),
    ],
    "environment-bomb": [_env("a: " + "[" * 20 + "]" * 20)],
    "folder": [
        {name: None}
        for name in ("setup.py", "postBuild", "start", "default.nix", "REQUIRE", "DESCRIPTION")
    ],
    "size": [{"apt.txt": "a" * 10_001}, {"apt.txt": "\n" * 20_001}, {"apt.txt": "#\n" * (1 << 20)}],
    "runtime-date": [{"runtime.txt": "r-2024-05-01T00"}],
    "runtime-r": [{"runtime.txt": "r-a.b.c-2024-05-01"}],
    "description-runtime": [{"DESCRIPTION": "Package: x", "runtime.txt": "python-3.6"}],
    "r-form": [
        {"DESCRIPTION": "Imports: a b"},
        {"DESCRIPTION": "no field"},
        {"install.R": "'", "runtime.txt": "r-2024-05-01"},
        {"install.R": b"\xff", "runtime.txt": "r-2024-05-01"},
    ],
    "pipfile-form": [
        {"Pipfile": "[packages]\nsix = 1"},
        {"Pipfile": "packages = 1"},
        {"Pipfile.lock": '{"default": {"six": {"version": "one"}}}'},
    ],
    "toml-lax": [{"Pipfile": "a=1 b=2"}],
    "toml-strict": [{"Pipfile": "a = [1, 'x']"}],
    "pyproject-form": [
        {"pyproject.toml": "project = 'x'"},
        {"pyproject.toml": "[project]\ndependencies = ['a b']"},
        {"pyproject.toml": "[", "setup.py": "", "runtime.txt": "r-2"},
    ],
    "julia-unmet": [{"Project.toml": "[compat]\njulia = '99'"}],
    "julia-form": [{"Project.toml": "[compat]\njulia = '1.6.0.1'"}, {"Project.toml": "deps = 1"}],
    "julia-lists": [
        {"REQUIRE": "what is this?"},
        {"Project.toml": "", "Manifest.toml": "Plots = 1"},
    ],
    "r-without-date": [{"runtime.txt": "r-4.1"}],
    "runtime-word": [{"runtime.txt": "julia-1.6"}, {"runtime.txt": "Python-3.9"}],
    "requirements-source": [
        {"requirements.txt": line}
        for line in (
            "-i https://index.invalid",
            "--extra-index-url=https://index.invalid",
            "-f wheels",
            "-e .",
            "git+https://git.invalid/x",
            "./here",
            "x.whl",
            "x @ https://files.invalid/x.whl",
            "--pre",
            "--no-binary :all:",
            "${PACKAGE}",
        )
    ],
    "pipfile-source": [
        {"Pipfile": "[packages]\nsix = {git = 'https://git.invalid'}"},
        {"Pipfile": "[[source]]\nname = 'own'\nurl = 'https://index.invalid'"},
        {"Pipfile": "[packages]\nsix = {version = '*', index = 'own'}"},
    ],
    "package": [
        {"setup.py": ""},
        {"pyproject.toml": "[project]\nname = 'x'\n[build-system]"},
        {"DESCRIPTION": "Package: x"},
    ],
    "conda": [_env("dependencies: [six]")],
    "r-packages": [{"runtime.txt": "r-2024-05-01"}],
    "post-build": [{"postBuild": ""}],
    "old-python": [{"runtime.txt": "python-3.6", "requirements3.txt": ""}],
    "languages": [{"Project.toml": ""}, {"REQUIRE": ""}, {"default.nix": ""}],
    "dockerfile": [{"Dockerfile": ""}],
}
"""Trees that show each difference; those that are no trees of files have tests of their own."""

CASES = [(key, files) for key, trees in EXAMPLES.items() for files in trees]


@pytest.mark.parametrize(
    ("key", "files"), CASES, ids=[f"{k}-{i}" for i, (k, _) in enumerate(CASES)]
)
def test_the_two_differ_as_the_table_says(
    key: str, files: Files, oracle: Oracle, tmp_path: Path
) -> None:
    """Refused by one of the two, or detected alike and then not to be locked."""
    difference = BY_KEY[key]
    tree = write_tree(tmp_path, files)
    theirs, own = oracle.ask(tree), ours(tree)
    if difference.kind is Kind.REFUSED:
        assert "refused" not in theirs
        assert isinstance(own, SpecRefused)
        assert own.reason in difference.reasons
        assert len(str(own)) < 400
        assert "\n" not in str(own)
        return
    assert not isinstance(own, SpecRefused)
    if difference.kind is Kind.ACCEPTED:
        assert "refused" in theirs
    else:
        assert differing(theirs, own) == {}
        assert own.unsupported or own.from_channels


def _link_outside(tree: Path) -> None:
    (tree.parent / "outside.txt").write_text("six\n")
    (tree / "requirements.txt").symlink_to("../outside.txt")


def _link_nowhere(tree: Path) -> None:
    (tree / "requirements.txt").symlink_to("absent.txt")


@pytest.mark.parametrize(
    ("key", "make"), [("link-outside", _link_outside), ("link-nowhere", _link_nowhere)]
)
def test_links_out_of_the_folder(
    key: str, make: Callable[[Path], None], oracle: Oracle, tmp_path: Path
) -> None:
    """repo2docker follows a link anywhere; here it must end in the folder."""
    tree = write_tree(tmp_path / "tree", {})
    make(tree)
    assert "refused" not in oracle.ask(tree)
    refused = ours(tree)
    assert isinstance(refused, SpecRefused)
    assert refused.reason in BY_KEY[key].reasons


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe under a spec file's name is refused at once."""
    os.mkfifo(tmp_path / "apt.txt")
    refused = ours(tmp_path)
    assert isinstance(refused, SpecRefused)
    assert refused.reason in BY_KEY["pipe"].reasons


def test_aliases_are_counted_before_anything_is_made_of_them(tmp_path: Path) -> None:
    """A few lines that stand for a thousand million values are refused."""
    lines = ["a0: &a0 [" + ", ".join(["x"] * 10) + "]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    refused = ours(write_tree(tmp_path, _env("\n".join(lines))))
    assert isinstance(refused, SpecRefused)
    assert refused.reason in BY_KEY["environment-bomb"].reasons


def test_every_difference_has_an_example() -> None:
    """No line of the table goes untested."""
    assert {*EXAMPLES, "link-outside", "link-nowhere", "pipe"} == set(BY_KEY)


def row(difference: Difference) -> str:
    """Return a difference's line in the page."""
    return f"| {difference.given} | {difference.theirs} | {difference.ours} |"


def test_the_page_shows_the_table() -> None:
    """The reference page has exactly the rows of the table, in their order, by their kinds."""
    text = PAGE.read_text("utf-8")
    for kind in Kind:
        section = text.split(f"<!-- differences: {kind} -->\n", 1)[1].split("\n\n", 1)[0]
        assert section.splitlines()[2:] == [row(d) for d in DIFFERENCES if d.kind is kind]
