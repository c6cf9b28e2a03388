"""Hold what would leave against the rules, before the first byte of it does.

Names of files and what git keeps go with every push; content in git-annex goes by its key. A content
is judged by every path at which it ever stood: moving a file does not set it free.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import NotAllowed
from branchline.project.data.judging import Audience, why_not
from branchline.project.data.rules import Rules
from branchline.project.git.command import Git
from branchline.project.git.keys import key_in_link, key_in_pointer
from branchline.project.git.objects import read_objects
from branchline.project.git.program import OURS
from branchline.project.names import shown

HOOK = "pre-push"
_MARK = b"branchline data guard"
_ANNEX_HOOK = (
    b"#!/bin/sh\n"
    b"# automatically configured by git-annex\n"
    b"if git annex pre-push --help >/dev/null 2>&1; then git annex pre-push; fi\n"
)
_LINK = "120000"
_FILES = ("100644", "100755")
_SMALL = 32 << 10
_RAW = ("--raw", "-z", "-m", "--root", "--no-renames", "--no-abbrev", "--no-ext-diff", "--format=")
_ALL = (
    *("--exclude=refs/heads/git-annex", "--exclude=refs/remotes/*/git-annex"),
    *("--exclude=refs/heads/synced/git-annex", "--all"),
)


def check_push(
    git: Git,
    rules: Rules,
    place: str | None,
    tips: Sequence[str],
    known: Sequence[str],
    today: date,
    audience: Audience = "private",
) -> None:
    """Refuse to send commits whose files, as git keeps them, may not be at a place.

    Args:
        git: The repository's git.
        rules: The project's.
        place: Where to; None for a place that the rules do not describe.
        tips: The commits that are sent, with all before them.
        known: What the place has already: commits, or words of git that name some.
        today: The day.
        audience: Who can read there.

    Raises:
        NotAllowed: One may not; the sentence names it. Nothing was sent.
    """
    if not rules.rules or not tips:
        return
    reasons: dict[str, str] = {}
    suspects: dict[str, set[str]] = {}
    for mode, blob, path in _history(git, (*tips, "--not", *known)):
        if (
            mode not in _FILES
            or (reason := why_not(rules.rule_for(path), place, today, audience)) is None
        ):
            continue
        reasons[path] = reason
        suspects.setdefault(blob, set()).add(path)
    pointers = _pointers(git, list(suspects))
    found = sorted({p for blob, paths in suspects.items() if blob not in pointers for p in paths})
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise NotAllowed(
            f"{shown(found[0])}{more} is kept in git itself, and may not go to "
            f"{place or 'that place'}: {reasons[found[0]]}",
            advice="Nothing was sent. Send a branch whose history never had it",
            detail={"paths": [shown(path) for path in found[:100]]},
        )


def judge_keys(
    git: Git,
    rules: Rules,
    keys: Iterable[str],
    place: str | None,
    today: date,
    audience: Audience = "private",
    *,
    stood: Mapping[str, Collection[str]] | None = None,
) -> dict[str, str | None]:
    """Return for each content why it may not go to a place, or None if it may.

    Args:
        git: The repository's git; a bare one will do.
        rules: The project's.
        keys: Git-annex's names of contents.
        place: Where to; None for a place that the rules do not describe.
        today: The day.
        audience: Who can read there.
        stood: Where each content ever stood, if it was asked before; see `paths_of_keys`.
    """
    wanted = list(dict.fromkeys(keys))
    if not rules.rules:
        return dict.fromkeys(wanted)
    known = paths_of_keys(git) if stood is None else stood
    said: dict[str, str | None] = {}
    for key in wanted:
        paths = known.get(key)
        if paths:
            said[key] = why_not(rules.rule_for(*paths), place, today, audience)
        else:
            said[key] = "no file of the project has it, so no rule can be held against it"
    return said


def paths_of_keys(git: Git, tips: Sequence[str] = _ALL) -> dict[str, set[str]]:
    """Return every path at which each content of git-annex ever stood.

    Args:
        git: The repository's git.
        tips: The commits whose history counts: all branches but git-annex's own by default.
    """
    entries = [(mode, blob, path) for mode, blob, path in _history(git, tips)]
    if "true" not in git.word("rev-parse", "--is-bare-repository"):
        for line in git.lines("ls-files", "-s", "-z"):
            meta, _, path = line.partition("\t")
            entries.append((meta.split()[0], meta.split()[1], path))
    links = list(dict.fromkeys(blob for mode, blob, _ in entries if mode == _LINK))
    asked = "".join(f"{blob}\n" for blob in links).encode()
    targets = zip(links, read_objects(git, asked, len(links)) if links else [], strict=True)
    keys = {blob: key for blob, target in targets if (key := key_in_link(os.fsdecode(target)))}
    keys |= _pointers(git, [blob for mode, blob, _ in entries if mode in _FILES])
    found: dict[str, set[str]] = {}
    for _, blob, path in entries:
        if blob in keys:
            found.setdefault(keys[blob], set()).add(path)
    return found


def install_hook(root: Path) -> bool:
    """Put a hook of ours in place, by which a plain ``git push`` asks the rules, too.

    It is this clone's own: no repository brings it along. Git-annex's own goes on in it; one that
    somebody else wrote stays as it is.

    Returns:
        Whether the hook that stands there now is ours.
    """
    file = root / ".git" / "hooks" / HOOK
    text = _hook()
    if os.path.lexists(file):
        there = file.read_bytes()
        if there == text:
            return True
        if _MARK not in there and there != _ANNEX_HOOK:
            return False
    make_folder(file.parent, 0o755)
    write_durably(file, text, mode=0o755)
    return True


def _hook() -> bytes:
    python, ours = shlex.quote(OURS[0]), shlex.join(OURS)
    lines = (
        "#!/bin/sh",
        f"# {_MARK.decode()}: refuses to send what the rules in branchline.toml keep here.",
        "lines=$(cat)",
        f"if [ ! -x {python} ]; then",
        "  echo 'Branchline is gone from this machine: nobody can tell what may be sent.' >&2",
        "  echo 'Install it anew, or remove .git/hooks/pre-push.' >&2",
        "  exit 1",
        "fi",
        f'printf "%s\\n" "$lines" | {ours} data guard -- "$1" "$2" || exit 1',
        *_ANNEX_HOOK.decode().splitlines()[2:],
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _history(git: Git, words: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield mode, content and path of every file that a history ever held."""
    parts = git.run("log", *_RAW, *words, "--").split(b"\0")
    at = 0
    while at + 1 < len(parts):
        meta = parts[at].strip().split()
        if not meta or not meta[0].startswith(b":"):
            at += 1
            continue
        if meta[4] != b"D":
            yield meta[1].decode(), meta[3].decode(), os.fsdecode(parts[at + 1])
        at += 2


def _pointers(git: Git, blobs: Sequence[str]) -> dict[str, str]:
    """Return which contents are pointers of unlocked files, with the key each names."""
    names = list(dict.fromkeys(blobs))
    if not names:
        return {}
    asked = "".join(f"{name}\n" for name in names).encode()
    sizes = git.run("cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer", feed=asked)
    lines = [line.split() for line in sizes.decode().splitlines()]
    small = [line[0] for line in lines if line[-1].isdigit() and int(line[-1]) <= _SMALL]
    asked = "".join(f"{name}\n" for name in small).encode()
    contents = read_objects(git, asked, len(small)) if small else []
    return {
        name: key
        for name, text in zip(small, contents, strict=True)
        if (key := key_in_pointer(text))
    }
