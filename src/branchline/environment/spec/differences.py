"""Where detection differs from repo2docker's on purpose; everything else is equal, and tested so.

The page ``docs/reference/environment-specs.md`` shows this very table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """In which way the two differ."""

    REFUSED = "refused"
    """Detection refuses what repo2docker takes."""

    ACCEPTED = "accepted"
    """Detection takes what repo2docker refuses."""

    NOT_LOCKED = "not locked"
    """Detection agrees; a lock is refused, since it would hold a part of what was asked for."""


@dataclass(frozen=True)
class Difference:
    """One difference.

    Args:
        key: Its name.
        kind: In which way.
        given: What is given.
        theirs: What repo2docker 2026.4.0 does with it.
        ours: What is done here.
        reasons: The refusals' reasons, where it is one.
    """

    key: str
    kind: Kind
    given: str
    theirs: str
    ours: str
    reasons: tuple[str, ...] = ()


_R, _A, _N = Kind.REFUSED, Kind.ACCEPTED, Kind.NOT_LOCKED

DIFFERENCES = (
    Difference(
        "apt-shell",
        _R,
        "`apt.txt`: a line with more than a package, such as `curl; echo x`",
        "puts it into a shell line that root runs",
        "refuses the line",
        ("not a Debian package",),
    ),
    Difference(
        "apt-option",
        _R,
        "`apt.txt`: an option, such as `--allow-unauthenticated`",
        "hands it to apt-get",
        "refuses the line",
        ("not a Debian package",),
    ),
    Difference(
        "apt-several",
        _R,
        "`apt.txt`: several packages on one line",
        "installs them all, though its rule says one a line",
        "refuses the line",
        ("not a Debian package",),
    ),
    Difference(
        "requirements-line",
        _R,
        "`requirements.txt`: a line that pip cannot read",
        "does not look; the build fails",
        "refuses the line",
        ("not a requirement", "unknown option", "malformed line"),
    ),
    Difference(
        "requirements-reference",
        _R,
        "`requirements.txt`: `-r` or `-c` with a file that is missing or outside the folder",
        "does not look; the build fails, or takes what lies there",
        "refuses the line",
        ("refers to a missing file", "refers outside"),
    ),
    Difference(
        "requirements-encoding",
        _R,
        "`requirements.txt` with bytes that are no UTF-8 outside comments, and no word on why",
        "guesses the encoding",
        "refuses the file",
        ("not UTF-8", "unknown encoding", "wrong encoding"),
    ),
    Difference(
        "environment-form",
        _R,
        "`environment.yml`: dependencies that are no list; an entry, channel or pip section of "
        "another form than conda's",
        "skips what it does not know",
        "refuses the file",
        ("malformed environment.yml",),
    ),
    Difference(
        "environment-spec",
        _R,
        "`environment.yml`: a dependency that is no match spec",
        "does not look; the build fails",
        "refuses the file",
        ("not a match spec",),
    ),
    Difference(
        "environment-yaml",
        _R,
        "`environment.yml`: YAML's tags, merges (`<<`), keys that are no texts, aliases within "
        "themselves",
        "reads them",
        "refuses the line",
        ("merge or tag", "not a text", "not YAML"),
    ),
    Difference(
        "environment-bomb",
        _R,
        "`environment.yml`: deep nesting, or aliases that stand for millions of values",
        "takes exponential time or memory",
        "refuses the file once it stands for more than 20 000 values, or nests more than 16 deep",
        ("too deep", "too large", "not a text"),
    ),
    Difference(
        "folder",
        _R,
        "a folder named `setup.py`, `postBuild`, `start`, `default.nix`, `REQUIRE` or `DESCRIPTION`",
        "takes it for the file",
        "refuses it",
        ("not a regular file",),
    ),
    Difference(
        "link-outside",
        _R,
        "a spec file that is a symbolic link out of the folder",
        "reads what lies there",
        "refuses it; links within the folder are followed",
        ("symbolic link",),
    ),
    Difference(
        "link-nowhere",
        _R,
        "a spec file that is a symbolic link to nothing",
        "takes it for missing",
        "refuses it",
        ("symbolic link",),
    ),
    Difference(
        "pipe",
        _R,
        "a named pipe or another special file under a spec file's name",
        "waits for ever",
        "refuses it",
        ("not a regular file",),
    ),
    Difference(
        "size",
        _R,
        "a spec file of more than 1 MiB (`Pipfile.lock`: 8 MiB), 20 000 lines, or 10 000 characters "
        "in a line",
        "reads it",
        "refuses it",
        ("too large",),
    ),
    Difference(
        "runtime-date",
        _R,
        "`runtime.txt`: a date with a time behind it, such as `r-2024-05-01T00`",
        "drops the time",
        "refuses it",
        ("malformed runtime.txt",),
    ),
    Difference(
        "runtime-r",
        _R,
        "`runtime.txt`: an R version of three parts that are no numbers, such as `r-a.b.c-2024-05-01`",
        "puts it into shell lines that root runs",
        "refuses it",
        ("unknown R version",),
    ),
    Difference(
        "description-runtime",
        _R,
        "`DESCRIPTION` beside a `runtime.txt` for another language whose version R happens to have, "
        "such as `python-3.6`",
        "installs R 3.6.3",
        "refuses the contradiction",
        ("conflicting languages",),
    ),
    Difference(
        "r-form",
        _R,
        "`DESCRIPTION` or `install.R` that is not well formed",
        "does not look; the build fails",
        "refuses the file",
        ("malformed DESCRIPTION", "malformed install.R", "not UTF-8"),
    ),
    Difference(
        "pipfile-form",
        _R,
        "`Pipfile` or `Pipfile.lock`: packages, sources or [requires] of another form than pipenv's",
        "does not look; the build fails",
        "refuses the file",
        ("malformed Pipfile", "malformed Pipfile.lock"),
    ),
    Difference(
        "toml-lax",
        _R,
        "`Pipfile` or `Project.toml` that is not TOML 1.0, but that an old reader lets pass",
        "reads something",
        "refuses the line",
        ("not TOML",),
    ),
    Difference(
        "toml-strict",
        _A,
        "`Pipfile` or `Project.toml` that is TOML 1.0, but that an old reader does not know, such as "
        "a list of mixed types",
        "fails",
        "reads it",
    ),
    Difference(
        "pyproject-form",
        _R,
        "`pyproject.toml`: a [project] that is no table, dependencies that are no requirements, or no "
        "TOML beside a `setup.py`",
        "does not look; the build fails",
        "refuses the file",
        ("malformed pyproject.toml", "not a requirement", "not TOML"),
    ),
    Difference(
        "julia-unmet",
        _A,
        "`Project.toml`: a constraint that no version of Julia meets",
        "asks Julia's servers and fails",
        "asks nobody; says that nothing here resolves Julia",
    ),
    Difference(
        "julia-form",
        _R,
        "`Project.toml`: a constraint of four numbers, or [deps] that is no table",
        "reads the constraint; does not look at [deps]",
        "refuses the file",
        ("malformed Project.toml",),
    ),
    Difference(
        "julia-lists",
        _R,
        "`REQUIRE` or `Manifest.toml` of another form than Julia's",
        "does not look",
        "refuses the file",
        ("malformed REQUIRE", "malformed Manifest.toml"),
    ),
    Difference(
        "r-without-date",
        _N,
        "`runtime.txt` = `r-4.1`, without a date",
        "builds a plain Python, without R and without a word",
        "says that R needs a date",
    ),
    Difference(
        "runtime-word",
        _N,
        "`runtime.txt` with a word that is neither `python` nor `r`, such as `julia-1.6`, `Python-3.9`",
        "builds a plain Python without a word",
        "names the word",
    ),
    Difference(
        "requirements-source",
        _N,
        "`requirements.txt`: another index, `-e`, URLs and paths, `--pre`, `${VARIABLES}`",
        "hands them to pip",
        "names the line; a lock holds versions from the one index",
    ),
    Difference(
        "pipfile-source",
        _N,
        "`Pipfile`: another source than PyPI, or packages from git, paths and files",
        "hands them to pipenv",
        "names them",
    ),
    Difference(
        "package",
        _N,
        "the folder is a Python or R package (`setup.py`, `pyproject.toml`, `DESCRIPTION`)",
        "runs its build",
        "names it; with consent, its dependencies alone are taken",
    ),
    Difference(
        "conda",
        _N,
        "`environment.yml` with packages other than Python, pip, setuptools and wheel",
        "asks the channels",
        "asks them, too, where they can be reached, else names them; with consent, packages that "
        "PyPI or Debian has, too, are taken there",
    ),
    Difference(
        "r-packages",
        _N,
        "R projects",
        "takes R and packages from a snapshot of CRAN; runs `install.R`",
        "reads `install.R` and `DESCRIPTION`; with consent, takes Debian's `r-cran-…` packages",
    ),
    Difference(
        "post-build",
        _N,
        "`postBuild`",
        "runs it while the image is built",
        "names it; with consent, leaves it out",
    ),
    Difference(
        "old-python",
        _N,
        "`requirements3.txt` beside a Python older than 3.7",
        "builds a second Python for the server",
        "says that an image has one",
    ),
    Difference(
        "languages",
        _N,
        "`Project.toml`, `JuliaProject.toml`, `REQUIRE`, `default.nix`",
        "asks Julia's or Nix's servers (for `REQUIRE`: plans, then fails)",
        "names what nothing here resolves",
    ),
    Difference(
        "dockerfile",
        _N,
        "`Dockerfile`",
        "builds it",
        "says that it cannot be locked; it can be built, marked as not reproducible",
    ),
)
"""Every difference."""
