"""A detection under way: where its files are looked up, and what has been found so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from branchline.environment.spec.detected import Detected, Suggestion
from branchline.environment.spec.names import is_spec_file
from branchline.environment.spec.pyproject import PyProject, parse_pyproject
from branchline.environment.spec.refusal import SpecRefused
from branchline.environment.spec.runtime import NONE, Runtime, parse_runtime
from branchline.environment.spec.text import lines_of, utf8
from branchline.environment.spec.tree import Tree
from branchline.foundation.digest import digest_of


class Look:
    """Finds spec files in the one folder that counts, and reads some of them once.

    Args:
        tree: The whole tree.
        folder: Where spec files count: empty for the root.
    """

    def __init__(self, tree: Tree, folder: str) -> None:
        self.tree = tree
        self.folder = folder
        self._prefix = f"{folder}/" if folder else ""
        self._files, self._folders = tree.files, tree.folders
        self._runtime: Runtime | None = None
        self._pyproject: PyProject | None = None

    def path(self, name: str) -> str:
        """Return a spec file's path in the tree."""
        return self._prefix + name

    def has(self, name: str) -> bool:
        """Tell whether a spec file is there.

        Raises:
            SpecRefused: It is a folder.
        """
        path = self._prefix + name
        if path in self._folders:
            raise self.is_folder(path)
        return path in self._files

    def in_root(self, name: str) -> bool:
        """Tell whether a file of the root counts: it is there, and there is no spec folder."""
        return not self.folder and self.has(name)

    def lines(self, path: str, data: bytes) -> list[str]:
        """Return the lines of a file that must be UTF-8."""
        return lines_of(path, utf8(path, data))

    def is_folder(self, path: str) -> SpecRefused:
        """Make the refusal of a folder under a spec file's name."""
        return SpecRefused(
            path,
            "is a folder; it must be a file",
            reason="not a regular file",
            advice="Rename the folder",
        )

    @property
    def runtime(self) -> Runtime:
        """What ``runtime.txt`` says, read when it is first asked for."""
        if self._runtime is None:
            path = self.path("runtime.txt")
            there = self.has("runtime.txt")
            self._runtime = parse_runtime(path, self.tree.files[path]) if there else NONE
        return self._runtime

    @property
    def pyproject(self) -> PyProject:
        """What the root's ``pyproject.toml`` says, where it counts."""
        if self._pyproject is None:
            there = self.in_root("pyproject.toml")
            data = self.tree.files["pyproject.toml"] if there else None
            self._pyproject = PyProject() if data is None else parse_pyproject(data)
        return self._pyproject

    @property
    def is_package(self) -> bool:
        """Whether the root is a Python package that pip can install."""
        return self.in_root("setup.py") or self.pyproject.is_package


@dataclass
class Draft:
    """What was found so far; see ``Detected`` for the fields."""

    look: Look
    winner: str
    language_version: str | None = None
    python_version: str | None = None
    requires_python: str | None = None
    base_python: str = ""
    """The version of Python that repo2docker would build with."""
    version_told: bool = False
    """Whether a note says already how the version came about."""
    applied: set[str] = field(default_factory=set)
    referred: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    debian: set[str] = field(default_factory=set)
    python: dict[str, None] = field(default_factory=dict)
    constraints: dict[str, None] = field(default_factory=dict)
    hashes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    conda: tuple[str, ...] = ()
    conda_channels: tuple[str, ...] = ()
    r_packages: tuple[str, ...] = ()
    julia_packages: tuple[str, ...] = ()
    julia_versions: tuple[str, ...] = ()
    nix_packages: tuple[str, ...] = ()
    from_channels: str = ""
    unsupported: dict[str, None] = field(default_factory=dict)
    suggestions: list[Suggestion] = field(default_factory=list)
    package: bool = False
    post_build: str | None = None
    start: str | None = None

    def apply(self, name: str) -> bytes | None:
        """Mark a spec file as applied and return its bytes; None if it is not there."""
        look = self.look
        if not look.has(name):
            return None
        path = look.path(name)
        self.applied.add(path)
        return look.tree.files[path]

    def note(self, sentence: str) -> None:
        """Tell a person something."""
        self.notes.append(sentence)

    def cannot(self, sentence: str, suggestion: Suggestion | None = None) -> None:
        """Say what no lock can hold, and what would settle that."""
        self.unsupported[sentence] = None
        if suggestion is not None:
            self.suggestions.append(suggestion)

    def ignored(self) -> list[str]:
        """Return the spec files that are there without effect."""
        tree = self.look.tree
        used = self.applied | self.referred
        there = [path for path in tree.files if path not in used and is_spec_file(path)]
        return sorted({*there, *tree.hidden}) if there or tree.hidden else []

    def detected(self) -> Detected:
        """Return the result."""
        files = self.look.tree.files
        return Detected(
            winner=self.winner,
            language_version=self.language_version,
            folder=self.look.folder,
            applied=tuple(sorted(self.applied)),
            ignored=tuple(self.ignored()),
            notes=tuple(self.notes),
            debian=tuple(sorted(self.debian)),
            python=tuple(self.python),
            python_version=self.python_version,
            requires_python=self.requires_python,
            constraints=tuple(self.constraints),
            hashes=self.hashes,
            conda=self.conda,
            conda_channels=self.conda_channels,
            r_packages=self.r_packages,
            julia_packages=self.julia_packages,
            julia_versions=self.julia_versions,
            nix_packages=self.nix_packages,
            files={path: digest_of(files[path]) for path in sorted(self.applied | self.referred)},
            from_channels=self.from_channels,
            unsupported=tuple(self.unsupported),
            suggestions=tuple(self.suggestions),
            package=self.package,
            post_build=self.post_build,
            start=self.start,
            dockerfile=self.winner == "Docker",
        )
