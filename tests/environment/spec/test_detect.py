"""What a detection says, beyond what is compared with repo2docker: the lock's input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.environment.spec.trees import write_tree

from branchline.cli.root import root
from branchline.environment.spec import Detected, SpecRefused, Tree, detect, read_tree


def of(**files: str) -> Detected:
    """Detect a tree; an underscore in a name stands for a dot."""
    return detect(Tree({name.replace("_", "."): text.encode() for name, text in files.items()}))


def test_nobody_asked_for_a_version() -> None:
    """repo2docker's default is shown, and is not taken for a wish."""
    found = of(requirements_txt="six")
    assert (found.language_version, found.python_version) == ("3.10", None)
    assert any("Nobody asks for a version of Python" in note for note in found.notes)
    bare = of(runtime_txt="python-3")
    assert (bare.language_version, bare.python_version) == ("3.10", None)
    for said in (bare, of(environment_yml="dependencies: [python>=3.9]")):
        assert not any("Nobody asks" in note for note in said.notes)


def test_somebody_asked_for_a_version() -> None:
    """By runtime.txt, environment.yml, Pipfile, or as a range by pyproject.toml."""
    assert of(runtime_txt="python-3.11").python_version == "3.11"
    assert of(runtime_txt="python-2").python_version == "2.7"
    assert of(environment_yml="dependencies: [python=3.9.1]").python_version == "3.9"
    assert of(Pipfile='[requires]\npython_version = "3.8"').python_version == "3.8"
    ranged = of(pyproject_toml='[project]\nname = "x"\nrequires-python = ">=3.11,<4"\n')
    assert (ranged.python_version, ranged.requires_python) == (None, "<4,>=3.11")
    assert ranged.language_version == "3.14"


def test_a_package_is_not_built_but_what_it_needs_can_be_had() -> None:
    """With consent, the dependencies of a pyproject.toml; of a setup.py nobody knows them."""
    text = '[project]\nname = "x"\ndependencies = ["six>=1", "attrs"]\n[build-system]\n'
    found = of(pyproject_toml=text, requirements_txt="numpy")
    assert found.package
    assert found.python == ("numpy",)
    accepted, differences = found.accepting_suggestions()
    assert accepted.python == ("numpy", "six>=1", "attrs")
    assert accepted.unsupported == ()
    assert differences == (
        "pyproject.toml: the package itself is not installed; what it depends on is",
    )
    unknown = of(setup_py="raise SystemExit").accepting_suggestions()
    assert unknown[0].python == ()
    assert unknown[1] == ("setup.py: neither the package nor what it depends on is installed",)


def test_programs_that_would_run_are_named() -> None:
    """postBuild is left out with consent only; start is told."""
    found = of(postBuild="#!/bin/sh", start="#!/bin/sh")
    assert (found.post_build, found.start) == ("postBuild", "start")
    assert found.accepting_suggestions()[1] == ("postBuild was left out",)
    assert any("start is run by Binder" in note for note in found.notes)


def test_a_dockerfile_counts_alone() -> None:
    """Everything else is ignored, and there is nothing to lock."""
    found = of(Dockerfile="FROM x", requirements_txt="six", apt_txt="curl")
    assert found.dockerfile
    assert (found.python, found.debian) == ((), ())
    assert found.ignored == ("apt.txt", "requirements.txt")
    assert found.suggestions == ()


def test_languages_that_nothing_resolves() -> None:
    """Julia and Nix are detected, named, and never half built."""
    julia = of(
        Project_toml='[deps]\nPlots = "9"\n[compat]\njulia = "1.10"\n', requirements_txt="six"
    )
    assert (julia.winner, julia.language_version) == ("JuliaProjectToml", "1.10")
    assert julia.julia_packages == ("Plots",)
    assert "Julia 1.10 with 1 package (Plots) from Julia's registry" in julia.unsupported[0]
    assert "write a Dockerfile" in julia.unsupported[0]
    assert "a Nix channel it does not name" in of(default_nix="{}").unsupported[0]
    nix = of(
        default_nix="# <old>\nimport <nixpkgs/lib> {} # <older>\n"
        'fetchTarball "https://me:secret@x.invalid/nixos.tar.gz"\n'
    )
    said = "the Nix channel nixpkgs, https://x.invalid/nixos.tar.gz, which nothing here resolves"
    assert said in nix.unsupported[0]
    assert "secret" not in nix.unsupported[0]


