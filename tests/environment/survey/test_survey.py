"""The survey: what the dataset's rows mean, what is counted, and how far layers serve."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.environment.spec.trees import write_tree
from tests.environment.survey.dataset import SCHEMA, Entry, write_dataset

from branchline.cli.root import root
from branchline.environment.spec.tree import MAX_FILE, Tree
from branchline.environment.survey import Layer, Report, parse_layer, survey
from branchline.environment.survey.examine import MAX_REMEMBERED, Examiner
from branchline.environment.survey.report import Agreement, Faulty, Used
from branchline.environment.survey.tally import Environments, Tally
from branchline.foundation.digest import digest_of_file
from branchline.foundation.errors import BranchlineError, NotFound, Refused


def of(tmp_path: Path, *entries: Entry, layers: tuple[Layer, ...] = ()) -> Report:
    """Survey a dataset of these entries."""
    path = tmp_path / "binder.sqlite"
    path.unlink(missing_ok=True)
    return survey([write_dataset(path, entries)], layers)


def _root(*names: str) -> dict[str, object]:
    return {"notebook.ipynb": 100, **dict.fromkeys(names, 10)}


PIP = Entry({"pip": b"numpy\nPandas>=1\n"}, _root("requirements.txt"))

ROWS: dict[str, tuple[Entry, str, list[str], list[tuple[str, str]]]] = {
    "the root's files": (PIP, "Python", ["python:numpy", "python:pandas"], []),
    "a folder hides the root": (
        Entry(
            {"pip": b"numpy"},
            {**_root("requirements.txt", "Dockerfile"), "binder": {"requirements.txt": 5}},
        ),
        "Python",
        ["python:numpy"],
        [],
    ),
    "a folder without content": (
        Entry({}, {**_root("requirements.txt"), ".binder": {"requirements.txt": 5}}),
        "Python",
        [],
        [("requirements.txt", "not in the dataset")],
    ),
    "both folders": (
        Entry({"pip": b"numpy"}, {"binder": {}, ".binder": {}}),
        "refused",
        [],
        [("another file", "binder and .binder")],
    ),
    "no listing": (Entry({"pip": b"numpy"}), "Python", ["python:numpy"], []),
    "a listing that is none": (
        Entry({"pip": b"numpy"}, "[1, 2"),
        "Python",
        ["python:numpy"],
        [],
    ),
    "conda, with what PyPI has": (
        Entry(
            {"conda": b"dependencies: [python=3.8, pip, numpy=1.2, gcc, {pip: [Scikit_Learn]}]"},
            _root("environment.yml"),
        ),
        "Conda",
        ["conda:gcc", "python:numpy", "python:scikit-learn"],
        [],
    ),
    "a name the dataset has no column for": (
        Entry({"pip": b"numpy"}, _root("environment.yaml", "requirements.txt")),
        "Conda",
        [],
        [("environment.yaml", "not in the dataset")],
    ),
    "a description of an R package": (
        Entry({"apt": b"curl"}, _root("DESCRIPTION", "apt.txt")),
        "R",
        ["apt:curl"],
        [("DESCRIPTION", "not in the dataset")],
    ),
    "pyproject.toml is of a later time": (
        Entry({"pip": b"numpy"}, _root("requirements.txt", "pyproject.toml")),
        "Python",
        ["python:numpy"],
        [],
    ),
    "a Pipfile": (
        Entry({"pipfile": b'[packages]\nsix = "*"'}, _root("Pipfile")),
        "Pipfile",
        ["python:six"],
        [],
    ),
    "its lock": (
        Entry(
            {"pipfile": b'{"default": {"six": {"version": "==1.16"}}}'},
            _root("Pipfile", "Pipfile.lock"),
        ),
        "Pipfile",
        ["python:six"],
        [("Pipfile", "not in the dataset")],
    ),
    "Julia's first years": (
        Entry({"julia": b"julia 0.6"}, _root("REQUIRE")),
        "JuliaRequire",
        [],
        [],
    ),
    "Julia": (
        Entry({"julia": b'[deps]\nPlots = "9"'}, _root("Project.toml")),
        "JuliaProjectToml",
        ["julia:Plots"],
        [],
    ),
    "R": (
        Entry(
            {"r": b"library(glue)", "runtime": b"r-2024-05-01"}, _root("install.R", "runtime.txt")
        ),
        "R",
        ["r:glue"],
        [],
    ),
    "bytes that are no text": (
        Entry({"pip": b"caf\xe9", "apt": b"curl"}, _root("requirements.txt", "apt.txt")),
        "default",
        ["apt:curl"],
        [("requirements.txt", "not UTF-8")],
    ),
    "a file without effect that cannot be read": (
        Entry({"conda": b"", "pip": b"a b"}, _root("environment.yml", "requirements.txt")),
        "Conda",
        [],
        [("requirements.txt", "not a requirement")],
    ),
    "a file of a terrible length": (
        Entry({"pip": b"#" * (MAX_FILE + 1)}, _root("requirements.txt")),
        "Python",
        [],
        [("requirements.txt", "too large")],
    ),
    "a folder under a file's name": (
        Entry({}, {"setup.py": {"inner": 1}}),
        "refused",
        [],
        [("setup.py", "not a regular file")],
    ),
    "text where bytes should be": (
        Entry({"pip": "numpy"}, _root("requirements.txt")),
        "Python",
        ["python:numpy"],
        [],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_a_row_means(name: str, tmp_path: Path) -> None:
    """The listing says where files came from, and which there are without a column."""
    entry, winner, packages, faults = ROWS[name]
    report = of(tmp_path, entry)
    assert report.winners == {winner: 1}
    found = [f"{kind}:{u.package}" for kind, used in report.packages.items() for u in used]
    assert sorted(found) == packages
    assert sorted((f.file, f.reason) for f in report.faults) == faults


def test_counts_shares_and_coverage(tmp_path: Path) -> None:
    """Environments are counted once a package; a layer serves wholly, or in part."""
    entries = [
        Entry({"pip": b"numpy\npandas"}),
        Entry({"pip": b"numpy\nnumpy"}),
        Entry({"pip": b"numpy\nscipy\nattrs\nsix", "apt": b"curl=1"}),
        Entry({"apt": b"curl:amd64"}),
        Entry({}),
        Entry({"pip": b"a b c"}),
    ]
    own = Layer("mine", packages=("python:numpy", "python:pandas", "apt:nothing"))
    report = of(tmp_path, *entries, layers=(Layer("1 most used", 1), own, Layer("all", 99)))
    assert report.environments == 6
    assert report.packages["python"][0] == Used("numpy", 3)
    assert report.packages["apt"] == [Used("curl", 2)]
    assert (report.distinct, report.missing, report.whole) == (6, 0, 4)
    first, second, last = report.coverage
    assert (first.packages, first.full, first.mean) == (
        1,
        2500,
        round(10_000 * (0.5 + 1 + 0.2) / 4),
    )
    assert (second.packages, second.full, second.mean) == (3, 5000, round(10_000 * 2.2 / 4))
    assert (last.packages, last.full, last.mean) == (6, 10_000, 10_000)
    assert report.faults == [Faulty("requirements.txt", "not a requirement", 1)]
    assert report.lockable == {"yes": 5, "consent": 0, "no": 1}


def test_years_count_launches_and_environments(tmp_path: Path) -> None:
    """A launch counts in its year, an environment once in each; also where the commit is a guess."""
    entries = [
        Entry({"pip": b"numpy"}, launches=["2019-01-01T00:00:00", "2019-05-01", "2020-01-01"]),
        Entry({"pip": b"numpy\nsix"}, launches=["2020-03-01"], guessed=True),
        Entry({"pip": b"attrs"}, launches=["yesterday"]),
    ]
    report = of(tmp_path, *entries)
    told = [(y.year, y.launches, y.environments, y.packages[0]) for y in report.years]
    assert told == [
        ("2019", 2, 1, Used("python:numpy", 1)),
        ("2020", 2, 2, Used("python:numpy", 2)),
    ]


def test_the_datasets_own_lists_are_compared(tmp_path: Path) -> None:
    """Equal lists count as equal, whatever the spelling; others do not."""
    entries = [
        Entry({"pip": b"scikit_learn>=1"}, clean=["scikit-learn>=1"]),
        Entry({"pip": b"numpy"}, clean=["numpy", "six"]),
        Entry({"pip": b"numpy"}, clean=["not a requirement"]),
        Entry({"conda": b""}, clean=["numpy"]),
    ]
    assert of(tmp_path, *entries).clean == Agreement(3, 1)


def test_the_dataset_is_not_changed(tmp_path: Path) -> None:
    """Not a byte of the file changes, and nothing is left beside it."""
    path = write_dataset(tmp_path / "binder.sqlite", [PIP])
    before = digest_of_file(path)
    survey([path])
    assert digest_of_file(path) == before
    assert list(tmp_path.iterdir()) == [path]


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


def test_what_is_no_dataset_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """Other files, other tables, other columns, damaged files and empty folders."""
    text = tmp_path / "text.sqlite"
    text.write_text("hello")
    other = write_dataset(tmp_path / "other.sqlite", [], schema="CREATE TABLE x (y)")
    short = SCHEMA.replace("docker BLOB, ", "")
    fewer = write_dataset(tmp_path / "fewer.sqlite", [], schema=short)
    damaged = write_dataset(tmp_path / "damaged.sqlite", [PIP] * 300)
    _damage(damaged)
    for path in (text, other, fewer, damaged):
        with pytest.raises(Refused) as refused:
            survey([path])
        assert path.name in str(refused.value)
        assert "\n" not in str(refused.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no folder with spec files"):
        survey([tmp_path / "empty"])


def test_folders_of_repositories(tmp_path: Path) -> None:
    """Each folder with spec files is one environment; what lies within one is its own."""
    write_tree(
        tmp_path / "all",
        {
            "anna/one/requirements.txt": "numpy",
            "anna/one/examples/requirements.txt": "six",
            "anna/two/binder/apt.txt": "curl",
            "three/notes.md": "",
            "four/setup.py": None,
            "four/inner/runtime.txt": "3.9",
        },
    )
    (tmp_path / "all" / "loop").symlink_to(tmp_path / "all")
    write_tree(tmp_path / "outside", {"apt.txt": "vim"})
    write_tree(tmp_path / "all/five", {"start": ""})
    (tmp_path / "all/five/apt.txt").symlink_to(tmp_path / "outside/apt.txt")
    report = survey([tmp_path / "all"])
    assert report.winners == {"Python": 1, "default": 2, "refused": 1}
    assert report.packages["python"] == [Used("numpy", 1)]
    assert report.packages["apt"] == [Used("curl", 1)]
    assert {(f.file, f.reason) for f in report.faults} == {
        ("runtime.txt", "malformed runtime.txt"),
        ("apt.txt", "symbolic link"),
    }


@given(st.lists(st.lists(st.integers(0, 60), max_size=8), max_size=300), st.integers(4, 30))
def test_a_bounded_tally_errs_by_no_more_than_it_says(rows: list[list[int]], most: int) -> None:
    """No count is too high, and none lacks more than `missing`, whatever was forgotten."""
    tally = Tally(most)
    true: dict[str, int] = {}
    for row in rows:
        names = [str(number) for number in row]
        tally.add(names)
        tally.top()  # brings the count up to date, and so the bound
        for name in names:
            true[name] = true.get(name, 0) + 1
    kept = dict(tally.top())
    assert len(kept) <= most
    assert all(count - tally.missing <= kept.get(name, 0) <= count for name, count in true.items())


@given(st.lists(st.lists(st.integers(0, 30).map(str), unique=True, max_size=40), max_size=200))
def test_environments_come_back_as_they_were_kept(rows: list[list[str]]) -> None:
    """What is written to the temporary file is read back, twice the same."""
    with Environments() as environments:
        for row in rows:
            environments.add(row)
        numbers = {str(n): environments.number_of(str(n)) for n in range(31)}
        expected = [[numbers[name] for name in row] for row in rows]
        assert [list(found) for found in environments] == expected
        assert [list(found) for found in environments] == expected


def test_many_environments_are_kept_outside_of_memory() -> None:
    """Whole pieces of the file are read back, with environments across their borders."""
    with Environments() as environments:
        for number in range(60_000):
            environments.add([str(number % 7), "all", str(number % 11 + 100)])
        assert sum(len(found) for found in environments) == 180_000
        assert len(environments._waiting) == 0


def _no_file(path: str) -> str:
    raise AssertionError(path)


def test_layers_are_read_strictly() -> None:
    """A number, or a file of packages; everything else is refused."""
    assert parse_layer("20", _no_file) == Layer("20 most used", 20)
    listed = parse_layer("mine.txt", lambda _: "NumPy # why\n\napt:curl\napt:curl\n")
    assert listed == Layer("mine.txt", packages=("python:numpy", "apt:curl"))
    for text in ("0", "9999999"):
        with pytest.raises(Refused, match="1 to 100000"):
            parse_layer(text, _no_file)
    for content in ("", "npm:x", "apt:"):
        with pytest.raises(Refused):
            parse_layer("mine.txt", {"mine.txt": content}.__getitem__)


def run(*words: str) -> Any:
    """Run a command and return its result."""
    return CliRunner().invoke(root, ["environment", "survey", *words])


def test_the_command_prints_one_object_or_tables(tmp_path: Path) -> None:
    """All of the report is in the JSON; people get the tables."""
    path = write_dataset(tmp_path / "binder.sqlite", [PIP, Entry({"pip": b"-"})])
    said = json.loads(run(str(path), "--layer", "1", "--json").stdout)
    assert said["environments"] == 2
    assert said["coverage"][0] == {"layer": "1 most used", "packages": 1, "full": 0, "mean": 5000}
    assert said["seconds"] >= 0
    told = run(str(path)).stdout
    assert "numpy" in told
    assert "unknown option" in told
    refused = run(str(path), "--layer", "absent")
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1


def test_what_was_seen_is_not_examined_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal trees give the very same answer; other files, folders or faults another one."""
    examiner = Examiner()
    tree = Tree({"requirements.txt": b"six"})
    first = examiner.examine(tree, {})
    assert examiner.examine(Tree(dict(tree.files)), {}) is first
    assert examiner.examine(tree, {"apt.txt": "too large"}).faults != first.faults
    moved = Tree({"binder/requirements.txt": b"six"}, frozenset({"binder"}))
    assert examiner.examine(moved, {}) is not first
    large = Tree({"requirements.txt": b"six" + b" " * MAX_REMEMBERED})
    assert examiner.examine(large, {}) is not examiner.examine(large, {})
    monkeypatch.setattr("branchline.environment.survey.examine.MAX_SEEN", 3)
    for number in range(10):
        examiner.examine(Tree({"apt.txt": b"a%d" % number}), {})
    assert len(examiner._seen) <= 3
    assert examiner.examine(tree, {}) == first


def test_a_survey_leaves_pythons_own_settings_as_they_were(tmp_path: Path) -> None:
    """Cycles are looked for rarely meanwhile, and as before afterwards, refused or not."""
    before, during = gc.get_threshold(), list[tuple[int, int, int]]()
    write_tree(tmp_path / "one", {"apt.txt": "jq"})
    write_dataset(tmp_path / "binder.sqlite", [Entry({"apt": b"jq"})])
    source = tmp_path / "binder.sqlite"
    survey([source], progress=lambda done, total: during.append(gc.get_threshold()))
    assert during[0] != before
    assert gc.get_threshold() == before
    with pytest.raises(Refused):
        survey([tmp_path / "one" / "apt.txt"])
    assert gc.get_threshold() == before


@given(st.binary(max_size=60), st.sampled_from(["ls", "pip", "conda", "pipfile", "julia", "r"]))
def test_no_row_ends_the_survey(data: bytes, column: str) -> None:
    """Any bytes in any column give a report."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        entry = Entry({column: data}) if column != "ls" else Entry({}, data.decode("latin-1"))
        try:
            assert of(Path(folder), entry).environments == 1
        except BranchlineError as error:
            raise AssertionError(str(error)) from error
