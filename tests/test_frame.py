"""The project's frame: what is promised about the checkout itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "branchline"
ROOMS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))

# The brackets keep this line from finding itself.
FORBIDDEN = re.compile(
    r"\b(TO[D]O|FIXM[E])\b|unittest\.moc[k]|MagicMoc[k]|mark\.(ski[p]|xfai[l])\b|Co-authore[d]"
)


def tracked_files() -> Iterator[tuple[str, str]]:
    """Yield each tracked text file with its name; a folder without git has no tracked files."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if path.is_file():
            yield name, path.read_text("utf-8", errors="replace")


def registry_hosts() -> set[str]:
    """Read the hosts from which this machine takes packages out of its own configuration."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    texts = [subprocess.run(pip, capture_output=True, check=True, text=True).stdout]
    places = [Path("/etc/apt/sources.list"), Path("/etc/npmrc"), Path.home() / ".npmrc"]
    places += [Path("/etc/pip.conf"), Path("/etc/uv/uv.toml"), Path.home() / ".config/uv/uv.toml"]
    places += Path("/etc/apt/sources.list.d").glob("*")
    texts += [place.read_text("utf-8", errors="replace") for place in places if place.is_file()]
    found = re.findall(r"https?://(?:[^/@\s'\"]*@)?([^/:\s'\"]+)", "\n".join(texts))
    return {host for host in found if "." in host and not host.startswith("127.")}


@pytest.mark.parametrize(
    "name",
    ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "NOTICE"],
)
def test_a_newcomer_finds_the_documents(name: str) -> None:
    """Each document that a newcomer looks for exists and is not empty."""
    assert (ROOT / name).read_text("utf-8").strip()


def test_each_dependency_has_a_reason() -> None:
    """Every requirement in pyproject.toml is followed by a comment that says why it is there."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    requirements = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        requirements += extra
    without = [
        requirement
        for requirement in requirements
        if not re.search(rf'^\s*"{re.escape(requirement)}",\s+# \w.{{10,}}$', text, re.MULTILINE)
    ]
    assert without == []


@pytest.mark.parametrize("name", ["bootstrap", "demo", "dev"])
def test_locks_have_hashes_and_name_no_index(name: str) -> None:
    """Each locked package has one exact version and hashes, and no address stands in a lock."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    blocks = re.split(r"\n(?=\S)", "\n".join(text.splitlines()[1:]))
    assert all(re.match(r"[a-z0-9.-]+==\S+", block) for block in blocks)
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    assert "index" not in text.splitlines()[0]


def test_the_demo_installs_what_the_tests_tested() -> None:
    """The demo's lock is a part of the developers' lock, version by version and hash by hash.

    On which other interpreters a package is wanted at all may differ: more asks for it there.
    """
    dev, demo = (
        {
            line.removesuffix(" \\").partition(" ; ")[0]
            for line in (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines()[1:]
        }
        for name in ("dev", "demo")
    )
    assert demo <= dev


def test_no_tracked_file_names_this_machine() -> None:
    """No tracked file names a package registry of this machine or a path that exists only here."""
    private = [*registry_hosts(), f"{Path.home()}/."]
    if len(ROOT.parts) > 2:
        private.append(f"{ROOT}/")
    found = [(name, text) for name, body in tracked_files() for text in private if text in body]
    assert found == []


def test_no_tracked_file_is_unfinished() -> None:
    """No tracked file holds a note to self, a mock or a skipped test."""
    found = [
        (name, match[0]) for name, text in tracked_files() if (match := FORBIDDEN.search(text))
    ]
    assert found == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_each_room_says_what_it_is_for(room: Path) -> None:
    """The docstring of a room has more than a headline."""
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    assert len(docstring.splitlines()) >= 3


def test_each_folder_of_the_package_is_a_room() -> None:
    """No folder stands in the package without an ``__init__.py``."""
    folders = {path.parent for path in PACKAGE.glob("*/*.py")}
    assert folders == set(ROOMS)


def test_imports_go_downstairs_only() -> None:
    """The contracts on imports are kept."""
    command = [f"{Path(sys.executable).parent}/lint-imports", "--no-logo", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert result.returncode == 0, result.stdout


def test_importing_the_package_loads_no_program() -> None:
    """``import branchline`` loads none of its own rooms and no library."""
    code = "import sys, branchline; print(*sorted(m for m in sys.modules if '.' not in m))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert not {"aiohttp", "numpy", "pyarrow", "sqlalchemy"} & set(result.stdout.split())


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The lazy export of the client does not swallow other names."""
    import branchline

    with pytest.raises(AttributeError, match="nothing"):
        branchline.nothing  # noqa: B018  # the access is what is tested