NIX = """
{ pkgs ? import <nixpkgs> {} }: /* buildInputs = [ old ]; */
pkgs.mkShell {
  name = "packages = [ none ]";
  nativeBuildInputs = with pkgs; [ git # curl
    (python3.withPackages (ps: with ps; [ numpy pandas ])) ];
  buildInputs = [ pkgs.jq (f { a = [ inner ]; }) rPackages.ggplot2 ];
  shellHook = ''paths = [ evil ];'';
"""


def test_the_plain_lists_of_a_nix_file_are_read() -> None:
    """Names in lists, not those in texts, comments and programs; and that it is no more than that."""
    found = of(default_nix=NIX)
    named = ("git", "jq", "python3", "python3.numpy", "python3.pandas", "rPackages.ggplot2")
    assert found.nix_packages == named
    assert "takes 6 packages (git, jq, " in found.unsupported[0]
    assert any("only Nix can say" in note for note in found.notes)


def test_all_that_julia_asks_for_is_read() -> None:
    """The manifest's exact versions, in both its forms, and the packages of a REQUIRE."""
    project = b'[deps]\nPlots = "9"\n'
    first = b'[[Plots]]\nversion = "1.39.0"\n[[Dates]]\nuuid = "x"\n'
    second = b'manifest_format = "2.0"\n[[deps.Plots]]\nversion = "1.39.0"\n[[deps.Dates]]\n'
    for manifest in (first, second):
        files = {"Project.toml": project, "Manifest.toml": manifest}
        found = detect(Tree(files))
        assert found.julia_versions == ("Dates", "Plots 1.39.0")
        assert "2 by Manifest.toml" in found.unsupported[0]
        assert set(found.files) == set(files)
    with pytest.raises(SpecRefused, match=r"Manifest\.toml.*manifest of Julia"):
        detect(Tree({"Project.toml": project, "Manifest.toml": b"Plots = 1\n"}))
    require = of(REQUIRE="julia 0.6\nPlots 0.9 1.0-\n@osx Homebrew # on a Mac\n")
    assert require.julia_packages == ("Homebrew", "Plots")
    with pytest.raises(SpecRefused, match=r"line 1.*no package"):
        of(REQUIRE="what is this?\n")


def test_a_manifest_is_read_from_the_folder(tmp_path: Path) -> None:
    """It is no spec file of its own: only beside a project is it looked at."""
    (tmp_path / "Manifest.toml").write_text("not toml")
    assert detect(read_tree(tmp_path)).winner == "default"
    (tmp_path / "Project.toml").write_text("")
    with pytest.raises(SpecRefused, match=r"Manifest\.toml"):
        detect(read_tree(tmp_path))


def run(*words: str) -> tuple[int, str, str]:
    """Run a command."""
    done = CliRunner().invoke(root, ["environment", "detect", *words])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_says_what_would_be_built_and_why(tmp_path: Path) -> None:
    """Text for people, all fields for programs; exit code 2 where no lock could hold it."""
    write_tree(tmp_path, {"requirements.txt": "six", "apt.txt": "curl", "binder.txt": ""})
    code, told, _ = run(str(tmp_path))
    assert code == 0
    assert "Debian      curl" in told
    assert "It can be locked as it is asked for" in told
    code, said, _ = run(str(tmp_path), "--json")
    assert json.loads(said)["lockable"] is True
    assert set(json.loads(said)) == {*Detected.__struct_fields__, "lockable"}
    write_tree(tmp_path, {"postBuild": "#!/bin/sh"})
    code, told, _ = run(str(tmp_path))
    assert code == 2
    assert "refused     postBuild would run" in told
    assert "consent     postBuild was left out" in told


def test_the_command_refuses_in_one_sentence(tmp_path: Path) -> None:
    """A malformed file is named with its line; signs that steer a terminal are not passed on."""
    write_tree(tmp_path, {"apt.txt": "ok\n\x1b[31mred\n"})
    code, told, error = run(str(tmp_path))
    assert (code, told) == (2, "")
    assert error.count("\n") == 1
    assert "apt.txt, line 2, says" in error
    assert "\x1b" not in error
    code, said, _ = run(str(tmp_path), "--json")
    assert json.loads(said)["detail"] == {
        "file": "apt.txt",
        "line": 2,
        "reason": "not a Debian package",
    }
