"""environment.yml: the quick reader is the YAML reader, bounds hold, and what stands for what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from branchline.environment.spec import Detected, SpecRefused, Tree, detect
from branchline.environment.spec.conda import parse_conda, parse_match_spec
from branchline.environment.spec.conda_lines import read_quickly
from branchline.environment.spec.elsewhere import elsewhere, on_pypi
from branchline.environment.spec.yaml_values import MAX_NODES, NotText, Value, read_yaml

FILE = "environment.yml"

_pieces = st.sampled_from(
    ["name: x", "name:", "prefix: /opt", "channels:", "dependencies:", "- numpy", "  - numpy=1.2",
     "    - scipy >=1 # why", "  - pip:", "- pip:", "    - six", "      - attrs==1", "# comment", "",
     "  # inner", "  - 'a: b'", '  - "six"', "  - null", "  - 3.8", "  - conda-forge::six", "\t- x",
     "  - a # b", "  -  a", "  - a:b", "  - a: b", "  -", "---", "...", "other: 1", "  continued",
     "  - [a]", "  - -r x", "  - True", "  - a  ", "channels: [x]", "  - 'it''s'", "  - é", "  - ~"]
)  # fmt: skip


@given(st.lists(_pieces, max_size=9))
def test_the_quick_reader_reads_as_yaml_does(lines: list[str]) -> None:
    """Where it does not give up, its answer is the parser's."""
    quick = read_quickly(lines)
    if quick:
        assert quick == read_yaml(FILE, "\n".join(lines).encode())


def test_the_quick_reader_reads_what_nearly_everybody_writes() -> None:
    """It is not an empty promise."""
    text = """\
name: analysis
# where from
channels:
  - conda-forge
dependencies:
  - python=3.9   # pinned
  - numpy>=1.2,<2
  - 'scipy'
  - pip
  - pip:
    - six==1.16
"""
    found = read_quickly(text.split("\n"))
    assert found is not None
    assert found["dependencies"][-1] == {"pip": ["six==1.16"]}


def _plain(value: object) -> object:
    if isinstance(value, NotText):
        return YAML(typ="safe", pure=True).load(value.written)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


_documents = st.recursive(
    st.sampled_from(
        ["a", "'1'", '"b c"', "3", "-1.5", "true", "no", "null", "~", "0o7", "1e3", ".5"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(["k", "l", "m"]), inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        )
    ),
    max_leaves=8,
)


@given(_documents)
def test_values_are_those_of_another_reader(text: str) -> None:
    """YAML 1.2's core schema, as another library has it."""
    assert _plain(read_yaml(FILE, text.encode())) == YAML(typ="safe", pure=True).load(text)


@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"#,? \n1~"), max_size=25))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else is raised, and what another library reads, too, it reads as the same."""
    try:
        own = read_yaml(FILE, text.encode())
    except SpecRefused:
        return
    try:
        theirs = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return  # the two differ on a few texts that no file holds, such as "|#"
    assert _plain(own) == theirs


BOMBS = {
    "deep lists": "[" * 1000,
    "deep mappings": "{a: " * 1000,
    "mappings as keys": "{" * 1000,
    "many values": "x: [" + ",\n".join(["a, a, a"] * (MAX_NODES // 3)) + "]",
    "aliases of aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "\n".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "an alias within itself": "a: &a [*a]",
    "a merge": "a: &a {x: y}\nb: {<<: *a}",
    "a tag": "a: !!python/object/apply:os.system [x]",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_go_off(name: str) -> None:
    """One sentence with the line, and no time spent."""
    with pytest.raises(SpecRefused) as refused:
        parse_conda(FILE, BOMBS[name].encode())
    assert refused.value.line > 0


SPECS = {
    "numpy": ("numpy", ""),
    "NumPy": ("numpy", ""),
    "conda-forge::numpy=1.2=py_0": ("numpy", "=1.2=py_0"),
    "numpy 1.2 py_0": ("numpy", "1.2 py_0"),
    "numpy >=1.2,<2|3.*": ("numpy", ">=1.2,<2|3.*"),
    "numpy[version='>=1',build=x]": ("numpy", ""),
    "https://x.invalid/c::numpy": ("numpy", ""),
    "_libgcc_mutex=0.1": ("_libgcc_mutex", "=0.1"),
}


@pytest.mark.parametrize("text", SPECS)
def test_match_specs(text: str) -> None:
    """Name and version of what conda calls a match spec."""
    spec = parse_match_spec(FILE, text)
    assert (spec.name, spec.version) == SPECS[text]


@pytest.mark.parametrize("text", ["", "a b; c", "../x", "$(x)", "a\nb", "-x", "x.tar.bz2@"])
def test_what_is_no_match_spec(text: str) -> None:
    """Refused, and shown."""
    if text == "a\nb":
        assert parse_match_spec(FILE, text).name == "a"
        return
    with pytest.raises(SpecRefused, match="not a conda match spec"):
        parse_match_spec(FILE, text)


def found(text: str) -> Detected:
    """Detect a tree with this environment.yml."""
    return detect(Tree({FILE: text.encode()}))


def test_python_and_its_installers_need_no_channel() -> None:
    """An environment of Python, pip and what pip adds can be locked as it is."""
    said = found("channels: [x]\ndependencies: [python=3.11, pip, setuptools, {pip: [six, -e .]}]")
    assert (said.python_version, said.python) == ("3.11", ("six",))
    assert len(said.unsupported) == 1
    assert "-e" in said.unsupported[0]
    assert found("dependencies: [python=3.11, pip, {pip: [six]}]").unsupported == ()


def test_channels_are_named_without_their_secrets() -> None:
    """A password or token in a channel's address is in no field and no sentence."""
    said = found(
        "channels: ['https://me:secret@c.invalid/t/tk-secret/own', bioconda]\ndependencies: [samtools]"
    )
    assert said.conda_channels == ("https://c.invalid/own", "bioconda")
    assert "secret" not in repr(said)
    assert "https://c.invalid/own, bioconda" in said.from_channels
    assert said.suggestions == ()
    assert "secret" not in repr(
        found("dependencies: ['https://me:secret@c.invalid/t/a-secret/x::y']")
    )
    with pytest.raises(SpecRefused) as refused:
        found("dependencies: ['https://me:secret@c.invalid/t/a-secret/x y;z']")
    assert "secret" not in str(refused.value)


