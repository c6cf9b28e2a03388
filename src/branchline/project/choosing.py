"""Which files git keeps, which git-annex: by the repository's own rule, and by the rules of data."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence

from branchline.project.activity.files import BLOBS, FOLDER
from branchline.project.changes import Change
from branchline.project.data.rules import Handling, Rules
from branchline.project.differing import unlocked_among
from branchline.project.git.largefiles import Rule, rule_of
from branchline.project.place import Project

_OWN_FILES = frozenset(("branchline.toml", ".gitattributes", ".gitignore", ".gitmodules"))
"""What git and Branchline themselves must be able to read in every clone."""


def exposed(project: Project, paths: Sequence[str], seen: Collection[str]) -> list[Change]:
    """Return the confidential files that git itself keeps: a rule may be younger than they are."""
    rules = project.rules
    if project.annex.uuid is None or _needs_git_annex(project):
        return []
    if not any(Handling((rule,)).closed for rule in rules.rules):
        return []
    found = []
    for line in project.git.lines("ls-files", "-s", "-z", "--", *paths):
        meta, _, path = line.partition("\t")
        mode, name, _ = meta.split()
        if mode.startswith("100") and path not in seen and is_closed(rules, path):
            found.append(Change(path, ".", "M", name, int(mode, 8)))
    unlocked = unlocked_among(project, found)
    return [c for c in found if c.path not in unlocked and (project.root / c.path).is_file()]


def is_closed(rules: Rules, path: str) -> bool:
    """Tell whether a path is one whose content git itself must not keep."""
    own = path.startswith(f"{FOLDER}/") and not path.startswith(f"{BLOBS}/")
    return not own and path not in _OWN_FILES and rules.rule_for(path).closed


def chooser(project: Project, paths: Sequence[str]) -> Callable[[str, int], str]:
    """Return what says of a path and size: ``git``, ``annex``, or ``ask`` git-annex itself.

    What a rule calls confidential always goes to git-annex: ``keyed``, under a name that nobody can
    guess; ``force``, where only git-annex knows its way.
    """
    choose, rules = _by_attributes(project, paths), project.rules
    if not rules.rules:
        return choose
    closed = "force" if _needs_git_annex(project) else "keyed"
    return lambda path, size: closed if is_closed(rules, path) else choose(path, size)


def _by_attributes(project: Project, paths: Sequence[str]) -> Callable[[str, int], str]:
    own = project.git.own
    if _needs_git_annex(project):
        return lambda _path, _size: "ask"
    words = ("check-attr", "-z", "--stdin", "annex.largefiles", "annex.backend")
    feed = b"".join(os.fsencode(path) + b"\0" for path in paths)
    said = project.git.lines(*words, feed=feed) if paths else []
    rules: dict[str, dict[str, str]] = {}
    for path, name, value in zip(said[::3], said[1::3], said[2::3], strict=True):
        rules.setdefault(path, {})[name] = value
    setting = own.get("annex.largefiles")

    def choose(path: str, size: int) -> str:
        if any(part.startswith(".") for part in path.split("/")):
            return "git"
        text = setting or rules[path]["annex.largefiles"]
        if text in ("unspecified", "set", "unset"):
            return "ask"
        rule: Rule | None = rule_of(text)
        if rule is None:
            return "ask"
        if not rule(path, size):
            return "git"
        backend = own.get("annex.backend") or rules[path]["annex.backend"]
        return "annex" if backend in ("SHA256E", "unspecified") else "ask"

    return choose


def _needs_git_annex(project: Project) -> bool:
    """Tell whether the repository is of a kind in which only git-annex itself knows its way."""
    own = project.git.own
    unusual = ("annex.crippledfilesystem", "annex.addunlocked", "annex.private", "annex.dotfiles")
    adjusted = (project.git.where()[1] or "").startswith("adjusted/")
    return adjusted or own.get("annex.version") != "10" or any(name in own for name in unusual)
