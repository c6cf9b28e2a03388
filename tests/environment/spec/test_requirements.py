"""requirements.txt: as pip reads it, and the one spelling of a requirement."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement

from branchline.environment.spec import SpecRefused, Tree, detect
from branchline.environment.spec.pep508 import NoRequirement, is_simple, read_requirement
from branchline.environment.spec.requirements import Requirements, logical_lines

HASH = "sha256:" + "a" * 64


def read(text: str | bytes, **others: str) -> Requirements:
    """Read a requirements file beside others (``name`` stands for ``name.txt``)."""
    files = {f"{name}.txt": content.encode() for name, content in others.items()}
    found = Requirements()
    data = text.encode() if isinstance(text, str) else text
    found.read_file("requirements.txt", data, files.get)
    return found


_names = st.text(st.sampled_from("aB1._-"), min_size=1, max_size=6)
_versions = st.text(st.sampled_from("0129.a*"), min_size=1, max_size=5)
_signs = st.sampled_from(["==", ">=", "<=", "!=", "<", ">", "~=", "===", "=", ""])
_near = st.one_of(
    st.builds(lambda n, s, v: n + s + v, _names, _signs, _versions),
    _names,
    st.text(max_size=10),
)


@given(_near)
def test_what_is_recognised_at_once_is_what_the_parser_reads(text: str) -> None:
    """A simple requirement is one to packaging, too, and already in the one spelling."""
    try:
        expected = str(Requirement(text))
    except InvalidRequirement:
        assert not is_simple(text)
        with pytest.raises(NoRequirement):
            read_requirement(text)
        return
    if is_simple(text):
        assert expected == text
    assert read_requirement(text) == (expected, "")


def test_most_lines_are_recognised_at_once() -> None:
    """The quick way is not an empty promise."""
    for text in ("numpy", "scikit-learn==1.5.2", "a.b_c>=0", "x~=1.2", "x<10", "x!=3.0.1"):
        assert is_simple(text)


LINES: dict[str, tuple[str, list[str]]] = {
    "spelling": ("NumPy >= 1 , <2 # why", ["NumPy<2,>=1"]),
    "extras and markers": (
        "a[z,y]==1 ; python_version<'3'",
        ['a[y,z]==1; python_version < "3"'],
    ),
    "joined lines": ("numpy \\\n  >=1\npandas\\\n", ["numpy>=1", "pandas"]),
    "a comment between joined lines": ("numpy \\\n# no\n>=1\nsix", ["numpy", ">=1"]),
    "a number sign within": ("numpy>=1#no\n", []),
    "line ends of all systems": ("a\r\nb\rc\nd", ["a", "b", "c", "d"]),
    "options that are met anyway": (
        "--require-hashes\n--only-binary :all:\n--prefer-binary\nsix",
        ["six"],
    ),
}


@pytest.mark.parametrize("name", ["spelling", "extras and markers", "joined lines"])
def test_lines_are_read_as_pip_reads_them(name: str) -> None:
    """Comments, continued lines, extras, markers."""
    text, expected = LINES[name]
    assert read(text).lines == expected


def test_line_ends_and_options() -> None:
    """Every system's line ends; options that a lock meets anyway."""
    for name in ("line ends of all systems", "options that are met anyway"):
        text, expected = LINES[name]
        assert read(text).lines == expected


_texts = st.lists(st.text(st.sampled_from("ab= \\#-\t"), max_size=8), max_size=6)


@given(_texts)
def test_lines_are_joined_as_pip_joins_them(lines: list[str]) -> None:
    """The same logical lines as pip's own reader makes of them."""
    pip: Any = import_module("pip._internal.req.req_file")
    theirs = pip.ignore_comments(pip.join_lines(enumerate(lines, 1)))
    assert list(logical_lines(lines)) == [(n, text) for n, text in theirs]


def test_hashes_are_kept_beside_their_requirement() -> None:
    """On one line, or on continued ones; with an equals sign or a space."""
    other = HASH.replace("aaa", "bbb")
    found = read(f"a==1 --hash={HASH} --hash {other}\nb==2 \\\n --hash={HASH}\nc")
    assert found.lines == ["a==1", "b==2", "c"]
    assert found.hashes == {"a==1": (HASH, other), "b==2": (HASH,)}


