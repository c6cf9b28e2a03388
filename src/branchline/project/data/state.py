"""What a commit of a project holds, read without its folder: files, lists, results of checks.

A hub reads it from its bare repository just as a clone does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from branchline.foundation.errors import NotFound
from branchline.project.activity.files import FOLDER, RECORD
from branchline.project.activity.record import Record, check_signature, read_record
from branchline.project.data.listing import items_of
from branchline.project.data.lists import parse_path, read_list
from branchline.project.git.command import Git
from branchline.project.git.objects import read_objects

CHECKS = "checks.toml"
_MARK = b'"type": "check"'


@dataclass(frozen=True)
class State:
    """What a commit holds.

    Args:
        checks: The text of ``checks.toml``; empty if there is none.
        contents: The name of each file's content, by path.
        lists: The digest of each list's version, by ``name`` (the latest) and ``name@number``.
        results: What records say of checks, oldest first, as plain JSON values.
    """

    checks: bytes
    contents: Mapping[str, str]
    lists: Mapping[str, str]
    results: tuple[dict[str, Any], ...]


def state_at(git: Git, commit: str) -> State:
    """Read what a commit holds; where it has no checks, nothing more is read than that.

    Args:
        git: The repository's git.
        commit: The commit.

    Raises:
        NotFound: There is no such commit.
        Corrupt: A record or list was changed.
    """
    found = git.run("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", accept=(0, 1, 128))
    if not found.strip():
        raise NotFound(f"There is no commit {commit[:40]!r}")
    (text,) = read_objects(git, f"{commit}:{CHECKS}\n".encode(), 1)
    if not text:
        return State(b"", {}, {}, ())
    files: dict[str, tuple[str, str]] = {}
    for line in git.lines("ls-tree", "-r", "-z", "--full-tree", commit):
        meta, _, path = line.partition("\t")
        files[path] = (meta.split()[0], meta.split()[2])
    own = {path: each for path, each in files.items() if not path.startswith(f"{FOLDER}/")}
    contents = {item.path: item.content for item in items_of(git, own)}
    return State(text, contents, _lists(git, files), tuple(_results(git, files)))


def _lists(git: Git, files: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    paths = [path for path in files if parse_path(path)]
    asked = "".join(f"{files[path][1]}\n" for path in paths).encode()
    texts = read_objects(git, asked, len(paths)) if paths else []
    made = [read_list(text, path) for path, text in zip(paths, texts, strict=True)]
    found: dict[str, str] = {}
    for each in sorted(made, key=lambda each: each.number):
        found[each.reference] = found[each.name] = each.digest
    return found


def _results(git: Git, files: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    names = [path for path in files if RECORD.match(path.removeprefix(f"{FOLDER}/"))]
    asked = "".join(f"{files[path][1]}\n" for path in names).encode()
    texts = read_objects(git, asked, len(names)) if names else []
    found: list[Record] = []
    for path, text in zip(names, texts, strict=True):
        if _MARK in text:
            signed = read_record(text, f"record {path}")
            check_signature(signed)
            found.append(signed.record)
    found.sort(key=lambda record: (record.at, record.clone, record.seq))
    details = [each for record in found if record.type == "check" for each in record.details]
    return [
        each.value for each in details if each.kind == "checks" and isinstance(each.value, dict)
    ]
