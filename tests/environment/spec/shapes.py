"""The shapes of repo2docker's own fifty sample repositories, with contents of our own.

Each stands for one of its cases: the same spec files in the same places, saying the same kind of
thing.
"""

from __future__ import annotations

import json

from tests.environment.spec.trees import Files

_PIPFILE = """\
[[source]]
name = "pypi"
url = "https://index.invalid/simple"
verify_ssl = true

[packages]
attrs = "*"

[dev-packages]
six = "*"
"""
_LOCK = json.dumps(
    {
        "_meta": {"requires": {}, "sources": [{"name": "pypi", "url": "https://index.invalid"}]},
        "default": {"attrs": {"version": "==23.1.0", "hashes": [f"sha256:{'0' * 64}"]}},
        "develop": {},
    }
)
_LOCK_36 = _LOCK.replace('"requires": {}', '"requires": {"python_version": "3.6"}')
_EDITABLE = '[packages]\nattrs = "*"\nlocal = {path = ".", editable = true}\n'
_SETUP = "from setuptools import setup\nsetup(name='local')\n"
_SCRIPT = "#!/bin/bash\ntrue\n"
_INSTALL = 'install.packages("glue")\n'
_BROKEN = "dependencies:\n  - absent\n  broken\n"


def _conda(*dependencies: str) -> str:
    return "dependencies:\n" + "".join(f"  - {each}\n" for each in dependencies)


