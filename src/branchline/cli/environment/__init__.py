"""``branchline environment``: from the files people have to a locked, reproducible image."""

from __future__ import annotations

from branchline.cli.lazy import LazyGroup, Table

_E = "branchline.cli.environment"

COMMANDS: Table = {
    "detect": (
        f"{_E}.detect:detect",
        "Show what would be built from a folder's spec files, why, and what has no effect.",
    ),
    "survey": (
        f"{_E}.survey:survey",
        "Report what many environments ask for, and how far a shared layer would serve them.",
    ),
    "lock": (
        f"{_E}.lock:lock",
        "Choose exact versions for what DIR's spec files ask for, and write them down with hashes.",
    ),
    "audit": (
        f"{_E}.audit:audit",
        "Hold a lock against known weaknesses, and name the security updates it lacks.",
    ),
    "sbom": (
        f"{_E}.sbom:sbom",
        "List an environment's parts with hashes, sources and licences, as CycloneDX 1.6.",
    ),
    "diff": (
        f"{_E}.diff:diff",
        "Show what differs between two locks: packages added, removed, changed; security updates.",
    ),
    "build": (
        f"{_E}.build:build",
        "Build the root filesystem image of a lock, and write its digest into the lock.",
    ),
    "show": (
        f"{_E}.show:show",
        "Show what an image was made from, when, by whom it is signed, and how large its layers are.",
    ),
    "verify": (
        f"{_E}.verify:verify",
        "Read every file of an image and compare it with what the image's digest says.",
    ),
    "export": (
        f"{_E}.export:export",
        "Write an image into one file, for a machine with no network; or bring it to a registry.",
    ),
    "import": (
        f"{_E}.export:import_",
        "Take an image in from a file written by 'export', or from a registry.",
    ),
    "gc": (
        f"{_E}.gc:gc",
        "Remove layers, files and trees that no image of the store needs, and what builds left behind.",
    ),
    "push": (
        f"{_E}.push:push",
        "Bring an image to central: the one named, or the one that was built from a lock.",
    ),
    "run": (
        f"{_E}.run:run",
        "Run a command in an environment: an image, or the one that was built from a lock.",
    ),
    "shell": (
        f"{_E}.run:shell",
        "Open a shell in an environment: an image, or the one that was built from a lock.",
    ),
    "lab": (
        f"{_E}.lab:lab",
        "Start JupyterLab in an environment; its address, with a token, is printed.",
    ),
}
"""Every command of the group, by name, in the order of its help."""

environment = LazyGroup(
    "environment", COMMANDS, help="Detect, lock, build and run reproducible environments."
)
