"""Pipfile and its lock: packages as requirements, and what no lock can hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.spec import Detected, SpecRefused, Tree, detect

HASH = "sha256:" + "a" * 64


def pipfile(text: str) -> Detected:
    """Detect a tree with this Pipfile."""
    return detect(Tree({"Pipfile": text.encode()}))


def lock(value: object, beside: str = "") -> Detected:
    """Detect a tree with this lock."""
    return detect(Tree({"Pipfile.lock": json.dumps(value).encode(), "Pipfile": beside.encode()}))


def test_packages_become_requirements() -> None:
    """Versions, extras and markers; development's, too, as Binder installs them."""
    found = pipfile("""\
[[source]]
name = "pypi"
url = "https://index.invalid/simple"
verify_ssl = true

[packages]
numpy = "*"
pandas = "~=2.0"
uvicorn = {version = ">=0.20", extras = ["standard"], markers = "python_version >= '3.9'"}
colorama = {version = "*", sys_platform = "== 'win32'", os_name = "== 'nt'"}

[dev-packages]
pytest = {version = "==8.0"}
""")
    assert found.python == (
        "numpy",
        "pandas~=2.0",
        'uvicorn[standard]>=0.20; python_version >= "3.9"',
        'colorama; os_name == "nt" and sys_platform == "win32"',
        "pytest==8.0",
    )
    assert found.unsupported == ()


def test_a_lock_counts_before_its_pipfile() -> None:
    """Its exact versions and hashes; the Pipfile still says Python's version."""
    found = lock(
        {
            "_meta": {},
            "default": {"six": {"version": "==1.16.0", "hashes": [HASH], "index": "pypi"}},
        },
        beside='[packages]\nattrs = "*"\n[requires]\npython_version = "3.11"\n',
    )
    assert found.python == ("six==1.16.0",)
    assert found.hashes == {"six==1.16.0": (HASH,)}
    assert found.python_version == "3.11"
    assert found.applied == ("Pipfile", "Pipfile.lock")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[packages]\nx = {git = 'https://me:secret@git.invalid', ref = 'main'}", "'x' from a git"),
        ("[packages]\nx = {path = '.', editable = true}", "'x' from a path"),
        ("[packages]\nx = {version = '*', index = 'own'}", "from the index 'own'"),
        ("[[source]]\nname = 'own'\nurl = 'https://me:secret@i.invalid'", "the source 'own'"),
    ],
)
def test_other_sources_cannot_be_locked(content: str, said: str) -> None:
    """Named, without the address, which may hold a secret."""
    found = pipfile(content)
    assert said in found.unsupported[0]
    assert "secret" not in repr(found)
    assert found.python == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[packages]\nsix = 'one'", "'one' of 'six', which is no version"),
        ("[packages]\nsix = '1.0'", "no version of it"),
        ("[packages]\n'a b' = '*'", "'a b'"),
        ("[packages]\nsix = ['*']", "neither a version nor a table"),
        ("[packages]\nsix = {vresion = '*'}", "'vresion' of 'six'"),
        ("[packages]\nsix = {version = 1}", "does not say in texts"),
        ("[packages]\nsix = {version = '*', extras = 'x'}", "does not say in texts"),
        ("[packages]\nsix = {version = '*', markers = 'x'}", "not a requirement"),
        ("[packages]\nsix = {version = '*', hashes = ['md5:1']}", "hashes of 'six' that are none"),
        ("source = [1]", "a source that is not a table"),
        ("[requires]\npython_version = 3", "python_version that is not a text"),
        ("[packages]\nsix = '*'\nsix = '*'\n", "line 3, is not TOML"),
    ],
)
def test_malformed_pipfiles(content: str, said: str) -> None:
    """One sentence each."""
    with pytest.raises(SpecRefused, match=said):
        pipfile(content)


@pytest.mark.parametrize(
    "value",
    [[], {"_meta": []}, {"default": []}, {"_meta": {"requires": []}}, {"default": {"six": 1}}],
)
def test_malformed_locks(value: object) -> None:
    """Refused, with what to do."""
    with pytest.raises(SpecRefused):
        lock(value)


def test_nesting_in_a_lock_is_bounded() -> None:
    """A hundred thousand brackets are refused in a sentence."""
    with pytest.raises(SpecRefused, match="nested too deeply"):
        detect(Tree({"Pipfile.lock": b"[" * 100_000}))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["_meta", "requires", "default", "version", "hashes", "six"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(_json)
def test_any_lock_is_read_or_refused(value: object) -> None:
    """Nothing else is raised."""
    try:
        assert lock(value).winner == "Pipfile"
    except SpecRefused:
        return
