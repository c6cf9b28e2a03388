"""What a tree's spec files amount to: the input of the lock."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from branchline.foundation.digest import Digest


class Suggestion(msgspec.Struct, frozen=True):
    """A way to have what cannot be locked as it was asked for; taken only with a person's consent.

    Args:
        settles: The sentence of ``Detected.unsupported``, or its ``from_channels``, that consent
            would settle.
        difference: What then differs from what was asked for, as it is recorded in the lock.
        debian: Debian packages to take instead.
        python: Requirement lines to take instead.
    """

    settles: str
    difference: str
    debian: tuple[str, ...] = ()
    python: tuple[str, ...] = ()


class Detected(msgspec.Struct, frozen=True, kw_only=True):
    """What would be built from a tree, and why.

    Args:
        winner: The pack as repo2docker names it: ``Docker``, ``JuliaProjectToml``, ``JuliaRequire``,
            ``Nix``, ``R``, ``Conda``, ``Pipfile``, ``Python``, or ``default`` where none matched
            (repo2docker then takes its Python pack, too).
        language_version: The version repo2docker would take: Python's (``3.10`` where nobody asked)
            for Conda, Pipfile, Python and default; R's; Julia's as a constraint; None for Docker,
            Nix and JuliaRequire.
        folder: Where spec files were looked for: empty (the root), ``binder`` or ``.binder``.
        applied: The files the winner applies, as paths in the tree, sorted.
        ignored: Spec files that are there and have no effect, as paths in the tree, sorted.
        notes: Sentences a person should read; nothing is refused for them.
        debian: What the applied files ask of Debian, each ``name[:arch][=version]``, sorted.
        python: What the applied files ask of Python: PEP 508 requirements, in their files' order.
        python_version: The Python version (``x.y``) that a person asked for; None: nobody asked.
        requires_python: The specifiers of ``requires-python`` in an applied ``pyproject.toml``.
        constraints: Requirements of ``-c`` files: they bound versions and install nothing.
        hashes: Requirements (as in ``python``) whose lines name the only hashes they accept, each
            ``sha256:…`` (or another algorithm).
        conda: Match specs of an applied ``environment.yml``, as written.
        conda_channels: The channels they are to come from, in order.
        r_packages: R packages that ``install.R`` and ``DESCRIPTION`` ask for, sorted.
        julia_packages: Julia packages that an applied project names, sorted.
        julia_versions: All packages of the ``Manifest.toml`` beside it, each with its exact version.
        nix_packages: Packages that an applied ``default.nix`` lists, as far as it can be read
            without being run, sorted.
        files: The digest of each applied file, and of what those refer to, by path in the tree.
        from_channels: A sentence: what has to come from which channels, as far as they can be
            reached; empty where nothing has to.
        unsupported: Sentences; where there is one, no lock can hold the whole environment, and
            none must be made of a part of it.
        suggestions: What would settle some of ``unsupported``, or ``from_channels``, with consent.
        package: Whether the winner would install the folder itself with pip.
        post_build: The path of ``postBuild`` where the winner runs it.
        start: The path of ``start`` where the winner runs it.
        dockerfile: Whether a ``Dockerfile`` is all that counts.
    """

    winner: str
    language_version: str | None = None
    folder: str = ""
    applied: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    python_version: str | None = None
    requires_python: str | None = None
    constraints: tuple[str, ...] = ()
    hashes: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    conda: tuple[str, ...] = ()
    conda_channels: tuple[str, ...] = ()
    r_packages: tuple[str, ...] = ()
    julia_packages: tuple[str, ...] = ()
    julia_versions: tuple[str, ...] = ()
    nix_packages: tuple[str, ...] = ()
    files: Mapping[str, Digest] = msgspec.field(default_factory=dict)
    from_channels: str = ""
    unsupported: tuple[str, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    package: bool = False
    post_build: str | None = None
    start: str | None = None
    dockerfile: bool = False

    def accepting_suggestions(self) -> tuple[Detected, tuple[str, ...]]:
        """Return what remains once every suggestion is taken, and the differences to record."""
        settled = {suggestion.settles for suggestion in self.suggestions}
        debian = {name for suggestion in self.suggestions for name in suggestion.debian}
        python = [line for suggestion in self.suggestions for line in suggestion.python]
        accepted = msgspec.structs.replace(
            self,
            debian=tuple(sorted({*self.debian, *debian})),
            python=tuple(dict.fromkeys((*self.python, *python))),
            from_channels="" if self.from_channels in settled else self.from_channels,
            unsupported=tuple(text for text in self.unsupported if text not in settled),
            suggestions=(),
        )
        return accepted, tuple(suggestion.difference for suggestion in self.suggestions)