def test_other_files_are_read_once_and_in_place() -> None:
    """``-r`` and ``-c`` in all their spellings, in a circle, and below each other."""
    found = read(
        "one\n-r more.txt\n--requirement=more.txt\n-cbounds.txt\n-c 'bounds.txt'\ntwo",
        more="six\n-r requirements.txt\n-r ./even.txt",
        even="-r more.txt\nattrs",
        bounds="six<2\n-r other.txt",
        other="attrs<30",
    )
    assert found.lines == ["one", "six", "attrs", "two"]
    assert found.constraints == ["six<2", "attrs<30"]
    assert sorted(found.files) == [
        "bounds.txt", "even.txt", "more.txt", "other.txt", "requirements.txt",
    ]  # fmt: skip


REFUSED: dict[str, tuple[str, str]] = {
    "one equals sign": ("numpy=1.2", "two equals signs"),
    "an unknown option": ("--index", "'--index'"),
    "another option behind": ("six --no-deps", "'--no-deps' after its requirement"),
    "a short hash": ("six --hash=sha256:12", "'--hash=sha256:12' after"),
    "a path outside": ("-r ../../etc/passwd", "outside the folder"),
    "an absolute path": ("-r /etc/passwd", "outside the folder"),
    "a URL": ("-r https://files.invalid/x.txt", "outside the folder"),
    "a missing file": ("-r absent.txt", "'absent.txt', which is not there"),
    "no file": ("-r", "must name one file"),
    "two files": ("-r a.txt b.txt", "must name one file"),
    "a shell's sign": ("six; echo x", "not a requirement"),
    "a marker nobody knows": ("six; colour == 'red'", "not a requirement"),
    "a requirement of terrible length": ("six" + " " * 3000 + ">1", "3005 characters"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_line_is_named(name: str) -> None:
    """The sentence names file and line and what stands there."""
    line, said = REFUSED[name]
    with pytest.raises(SpecRefused, match=said) as refused:
        read("# first\n" + line)
    assert refused.value.file == "requirements.txt"
    assert refused.value.line == 2


def test_more_files_than_anybody_has_are_refused() -> None:
    """A chain of references ends."""
    others = {f"f{i}": f"-r f{i + 1}.txt" for i in range(200)}
    with pytest.raises(SpecRefused, match="more than 100 files"):
        read("-r f0.txt", **others)


def test_a_secret_in_an_index_url_is_not_told() -> None:
    """What cannot be locked is named by line and option, never by its value."""
    found = read("-i https://me:secret@index.invalid\nx @ https://me:secret@files.invalid/x.whl\n")
    assert len(found.unsupported) == 2
    assert "secret" not in str(found.unsupported)
    assert "line 1" in found.unsupported[0]
    assert "'x'" in found.unsupported[1]


def test_a_secret_in_a_refused_line_is_not_told() -> None:
    """A line that is no requirement is shown without what may be a password."""
    for line in (
        "x @ https://me:secret@files.invalid/a b c",
        "six --pip=https://me:secret@i.invalid",
    ):
        with pytest.raises(SpecRefused) as refused:
            read(line)
        assert "secret" not in str(refused.value)


ENCODED: Mapping[str, bytes] = {
    "UTF-8": "six # ü".encode(),
    "UTF-8 with a mark": b"\xef\xbb\xbfsix",
    "UTF-16": "six".encode("utf-16"),
    "UTF-16, the other end first": b"\xfe\xff" + "six".encode("utf-16-be"),
    "UTF-32": "six".encode("utf-32"),
    "a name in a comment": b"# M\xfcller\nsix # \xe9",
    "a coding comment": "# -*- coding: latin-1 -*-\nsix # é".encode("latin-1"),
    "a coding comment on the second line": b"# x\n# vim: set fileencoding=cp1252 :\nsix",
}


@pytest.mark.parametrize("name", ENCODED)
def test_encodings(name: str) -> None:
    """Whatever an editor may have left."""
    assert read(ENCODED[name]).lines == ["six"]


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing else is raised."""
    try:
        said = str(detect(Tree({"requirements.txt": data})).unsupported)
    except SpecRefused as error:
        said = str(error)
    assert "\n" not in said
