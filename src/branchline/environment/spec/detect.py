"""Which pack wins, what it applies, and what that amounts to: repo2docker's rules as tables.

The rules are those of repo2docker 2026.4.0; where they differ on purpose, ``differences`` says so.
"""

from __future__ import annotations

from branchline.environment.spec import applying, applying_r, telling
from branchline.environment.spec.detected import Detected
from branchline.environment.spec.draft import Draft, Look
from branchline.environment.spec.refusal import SpecRefused
from branchline.environment.spec.tree import Tree

_LEGACY = "andrewosh/binder-base"

# What each winner applies, in the order in which it counts.
_PYTHON = (
    applying.python_of_runtime,
    applying.apt,
    applying.requirements,
    applying.server_requirements,
    applying.package,
    applying.post_build,
    applying.start,
)
_STEPS = {
    "Docker": (applying.dockerfile,),
    "Nix": (applying.nix, applying.apt, applying.post_build, applying.start),
    "Conda": (applying.conda, applying.apt, applying.post_build, applying.start),
    "Pipfile": (
        applying.pipfile,
        applying.apt,
        applying.server_requirements,
        applying.post_build,
        applying.start,
    ),
    "Python": _PYTHON,
    "default": _PYTHON,
    "JuliaProjectToml": (*_PYTHON, applying.more_conda, applying.julia),
    "JuliaRequire": (*_PYTHON, applying.more_conda, applying.julia_require),
    "R": (*_PYTHON, applying.more_conda, applying_r.r),
}


def detect(tree: Tree) -> Detected:
    """Say what would be built from a tree, and why.

    Raises:
        SpecRefused: The tree contradicts itself, or a file that counts is malformed, hostile or too
            large.
    """
    look = Look(tree, _folder(tree))
    _refuse_legacy(look)
    winner = _winner(look)
    draft = Draft(look, winner)
    telling.runtime_notes(draft)
    for step in _STEPS[winner]:
        step(draft)
    telling.version_note(draft)
    telling.ignored_notes(draft)
    return draft.detected()


def _folder(tree: Tree) -> str:
    """Return where spec files count: ``binder``, ``.binder``, or empty for the root."""
    if {"binder", ".binder"} <= tree.folders:
        raise SpecRefused(
            "",
            "The folder has both binder and .binder, and only one may hold the spec files",
            reason="binder and .binder",
            advice="Remove one of the two",
        )
    return next((name for name in ("binder", ".binder") if name in tree.folders), "")


def _refuse_legacy(look: Look) -> None:
    """Refuse what the first Binder understood, as repo2docker does before all else."""
    data = look.tree.files.get("Dockerfile")
    if data is None:
        if "Dockerfile" in look.tree.folders:
            raise look.is_folder("Dockerfile")
        return
    for line in look.lines("Dockerfile", data):
        if line.startswith("FROM"):
            if _LEGACY in line.partition("#")[0].lower():
                raise SpecRefused(
                    "Dockerfile",
                    f"begins from {_LEGACY}, which has not been built since 2020",
                    reason="legacy Dockerfile",
                    advice="Name another image, or list the packages in requirements.txt",
                )
            return


def _winner(look: Look) -> str:
    """Return the first pack that matches."""
    if look.has("Dockerfile"):
        return "Docker"
    if look.has("Project.toml") or look.has("JuliaProject.toml"):
        return "JuliaProjectToml"
    if look.has("REQUIRE"):
        return "JuliaRequire"
    if look.has("default.nix"):
        return "Nix"
    runtime = look.runtime
    if (runtime.name == "r" and runtime.date) or look.in_root("DESCRIPTION"):
        return "R"
    if look.has("environment.yml") or look.has("environment.yaml"):
        return "Conda"
    named = runtime.name
    if (look.has("Pipfile") or look.has("Pipfile.lock")) and named in (None, "python"):
        return "Pipfile"
    if named is not None:
        return "Python" if named == "python" else "default"
    if look.is_package or look.has("requirements.txt"):
        return "Python"
    return "default"
