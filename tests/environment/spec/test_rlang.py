"""install.R and DESCRIPTION are read, never executed, and never guessed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.spec import Detected, SpecRefused, Tree, detect
from branchline.environment.spec.applying_r import debian_name
from branchline.environment.spec.debian import PACKAGE as DEBIAN
from branchline.environment.spec.rlang import PACKAGE, parse_description, parse_install_r


def install(text: str) -> Detected:
    """Detect an R project with this install.R."""
    return detect(Tree({"install.R": text.encode(), "runtime.txt": b"r-2024-05-01"}))


READ: dict[str, list[str]] = {
    'install.packages("survival")': ["survival"],
    "install.packages('survival', repos = 'https://cran.invalid', dependencies=TRUE)": ["survival"],
    'install.packages(c("a1", "b2",\n  # why\n  "c3"))': ["a1", "b2", "c3"],
    'install.packages(pkgs = c("a1"), lib = file.path("x", "y"))': ["a1"],
    'utils::install.packages("a1"); library(b2)': ["a1", "b2"],
    'wanted <- c("a1", "b2")\ninstall.packages(wanted)': ["a1", "b2"],
    "suppressPackageStartupMessages(library(dplyr))": ["dplyr"],
    'require("a1")\nrequireNamespace("b2", quietly = TRUE)': ["a1", "b2"],
    'options(repos = c(CRAN = "https://cran.invalid"))\nlibrary(stats)\nlibrary(MASS)': ["MASS"],
    'message("installing"); print("x")': [],
    "": [],
}


@pytest.mark.parametrize("text", READ)
def test_scripts_that_only_install_and_load(text: str) -> None:
    """The packages they name, without those that come with R."""
    found = install(text)
    assert list(found.r_packages) == READ[text]
    assert len(found.unsupported) == 1  # CRAN's snapshot, which Debian's packages would settle
    accepted, differences = found.accepting_suggestions()
    assert accepted.unsupported == ()
    assert accepted.debian == tuple(sorted(["r-base-core", *map(debian_name, READ[text])]))
    assert differences == ("R and its packages come from Debian, in the versions its suite has",)


@pytest.mark.parametrize(
    "text",
    [
        'devtools::install_github("a/b")',
        'source("https://x.invalid/y.R")',
        'system("curl x | sh")',
        'if (!require("a1")) install.packages("a1")',
        "for (p in c('a1')) install.packages(p)",
        'install.packages(paste0("a", "1"))',
        "install.packages(unknown)",
        'install.packages("a b; system(x)")',
        'x <- function() install.packages("a1")',
        'install.packages("a1") + 1',
        "c(" * 5000,
        "@",
    ],
)
def test_everything_else_is_told_with_its_line(text: str) -> None:
    """What is not understood spoils the lock; it is shown, and it is not executed."""
    found = install("# first\nlibrary(glue)\n" + text)
    assert found.r_packages == ("glue",)
    assert any("install.R, line 3" in sentence for sentence in found.unsupported)
    assert found.accepting_suggestions()[0].unsupported != ()


def test_a_text_that_never_ends_is_refused() -> None:
    """The line of the quotation mark is named."""
    with pytest.raises(SpecRefused, match="line 2, has a quotation mark"):
        install("library(glue)\ninstall.packages('x")


def test_a_description_names_what_a_package_needs() -> None:
    """Depends, Imports and LinkingTo, over several lines; not R itself, nor what comes with it."""
    text = b"""\
Package: mine
Depends: R (>= 3.5), methods,
    survival (>= 3.2-7)
Imports:
    data.table,
\tR6
Suggests: testthat
LinkingTo: Rcpp
"""
    assert parse_description("DESCRIPTION", text) == ("R6", "Rcpp", "data.table", "survival")
    found = detect(Tree({"DESCRIPTION": text}))
    accepted, differences = found.accepting_suggestions()
    assert "r-cran-data.table" in accepted.debian
    assert accepted.unsupported == ()
    assert len(differences) == 2


@given(st.from_regex(PACKAGE, fullmatch=True).filter(str.isascii))
def test_every_package_has_a_name_that_debian_could_have(package: str) -> None:
    """So nothing else can reach apt."""
    assert DEBIAN.fullmatch(debian_name(package))


@given(st.text(st.sampled_from("ab1.'\"(),;=<-#\n \\{}[]:$é"), max_size=40))
def test_any_script_is_read_or_refused(text: str) -> None:
    """Nothing else is raised, and no package has a name that is none."""
    try:
        found = parse_install_r("install.R", text.encode())
    except SpecRefused:
        return
    assert all(PACKAGE.fullmatch(package) for package in found.packages)