SHAPES: dict[str, Files] = {
    "base/general": {"tests.py": ""},
    "conda/downgrade": {
        "environment.yml": "# why\nname: x\nchannels:\n  - conda-forge\n"
        + _conda("python=3.9", "xtensor=0.20.8", "notebook")
    },
    "conda/r-postbuild": {
        "environment.yml": _conda("attrs", "r-base", "r-glue"),
        "postBuild": _SCRIPT,
    },
    "conda/python-2": {"environment.yml": _conda("python=2", "attrs")},
    "conda/with-requirements": {
        "environment.yml": _conda("python=3.10", "attrs", "pip", "pip:\n      - six"),
        "requirements.txt": "attrs\n",
    },
    "conda/python-3.12": {"environment.yml": _conda("python=3.12")},
    "conda/python-3.5-hidden-folder": {
        ".binder/environment.yml": _conda("python=3.5", "attrs", "libgfortran=3  # why"),
        "Dockerfile": "FROM scratch\n",
        "environment.yml": _BROKEN,
    },
    "conda/python-3.6-postbuild": {
        "environment.yml": _conda("python=3.6", "attrs"),
        "postBuild": _SCRIPT,
    },
    "conda/r-3.6": {"environment.yml": _conda("r-base=3.6", "r-glue")},
    "conda/yaml": {"environment.yaml": _conda("python=3.12")},
    "conda/r-alone": {"environment.yml": _conda("r-base")},
    "dockerfile/folder": {"binder/Dockerfile": "FROM python:3.10\n", "hello.sh": _SCRIPT},
    "dockerfile/editable": {"Dockerfile": "FROM python:3.10\nRUN true\n", "change.sh": _SCRIPT},
    "dockerfile/stack": {"Dockerfile": "FROM some/stack:tag\nUSER root\n"},
    "dockerfile/simple": {"Dockerfile": "FROM python:3.10\nCOPY hello.sh /\n", "hello.sh": ""},
    "julia/folder": {
        ".binder/Project.toml": '[deps]\nA = "0"\n\n[compat]\njulia = "=1.3"\n',
        "Project.toml": '[compat]\njulia = "=1.0.invalid"\n',
    },
    "julia/project": {"Project.toml": '[deps]\nA = "82899510"\n'},
    "nix/folder": {"binder/default.nix": "{}\n"},
    "nix/ignore-outside": {"binder/default.nix": "{}\n", "default.nix": "x", "start": _SCRIPT},
    "nix/simple": {"default.nix": "{}\n"},
    "nix/start": {"default.nix": "{}\n", "start": _SCRIPT},
    "nix/test-building": {"default.nix": "with import <nixpkgs> {}; {}\n"},
    "pipfile/folder-lock": {
        "binder/Pipfile": _PIPFILE,
        "binder/Pipfile.lock": _LOCK,
        "Pipfile": _PIPFILE,
        "Pipfile.lock": _LOCK,
    },
    "pipfile/folder": {"binder/Pipfile": _PIPFILE, "Pipfile": _PIPFILE},
    "pipfile/environment": {
        "Pipfile": _PIPFILE,
        "environment.yml": _conda("pip", "pip:\n      - attrs"),
    },
    "pipfile/lock": {"Pipfile": _PIPFILE, "Pipfile.lock": _LOCK},
    "pipfile/python-2": {
        "Pipfile": _PIPFILE + '[requires]\npython_version = "2.7"\n',
        "Pipfile.lock": _LOCK.replace('"requires": {}', '"requires": {"python_version": "2.7"}'),
        "requirements3.txt": "# for the server\nsix\n",
    },
    "pipfile/python-3.6": {
        "Pipfile": _PIPFILE + '[requires]\npython_version = "3.6"\n',
        "Pipfile.lock": _LOCK_36,
        "runtime.txt": "python-3.7",
    },
    "pipfile/requirements": {"Pipfile": _PIPFILE, "requirements.txt": "attrs\n"},
    "pipfile/package-in-folder": {
        ".binder/Pipfile": _EDITABLE.replace('"."', '".."'),
        "setup.py": _SETUP,
    },
    "pipfile/package-explicit": {"Pipfile": _EDITABLE, "setup.py": _SETUP},
    "pipfile/package-implicit": {"Pipfile": _PIPFILE, "setup.py": _SETUP},
    "pyproject/package": {
        "pyproject.toml": '[build-system]\nrequires = ["hatchling"]\n\n[project]\nname = "local"\n'
        'dependencies = ["attrs"]\nrequires-python = ">=3.10"\n'
    },
    "r/apt": {"apt.txt": "libsodium-dev\n", "install.R": _INSTALL, "runtime.txt": "r-2025-07-01"},
    "r/description": {"DESCRIPTION": "Package: local\nVersion: 1.0\n", "NAMESPACE": ""},
    "r/3.6": {"install.R": _INSTALL, "runtime.txt": "r-3.6-2018-12-07"},
    "r/4.3.2": {"install.R": _INSTALL, "runtime.txt": "r-4.3.2-2024-01-10"},
    "r/4.5": {"install.R": _INSTALL, "runtime.txt": "r-4.5.1-2025-06-13"},
    "r/4.6": {"install.R": _INSTALL, "runtime.txt": "r-4.6.1-2026-06-24"},
    "venv/apt": {"apt.txt": "# skipped\n\ngfortran\n\n# and\nunp\nbyacc\n\n"},
    "venv/folder": {
        "apt.txt": "absent\n",
        "binder/apt.txt": "gfortran\n",
        "binder/postBuild": _SCRIPT,
        "binder/requirements.txt": "attrs\n",
        "environment.yml": _BROKEN,
        "postBuild": _SCRIPT,
    },
    "venv/default": {},
    "venv/requirements": {"requirements.txt": "attrs\n"},
    "venv/postbuild": {"postBuild": _SCRIPT, "requirements.txt": "attrs\n"},
    "venv/python-2-and-server": {
        "requirements.txt": "# for the kernel\nattrs\n",
        "requirements3.txt": "# for the server\nsix==1.16.0\n",
        "runtime.txt": "python-2.7",
    },
    "venv/python-2": {"requirements.txt": "attrs\n", "runtime.txt": "python-2.7"},
    "venv/python-3.5": {"runtime.txt": "python-3.5"},
    "venv/python-3": {"runtime.txt": "python-3"},
    "venv/start": {"postBuild": _SCRIPT, "requirements.txt": "attrs\n", "start": _SCRIPT},
    "venv/start-alone": {"start": _SCRIPT},
    "venv/no-files": {"README.md": ""},
}
"""The files of each."""