def test_what_is_had_elsewhere_is_suggested_and_recorded() -> None:
    """PyPI's and Debian's packages stand in, with consent, and the difference is told."""
    said = found(
        "channels: [conda-forge]\ndependencies: [numpy=1.26, pytorch, r-base, r-survival, git]"
    )
    assert said.python == ()
    accepted, differences = said.accepting_suggestions()
    assert accepted.python == ("numpy==1.26.*", "torch")
    assert accepted.debian == ("git", "r-base-core", "r-cran-survival")
    assert (said.unsupported, accepted.unsupported) == ((), ())
    assert "5 packages" in said.from_channels
    assert accepted.from_channels == ""
    assert differences == (
        "environment.yml: numpy==1.26.*, torch from PyPI and r-base-core, r-cran-survival, git "
        "from Debian's suite instead of conda (conda-forge)",
    )


def test_one_package_that_is_nowhere_else_spoils_the_suggestion() -> None:
    """A part of an environment is never suggested."""
    said = found("dependencies: [numpy, samtools]")
    assert said.suggestions == ()
    assert "no other source is known for samtools" in said.from_channels


VERSIONS = {
    "numpy": "numpy",
    "jupyter_server>=2": "jupyter-server>=2",
    "numpy=1.26": "numpy==1.26.*",
    "numpy=1.26.*": "numpy==1.26.*",
    "numpy 1.26.*": "numpy==1.26.*",
    "numpy==1.26": "numpy==1.26",
    "numpy 1.26": "numpy==1.26",
    "numpy=1.26=py39_0": "numpy==1.26",
    "numpy 1.26 py39_0": "numpy==1.26",
    "numpy>=1.2, <2": "numpy<2,>=1.2",
    "numpy=*": "",
    "numpy>=1|2": "",
    "numpy=1.2*": "",
    "numpy[version=1]": "",
    "numpy=2013b": "",
    "samtools": "",
}


@pytest.mark.parametrize("text", VERSIONS)
def test_versions_are_carried_over_or_not_at_all(text: str) -> None:
    """conda's fuzzy and exact versions in Python's words."""
    assert on_pypi(parse_match_spec(FILE, text)) == VERSIONS[text]


def test_elsewhere_sorts_by_place() -> None:
    """Requirements, Debian packages, and what has no other place."""
    specs = [parse_match_spec(FILE, text) for text in ("numpy", "make", "r-glue", "samtools")]
    assert elsewhere(specs) == (["numpy"], ["make", "r-cran-glue"], ["samtools"])


def test_value_types() -> None:
    """A scalar that is no text knows what was written."""
    value: Value | None = read_yaml(FILE, b"[3.10, yes, ~]")
    assert value == [NotText("3.10"), "yes", NotText("~")]
