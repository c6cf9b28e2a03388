"""What each spec file adds, one function per file; ``detect`` says which of them a winner applies."""

from __future__ import annotations

from collections.abc import Sequence

from branchline.environment.spec.conda import CondaEnvironment, MatchSpec, parse_conda
from branchline.environment.spec.debian import parse_apt
from branchline.environment.spec.detected import Suggestion
from branchline.environment.spec.draft import Draft
from branchline.environment.spec.elsewhere import elsewhere
from branchline.environment.spec.julia import parse_julia, parse_manifest, parse_require
from branchline.environment.spec.nix import read_nix
from branchline.environment.spec.pipfile import Pipenv, parse_pipfile, parse_pipfile_lock
from branchline.environment.spec.pythons import (
    DEFAULT,
    MAJORS,
    check_version,
    choose,
    cut_version,
    is_old,
    specifiers,
)
from branchline.environment.spec.references import MANIFESTS
from branchline.environment.spec.requirements import Requirements
from branchline.environment.spec.telling import conda_notes, counted, pyproject_note


def dockerfile(draft: Draft) -> None:
    """A ``Dockerfile`` counts alone; nothing of it is read here."""
    if data := draft.apply("Dockerfile"):
        draft.look.lines(draft.look.path("Dockerfile"), data)
    draft.cannot(
        "A Dockerfile may do anything while it is built, so it cannot be locked; it can be built "
        "into an image that is marked as not reproducible"
    )


def nix(draft: Draft) -> None:
    """``default.nix`` is a program of Nix's; it is not run."""
    data = draft.apply("default.nix") or b""
    path = draft.look.path("default.nix")
    found = read_nix(data)
    named = found.sources
    channel = f"the Nix channel {', '.join(named)}" if named else "a Nix channel it does not name"
    draft.nix_packages = found.packages
    what = "its packages"
    if found.packages:
        what = f"{counted(len(found.packages), 'package')} ({_some(found.packages)})"
        draft.note(f"{path} is a program and is not run; what else it takes, only Nix can say")
    draft.cannot(f"{path} takes {what} from {channel}, which nothing here resolves; {_INSTEAD}")


def apt(draft: Draft) -> None:
    """``apt.txt`` names Debian packages."""
    data = draft.apply("apt.txt")
    if data is not None:
        draft.debian.update(parse_apt(draft.look.path("apt.txt"), data))


def python_of_runtime(draft: Draft) -> None:
    """``runtime.txt`` and ``requires-python`` choose the version."""
    look, runtime = draft.look, draft.look.runtime
    draft.apply("runtime.txt")
    draft.base_python = draft.language_version = DEFAULT
    if runtime.name not in (None, "python"):
        return
    version, fixed = DEFAULT, False
    if runtime.version is not None:
        version = check_version(look.path("runtime.txt"), runtime.version)
        fixed = runtime.version not in MAJORS
        if fixed or version != DEFAULT:
            draft.python_version = version
    if look.pyproject.requires_python is not None:
        requires = specifiers(look.pyproject.requires_python)
        draft.apply("pyproject.toml")
        draft.requires_python = str(requires)
        version = choose(version, fixed, requires)
    pyproject_note(draft)
    draft.base_python = draft.language_version = version


def requirements(draft: Draft) -> None:
    """``requirements.txt`` names Python packages."""
    data = draft.apply("requirements.txt")
    if data is not None:
        found = Requirements()
        found.read_file(draft.look.path("requirements.txt"), data, draft.look.tree.files.get)
        _add(draft, found)


def server_requirements(draft: Draft) -> None:
    """``requirements3.txt`` is for the server's own Python, where the kernel's is too old for it."""
    if draft.look.has("requirements3.txt") and is_old(draft.base_python):
        draft.apply("requirements3.txt")
        draft.cannot(
            f"{draft.look.path('requirements3.txt')} is for a second Python beside an old one; an "
            "image here has one"
        )


def package(draft: Draft) -> None:
    """The folder itself is installed where it is a Python package."""
    look = draft.look
    if not look.is_package:
        return
    draft.package = True
    here = [name for name in ("setup.py", "pyproject.toml") if look.in_root(name)]
    for name in here:
        draft.apply(name)
    known = look.pyproject.is_package and not look.pyproject.dynamic
    sentence = (
        f"{here[0]} makes this folder a Python package, and installing it would run its build, "
        "which no lock holds"
    )
    if known:
        difference = f"{here[0]}: the package itself is not installed; what it depends on is"
        suggestion = Suggestion(sentence, difference, python=look.pyproject.dependencies)
    else:
        difference = f"{here[0]}: neither the package nor what it depends on is installed"
        suggestion = Suggestion(sentence, difference)
    draft.cannot(sentence, suggestion)


def conda(draft: Draft) -> None:
    """``environment.yml`` chooses Python's version and names packages of channels."""
    found = more_conda(draft)
    version = DEFAULT
    if found.python:
        path = draft.look.path(_conda_name(draft))
        version = cut_version(path, found.python)
        if "." in found.python or version != DEFAULT:
            draft.python_version = version
    draft.base_python = draft.language_version = version


