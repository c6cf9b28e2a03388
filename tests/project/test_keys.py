"""Git-annex's names and places, and its rule of what it takes, as git-annex itself has them."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.project.conftest import Scene, run

from branchline.foundation.digest import digest_of
from branchline.project.git.keys import (
    digest_of_key,
    file_of_key,
    is_forgeable,
    key_in_link,
    key_in_pointer,
    key_of,
    key_of_file,
    link_of,
    log_place,
    object_place,
    size_of_key,
)
from branchline.project.git.largefiles import rule_of


def test_places_are_those_of_git_annex(scene: Scene) -> None:
    """For a few hundred keys, both hashed folders are what git-annex computes."""
    keys = [
        key_of(digest_of(b"%d" % i), i, f"f{i}{'.nii.gz' if i % 2 else ''}") for i in range(300)
    ]
    (scene.root / "keys").write_text("\n".join(keys) + "\n")
    words = ("git-annex examinekey --json --batch < keys",)
    said = [json.loads(line) for line in run(scene.root, "bash", "-c", *words).splitlines()]
    assert [each["key"] for each in said] == keys
    for each in said:
        key = each["key"]
        assert object_place(key) == f"{each['hashdirmixed']}{key}/{key}"
        assert log_place(key) == f"{each['hashdirlower']}{key}.log"
        assert size_of_key(key) == int(each["bytesize"])


def test_names_with_signs_of_addresses_have_git_annexs_places(scene: Scene) -> None:
    """Of data that are known by their address alone, as DataLad has them."""
    addresses = ("http://h/a", "http://h/a%20b&c:d", "https://h:8/x?a=1&s=2", "http://h/&a&c%")
    keys = [f"URL--{address}" for address in addresses]
    (scene.root / "keys").write_text("\n".join(keys) + "\n")
    said = run(scene.root, "bash", "-c", "git-annex examinekey --json --batch < keys").splitlines()
    for key, each in zip(keys, map(json.loads, said), strict=True):
        name = file_of_key(key)
        assert key_of_file(name) == each["key"] == key
        assert f".git/annex/objects/{object_place(name)}" == each["objectpath"]
        assert log_place(name) == f"{each['hashdirlower']}{name}.log"


@given(st.binary(max_size=40), st.text(max_size=40).filter(lambda t: "/" not in t))
def test_a_key_gives_back_digest_and_size(content: bytes, name: str) -> None:
    """A link or pointer to it gives back the key, whatever the file is called."""
    key = key_of(digest_of(content), len(content), name)
    assert digest_of_key(key) == "sha256:" + hashlib.sha256(content).hexdigest()
    assert size_of_key(key) == len(content)
    assert key_in_link(link_of("data/sub/x", key)) == key
    assert key_in_pointer(f"/annex/objects/{key}\n".encode()) == key


def test_other_links_name_no_key() -> None:
    """Links into the project, and to folders that only look like the annex, are other links."""
    for target in ("../code/x.py", ".git/annex/objects/x", "../.git/annex/objects/aa/bb/A/B"):
        assert key_in_link(target) is None


@pytest.mark.parametrize(
    ("text", "path", "size", "expected"),
    [
        ("anything", "a", 0, True),
        ("nothing", "a", 9, False),
        ("largerthan=1MiB", "a", 1 << 20, False),
        ("largerthan=1MiB", "a", (1 << 20) + 1, True),
        ("largerthan=100kb and not include=*.py", "x/y.py", 200_000, False),
        ("(largerthan=1kb or include=*.bin) and exclude=tmp/*", "tmp/a.bin", 1, False),
        ("(largerthan=1kb or include=*.bin)", "a.bin", 1, True),
        ("not (smallerthan=10b)", "a", 10, True),
    ],
)
def test_rules_are_judged(text: str, path: str, size: int, expected: bool) -> None:
    """Sizes, names, and their combinations."""
    rule = rule_of(text)
    assert rule is not None
    assert rule(path, size) is expected


@pytest.mark.parametrize(
    "text", ["mimeencoding=binary", "largerthan=many", "(anything", "anything)", "and", ""]
)
def test_rules_that_only_git_annex_can_judge_are_left_to_it(text: str) -> None:
    """Nothing is guessed."""
    assert rule_of(text) is None


@pytest.mark.parametrize(
    ("key", "forgeable"),
    [
        ("SHA256E-s3--" + "0" * 64 + ".csv", False),
        ("SHA3_512-s3--" + "0" * 128, False),
        ("BLAKE2B160E-s3--" + "0" * 40, False),
        ("WORM-s3-m1700000000--a.csv", True),
        ("URL--http&c%%example.org%a", True),
        ("MD5E-s3--" + "0" * 32 + ".csv", True),
        ("SHA1-s3--" + "0" * 40, True),
        ("GIT--" + "0" * 40, True),
        ("XOWN-s3--0", True),
        ("no key", True),
    ],
)
def test_some_names_can_be_borne_by_other_content(key: str, forgeable: bool) -> None:
    """Only a digest that holds says which content is meant."""
    assert is_forgeable(key) is forgeable
