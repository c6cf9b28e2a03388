"""Trees for the tests: written to disk, and generated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st

Files = Mapping[str, str | bytes | None]
"""Contents by path; None: a folder stands there."""


def write_tree(folder: Path, files: Files) -> Path:
    """Write files below a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        file = folder / path
        if content is None:
            file.mkdir(parents=True, exist_ok=True)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


_VERSIONS = st.sampled_from(
    ["2", "3", "4", "2.7", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.14", "3.15",
     "3.9.1", "3.9rc1", "", "x", "3.", "4.1", "4.3.2", "4.6", "3.6.3"]
)  # fmt: skip
_DATES = st.sampled_from(
    ["2024-05-01", "2018-12-06", "2018-12-07", "2020-01-01", "2024-13-01", "20-1-1", "2024-05", "1"]
)
_LANGUAGES = st.sampled_from(["python", "r", "julia", "Python", "R", "node", ""])

_runtime = st.one_of(
    st.builds(lambda n, v: f"{n}-{v}", _LANGUAGES, _VERSIONS),
    st.builds(lambda v: f"python-{v}\n", _VERSIONS),
    st.builds(lambda n, d: f"{n}-{d}\n", _LANGUAGES, _DATES),
    st.builds(lambda n, v, d: f"{n}-{v}-{d}", _LANGUAGES, _VERSIONS, _DATES),
    st.sampled_from(["", "\n", "3.9", "python", "python-3.9-1", "python-3.9\nx", " python-3.9 \r\n",
                     "python--3", "r-4.1\n", "ﬀ-1", "python-3.9-2020-01-01-"]),
)  # fmt: skip

_apt = st.lists(
    st.sampled_from(["curl", "git # a comment", "# none", "", "  less  ", "libc6:amd64", "g++",
                     "curl=7.88.1-10+deb12u5", "Curl", "_x", "\tvim\t"]),
    max_size=4,
).map("\n".join)  # fmt: skip

_pins = st.sampled_from(
    ["python", "python=3.9", "python=3.9.1", "python=3.9.*", "python==3.8", "python>=3.8",
     "python<=3.9", "python 3.9", "conda-forge::python=3.9", "python = 3.7", "python=2", "python=3",
     "python=4", "python=3.4", "python=3.6", "python=", "python=3.15", "python=3.12=h1_0",
     "python-dateutil=2.8", "pythonx=3.8"]
)  # fmt: skip
_specs = st.one_of(_pins, st.sampled_from(["numpy", "r-base=4.1", "pandas>=1", "pip", "scipy 1.*"]))
_pip_lines = st.lists(st.sampled_from(["requests", "click>=8", "-r more.txt", "x==1"]), max_size=3)


def _block(channels: list[str], specs: list[str], pip: list[str] | None, indent: str) -> str:
    lines = ["name: it"]
    if channels:
        lines += ["channels:", *(f"{indent}- {channel}" for channel in channels)]
    if specs or pip:
        lines += ["dependencies:", *(f"{indent}- {spec}" for spec in specs)]
    if pip:
        lines += [f"{indent}- pip:", *(f"{indent}    - {line}" for line in pip)]
    return "\n".join(lines) + "\n"


_environment = st.one_of(
    st.builds(
        _block,
        st.lists(st.sampled_from(["conda-forge", "defaults", "bioconda"]), max_size=2),
        st.lists(_specs, max_size=4),
        st.none() | _pip_lines,
        st.sampled_from(["", "  ", "    "]),
    ),
    st.lists(_specs, max_size=3).map(lambda specs: json.dumps({"dependencies": specs})),
    st.sampled_from(
        ["", "# nothing\n", "- numpy\n", "dependencies:\n", "dependencies: null\n", "just text\n",
         "dependencies: [python=3.8, numpy]\n", "dependencies:\n - 'python=3.8'\n", "a: [\n",
         "dependencies: &x [python=3.9]\nother: *x\n", "dependencies: []\n", "null\n", "3\n",
         "name: a\nname: b\n", "---\ndependencies:\n- python=3.11\n", "a: 1\n---\nb: 2\n",
         "dependencies: [numpy, {pip: [requests]}]\n", "\tdependencies: []\n"]
    ),
)  # fmt: skip

_requirements = st.lists(
    st.sampled_from(["numpy", "pandas>=1,<3", "# comment", "", "scipy==1.11.1  # why", "x[extra]",
                     "click; python_version < '3.9'", "-r more.txt", "-c bounds.txt"]),
    max_size=4,
).map("\n".join)  # fmt: skip