def more_conda(draft: Draft) -> CondaEnvironment:
    """An ``environment.yml`` beside another language's file adds packages alone."""
    name = _conda_name(draft)
    data = draft.apply(name) if name else None
    if data is None:
        return CondaEnvironment()
    path = draft.look.path(name)
    found = parse_conda(path, data)
    draft.conda = tuple(spec.text for spec in found.specs)
    draft.conda_channels = found.channels
    if found.pip:
        pip = Requirements()
        pip.read_lines(path, list(found.pip), draft.look.tree.files.get)
        _add(draft, pip)
    conda_notes(draft, path, found)
    if foreign := found.foreign:
        _foreign(draft, path, foreign, found.channels)
    return found


def pipfile(draft: Draft) -> None:
    """``Pipfile.lock`` counts before ``Pipfile``; each may say Python's version."""
    sources: dict[str, Pipenv] = {}
    for name, parse in (("Pipfile.lock", parse_pipfile_lock), ("Pipfile", parse_pipfile)):
        data = draft.apply(name)
        if data is not None:
            path = draft.look.path(name)
            sources[path] = parse(path, data)
    version = DEFAULT
    for path, source in sources.items():
        if source.python:
            version = cut_version(path, source.python)
            if "." in source.python or version != DEFAULT:
                draft.python_version = version
            break
    draft.base_python = draft.language_version = version
    counts = next(iter(sources.values()))
    draft.python.update(dict.fromkeys(counts.lines))
    draft.hashes.update(counts.hashes)
    draft.unsupported.update(dict.fromkeys(counts.unsupported))


def julia(draft: Draft) -> None:
    """``JuliaProject.toml`` counts before ``Project.toml``."""
    name = "JuliaProject.toml" if draft.look.has("JuliaProject.toml") else "Project.toml"
    data = draft.apply(name) or b""
    path = draft.look.path(name)
    found = parse_julia(path, data)
    draft.language_version = found.julia
    draft.julia_packages = found.packages
    exact = _manifest(draft, name)
    draft.cannot(
        f"{path} asks for Julia {found.julia} with {counted(len(found.packages), 'package')} "
        f"({_some(found.packages)}){exact} from Julia's registry General, which nothing here "
        f"resolves; {_INSTEAD}"
    )


def _manifest(draft: Draft, project: str) -> str:
    """Say what the manifest beside a project adds; nothing if there is none."""
    path = draft.look.path(MANIFESTS[project])
    data = draft.look.tree.files.get(path)
    if data is None:
        return ""
    draft.referred.add(path)
    draft.julia_versions = parse_manifest(path, data)
    return f", and with what they need {len(draft.julia_versions)} by {path},"


def julia_require(draft: Draft) -> None:
    """``REQUIRE`` is of Julia's first years; repo2docker finds it and then cannot build it."""
    path = draft.look.path("REQUIRE")
    found = parse_require(path, draft.apply("REQUIRE") or b"")
    draft.language_version = None
    draft.julia_packages = found.packages
    draft.cannot(
        f"{path} names {counted(len(found.packages), 'package')} ({_some(found.packages)}) for a "
        "Julia before 1.0, whose servers are gone; write a Project.toml"
    )


def post_build(draft: Draft) -> None:
    """``postBuild`` is a program that would run while the image is built."""
    if draft.apply("postBuild") is None:
        return
    draft.post_build = path = draft.look.path("postBuild")
    sentence = f"{path} would run while the image is built, and no lock holds what it does"
    draft.cannot(sentence, Suggestion(sentence, f"{path} was left out"))


def start(draft: Draft) -> None:
    """``start`` is a program that Binder runs before the session; an image here only carries it."""
    if draft.apply("start") is not None:
        draft.start = draft.look.path("start")
        draft.note(
            f"{draft.start} is run by Binder before a session; a train begins with its entry point "
            "and does not run it"
        )


_INSTEAD = "ask for them in environment.yml or apt.txt, or write a Dockerfile"
"""What can be done where nothing here resolves what is asked for; ends a sentence."""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "") if names else "none"


def _conda_name(draft: Draft) -> str:
    names = ("environment.yml", "environment.yaml")
    return next((name for name in names if draft.look.has(name)), "")


def _foreign(
    draft: Draft, path: str, foreign: Sequence[MatchSpec], from_channels: Sequence[str]
) -> None:
    """Say what has to come from channels, and where else all of it could be had."""
    channels = ", ".join(from_channels) or "defaults"
    names = ", ".join(spec.name for spec in foreign[:5])
    more = ", …" if len(foreign) > 5 else ""
    sentence = (
        f"{path} takes {counted(len(foreign), 'package')} ({names}{more}) from conda ({channels})"
    )
    draft.from_channels = sentence
    python, debian, nowhere = elsewhere(foreign)
    if nowhere:
        draft.from_channels = f"{sentence}; no other source is known for {', '.join(nowhere[:5])}"
        return
    places = " and ".join(
        f"{', '.join(names)} from {place}"
        for names, place in ((python, "PyPI"), (debian, "Debian's suite"))
        if names
    )
    difference = f"{path}: {places} instead of conda ({channels})"
    draft.suggestions.append(Suggestion(sentence, difference, tuple(debian), tuple(python)))


def _add(draft: Draft, found: Requirements) -> None:
    draft.python.update(dict.fromkeys(found.lines))
    draft.constraints.update(dict.fromkeys(found.constraints))
    draft.hashes.update(found.hashes)
    draft.referred.update(found.files)
    draft.unsupported.update(dict.fromkeys(found.unsupported))
