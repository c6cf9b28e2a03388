"""What a person should be told: what has no effect, or another than one may think."""

from __future__ import annotations

from branchline.environment.spec.conda import CondaEnvironment
from branchline.environment.spec.draft import Draft
from branchline.environment.spec.names import SPELLINGS
from branchline.environment.spec.pythons import DEFAULT, MAJORS
from branchline.environment.spec.refusal import shown

_MOST = 20

_WHY = {
    "Conda": {
        "requirements.txt": "environment.yml alone counts; list its lines there, below '- pip:'",
        "runtime.txt": "environment.yml alone chooses the version of Python",
        "environment.yaml": "environment.yml counts before it",
    },
    "Pipfile": {
        "requirements.txt": "the Pipfile alone counts",
        "runtime.txt": "the Pipfile alone chooses the version of Python",
    },
    "JuliaProjectToml": {"Project.toml": "JuliaProject.toml counts before it"},
}
"""Why a winner ignores a file, where there is more to say than that it does."""


def runtime_notes(draft: Draft) -> None:
    """Tell what ``runtime.txt`` asks for in vain."""
    if draft.winner in ("Docker", "Nix", "Conda", "Pipfile"):
        return
    runtime, path = draft.look.runtime, draft.look.path("runtime.txt")
    if runtime.name == "python":
        if runtime.date:
            draft.note(f"{path}: the date {runtime.date} has no effect for Python")
        if runtime.version in MAJORS:
            chosen = MAJORS[runtime.version]
            draft.note(f"{path} asks for Python {runtime.version}; that is read as {chosen}")
            draft.version_told = True
    elif runtime.name == "r":
        if not runtime.date and draft.winner != "R":
            draft.cannot(
                f"{path} asks for R without a date, and so does not get it: R needs a date, as in "
                f"r-{runtime.version}-2024-05-01"
            )
    elif runtime.name is not None:
        hint = "; Julia is asked for by a Project.toml" if runtime.name == "julia" else ""
        draft.cannot(
            f"{path} asks for {shown(runtime.name)}, which it cannot choose: the words it knows "
            f"are python and r, in lower case{hint}"
        )


def conda_notes(draft: Draft, path: str, found: CondaEnvironment) -> None:
    """Tell how an ``environment.yml`` was read."""
    for key in found.unread[:_MOST]:
        draft.note(f"{path}: {shown(key)} has no effect here")
    if draft.winner != "Conda" or found.python:
        return
    for spec in found.specs:
        if spec.name == "python" and spec.version:
            draft.note(
                f"{path} says {shown(spec.text)}, of which Binder reads no version and takes "
                f"{DEFAULT}: write python=x.y"
            )
            draft.version_told = True


def pyproject_note(draft: Draft) -> None:
    """Tell that a ``pyproject.toml`` may be no package."""
    project = draft.look.pyproject
    if not draft.look.is_package and (project.dependencies or project.requires_python):
        draft.note(
            "pyproject.toml has no [build-system], so neither the folder nor what it depends on is "
            "installed"
        )


def version_note(draft: Draft) -> None:
    """Tell that nobody asked for the version that Binder would take."""
    asked = draft.python_version or draft.requires_python or draft.version_told
    if draft.winner in ("Conda", "Pipfile", "Python", "default") and not asked:
        draft.note(
            f"Nobody asks for a version of Python; Binder takes {draft.base_python} today, and "
            "another one some day"
        )


def ignored_notes(draft: Draft) -> None:
    """Tell of each spec file that has no effect, and why; and of names that are nearly right."""
    look = draft.look
    for path in draft.ignored()[:_MOST]:
        name = path.rpartition("/")[2]
        if look.folder and not path.startswith(look.folder + "/"):
            why = f"the folder {look.folder} is there, so spec files count in it alone"
        elif look.folder and name in ("setup.py", "pyproject.toml", "DESCRIPTION"):
            why = "it counts in the root alone"
        elif name == "install.R":
            why = "only R projects run it: write runtime.txt as in r-4.4-2024-05-01"
        elif name == "requirements3.txt":
            why = "it counts only for a Python older than 3.7"
        elif name == "runtime.txt" and draft.winner == "default":
            continue
        elif draft.winner == "default" and name in ("Pipfile", "Pipfile.lock"):
            why = "runtime.txt asks for something other than python"
        else:
            plain = f"the pack {draft.winner} does not use it"
            why = _WHY.get(draft.winner, {}).get(name, plain)
        draft.note(f"{path} has no effect: {why}")
    for path in look.tree.misspelt[:_MOST]:
        right = SPELLINGS[path.rpartition("/")[2].lower()]
        draft.note(f"{path} has no effect: the name is {right}")


def counted(number: int, word: str) -> str:
    """Write a number with its word: ``1 package``, ``2 packages``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