_pipfile = st.one_of(
    st.builds(
        lambda key, version, packages: (
            f'[packages]\n{packages}\n[requires]\n{key} = "{version}"\n'
        ),
        st.sampled_from(["python_version", "python_full_version", "other"]),
        _VERSIONS,
        st.sampled_from(['numpy = "*"', 'x = {version = ">=1", extras = ["y"]}', ""]),
    ),
    st.sampled_from(
        ["", '[packages]\nnumpy = "*"\n', "requires = 3\n", "not toml", "[requires]\npython_version=3\n",
         '[requires]\npython_version = "*"\npython_full_version = "3.8.2"\n']
    ),
)  # fmt: skip
_lock = st.one_of(
    st.builds(
        lambda key, version: json.dumps({"_meta": {"requires": {key: version}}, "default": {}}),
        st.sampled_from(["python_version", "python_full_version"]),
        _VERSIONS,
    ),
    st.sampled_from(
        ["{}", '{"_meta": {}}', "{", "[]", '{"_meta": {"requires": null}}',
         '{"default": {"numpy": {"version": "==1.26.4"}}}', '{"_meta": {"requires": {"python_version": 3}}}']
    ),
)  # fmt: skip

_requires = st.sampled_from(
    [">=3.8", ">=3.11", "<3.10", "==3.12.*", ">=3.15", "~=3.9", ">=3.10.2", "", "three"]
)
_pyproject = st.one_of(
    st.builds(
        lambda requires, build, name: (
            f'[project]\nname = "{name}"\nrequires-python = "{requires}"\n'
            + ('[build-system]\nrequires = ["flit_core"]\n' if build else "")
        ),
        _requires,
        st.booleans(),
        st.just("it"),
    ),
    st.sampled_from(
        [
            "",
            "[tool.black]\n",
            "[build-system]\n",
            '[project]\nname = "x"\n',
            "[project\n",
            "a = ]",
            '[project]\nname = "x"\n[build-system]\n',
        ]
    ),
)
_julia = st.one_of(
    st.sampled_from(["", "[deps]\n", "not toml", '[compat]\nother = "1"\n', "compat = 3\n"]),
    st.sampled_from(["1", "1.6", "^1.3", "~1.2", "=1.3", ">=1.0", "≥1.1", "0.7", "x", "1.x", "1, 2"])
    .map(lambda text: f'[compat]\njulia = "{text}"\n'),
)  # fmt: skip
_dockerfile = st.sampled_from(
    ["FROM python:3.11\n", "FROM andrewosh/binder-base\n", "from andrewosh/binder-base\n", "",
     "# FROM andrewosh/binder-base\nFROM x\n", "FROM x\nFROM andrewosh/binder-base\n",
     "FROM x # andrewosh/binder-base\n", "FROM Andrewosh/Binder-Base:latest\n"]
)  # fmt: skip

CONTENTS: dict[str, st.SearchStrategy[str]] = {
    "Dockerfile": _dockerfile,
    "JuliaProject.toml": _julia,
    "Project.toml": _julia,
    "REQUIRE": st.just("julia 0.6\n"),
    "default.nix": st.just("{}\n"),
    "runtime.txt": _runtime,
    "DESCRIPTION": st.sampled_from(
        ["Package: it\nImports: survival, R6 (>= 2)\n", "Package: it\n"]
    ),
    "environment.yml": _environment,
    "environment.yaml": _environment,
    "Pipfile": _pipfile,
    "Pipfile.lock": _lock,
    "setup.py": st.just("raise SystemExit\n"),
    "pyproject.toml": _pyproject,
    "requirements.txt": _requirements,
    "requirements3.txt": _requirements,
    "apt.txt": _apt,
    "install.R": st.sampled_from(
        ['install.packages("survival")\n', 'devtools::install("x")\n', ""]
    ),
    "postBuild": st.just("#!/bin/sh\n"),
    "start": st.just("#!/bin/sh\n"),
}
# Files with much to go wrong are drawn more often.
_OFTEN = ["runtime.txt"] * 4 + [
    "environment.yml",
    "pyproject.toml",
    "Pipfile",
    "requirements.txt",
] * 2


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str | None]:
    """Draw a tree: some spec files in some places, and now and then a folder under their name."""
    places = draw(st.sampled_from([[""]] * 6 + [["binder/"]] * 2 + [["", "binder/"]] * 2
                                  + [[".binder/"], ["", ".binder/"], ["binder/", ".binder/"]]))  # fmt: skip
    files: dict[str, str | None] = {"README.md": "", "more.txt": "six\n", "bounds.txt": "six<2\n"}
    for place in places:
        for name in draw(st.lists(st.sampled_from([*CONTENTS, *_OFTEN]), max_size=4, unique=True)):
            is_folder = draw(st.integers(0, 40)) == 0
            files[place + name] = None if is_folder else draw(CONTENTS[name])
        if place:
            files.setdefault(place + "README.md", "")
            files[place + "more.txt"] = "six\n"
            files[place + "bounds.txt"] = "six<2\n"
    return files
