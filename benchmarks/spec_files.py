"""Spec files as people write them, invented from a seed: trees, and a dataset of any length.

How often each file occurs, how long it is, and how popular names are (a long tail) is guessed from
what public repositories look like; no file is anybody's.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from branchline.environment.spec.elsewhere import SAME_ON_PYPI

COLUMNS = {
    "runtime": ("runtime.txt", 0.10),
    "apt": ("apt.txt", 0.12),
    "conda": ("environment.yml", 0.38),
    "pip": ("requirements.txt", 0.52),
    "pipfile": ("Pipfile", 0.03),
    "julia": ("Project.toml", 0.03),
    "r": ("install.R", 0.05),
    "nix": ("default.nix", 0.002),
    "docker": ("Dockerfile", 0.08),
    "setup": ("setup.py", 0.15),
    "postbuild": ("postBuild", 0.18),
    "start": ("start", 0.03),
}
"""Columns of the dataset: the file, and the share of repositories that have it."""

_FAULTY = 0.02
_SYLLABLES = (
    "ar",
    "be",
    "co",
    "di",
    "en",
    "fu",
    "go",
    "hi",
    "in",
    "ko",
    "lu",
    "me",
    "no",
    "py",
    "qt",
)


class Writer:
    """Invents spec files; equal seeds, equal files."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        own = ["".join(self._random.choices(_SYLLABLES, k=4)) for _ in range(5000)]
        self._names = [*sorted(SAME_ON_PYPI), *dict.fromkeys(own)]
        # A dozen versions of each are in use, the newer ones more.
        self._versions = {name: [self._version() for _ in range(12)] for name in self._names}
        self._weights = [1 / (rank + 2) for rank in range(len(self._names))]

    def names(self, most: int) -> list[str]:
        """Return some packages, popular ones more often."""
        number = self._random.randint(1, most)
        return list(dict.fromkeys(self._random.choices(self._names, self._weights, k=number)))

    def version(self, name: str) -> str:
        """Return one of the versions of a package that are in use."""
        return self._versions[name][min(int(self._random.expovariate(0.4)), 11)]

    def _version(self) -> str:
        return ".".join(
            str(self._random.randint(0, 30)) for _ in range(self._random.choice((2, 3)))
        )

    def spec_files(self) -> dict[str, str]:
        """Return one repository's spec files by name; most have one or two."""
        found = {}
        for name, share in COLUMNS.values():
            if self._random.random() < share:
                found[name] = self.content(name)
        return found

    def content(self, name: str) -> str:
        """Return a spec file's content; one in fifty has a fault."""
        if self._random.random() < _FAULTY:
            return "what is this: [\n= no\n"
        makers = {
            "runtime.txt": self._runtime,
            "apt.txt": lambda: "\n".join(self.names(6)) + "\n",
            "environment.yml": self._environment,
            "requirements.txt": self._requirements,
            "Pipfile": self._pipfile,
            "Project.toml": lambda: "[deps]\n" + "".join(f'{n} = "0"\n' for n in self.names(8)),
            "install.R": self._install_r,
            "Dockerfile": lambda: "FROM image:1.0\nRUN true\n",
        }
        return makers[name]() if name in makers else "#!/bin/bash\ntrue\n"

    def listing(self, files: dict[str, str], folder: str) -> str:
        """Return what a whole repository holds, as the dataset writes it."""
        root: dict[str, object] = {
            f"notebook-{i}.ipynb": self._random.randint(1000, 10**6) for i in range(12)
        }
        root["data"] = {f"table-{i}.csv": self._random.randint(100, 10**7) for i in range(25)}
        sizes = {name: len(text) for name, text in files.items()}
        root |= {folder: sizes} if folder else sizes
        return json.dumps(root)

    def folder(self) -> str:
        """Return where the spec files lie: the root, or a folder for one repository in four."""
        return self._random.choice(("", "", "", "binder"))

    def _runtime(self) -> str:
        choices = ("python-3.6", "python-3.7", "python-3.8", "r-3.6-2019-08-01", "r-2020-05-01")
        return self._random.choice(choices) + "\n"

    def _environment(self) -> str:
        lines = [f"name: {self.names(1)[0]}", "channels:", "  - conda-forge", "dependencies:"]
        if self._random.random() < 0.6:
            lines.append(f"  - python=3.{self._random.randint(5, 9)}")
        signs = ("", "", "", "=", ">=", "==")
        for name in self.names(18):
            sign = self._random.choice(signs)
            lines.append(f"  - {name}{sign}{self.version(name) if sign else ''}")
        if self._random.random() < 0.5:
            lines += ["  - pip", "  - pip:", *(f"    - {name}" for name in self.names(6))]
        return "\n".join(lines) + "\n"

    def _requirements(self) -> str:
        lines = []
        for name in self.names(16):
            sign = self._random.choice(("", "", "==", "==", ">=", "~="))
            lines.append(f"{name}{sign}{self.version(name) if sign else ''}")
        if self._random.random() < 0.2:
            lines.insert(0, "# what the notebooks need")
        return "\n".join(lines) + "\n"

    def _pipfile(self) -> str:
        lines = [f'{name} = "*"' for name in self.names(10)]
        return "[packages]\n" + "\n".join(lines) + '\n[requires]\npython_version = "3.7"\n'

    def _install_r(self) -> str:
        names = ", ".join(f'"{name}"' for name in self.names(8))
        return f"install.packages(c({names}))\n"


def trees(number: int, seed: int = 1) -> Iterator[dict[str, str]]:
    """Yield repositories' spec files by path."""
    writer = Writer(seed)
    for _ in range(number):
        folder = writer.folder()
        prefix = f"{folder}/" if folder else ""
        yield {prefix + name: text for name, text in writer.spec_files().items()}


def write_dataset(path: Path, rows: int, seed: int = 1, commits: int = 1) -> None:
    """Write a dataset with the published one's tables, and two launches for each environment.

    Args:
        path: The SQLite file.
        rows: How many environments.
        seed: Equal seeds, equal files.
        commits: How many environments in a row are commits of one repository, whose spec files
            stay as they are while its other files change.
    """
    writer = Writer(seed)
    blobs = ", ".join(f"{name} BLOB" for name in COLUMNS)
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE events (version INTEGER, timestamp TEXT, provider TEXT, spec TEXT, "
            "origin TEXT, ref TEXT, guessed_ref TEXT);"
            f"CREATE TABLE spec_files (ref TEXT PRIMARY KEY, ls TEXT, {blobs});"
            "CREATE TABLE clean_specs (ref TEXT PRIMARY KEY, conda_channels TEXT, "
            "conda_packages TEXT, pip_packages TEXT, apt_packages TEXT);"
        )
        for number in range(rows):
            if number % commits == 0:
                files, folder = writer.spec_files(), writer.folder()
                data = [
                    files[name].encode() if name in files else None for name, _ in COLUMNS.values()
                ]
            ref = f"{number:040x}"
            marks = ", ".join("?" * (2 + len(data)))
            row = (ref, writer.listing(files, folder), *data)
            connection.execute(f"INSERT INTO spec_files VALUES ({marks})", row)
            for year in (2018 + number % 4, 2021):
                event = (4, f"{year}-05-01T10:00:00", "GitHub", "1/2/main", "origin", ref, None)
                connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", event)
        connection.execute("CREATE INDEX events_timestamp ON events (timestamp)")
    connection.close()
