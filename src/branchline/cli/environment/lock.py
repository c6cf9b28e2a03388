"""``branchline environment lock``: exact versions and hashes for what spec files ask for."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.environment.locks import diff_as_json, diff_as_text
from branchline.cli.frame import Answer, lines, verb, working

if TYPE_CHECKING:
    from branchline.environment.lock.diff import LockDiff
    from branchline.environment.lock.locking import Locked
    from branchline.environment.lock.wanted import Options
    from branchline.environment.spec import Detected

_EVERYTHING = "*"


@verb(
    None,
    "lock",
    "branchline environment lock ./my-project\nbranchline environment lock --upgrade jq",
)
@click.argument(
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    metavar="[DIR]",
)
@click.option("--with", "with_python", multiple=True, metavar="NAME", help="A Python requirement.")
@click.option("--deb", "with_debian", multiple=True, metavar="NAME", help="A Debian package.")
@click.option("--suite", help="The Debian suite, such as bookworm; else the one that fits.")
@click.option("--python", metavar="X.Y", help="Take the suite's Python, whatever was asked for.")
@click.option(
    "--upgrade",
    multiple=True,
    is_flag=False,
    flag_value=_EVERYTHING,
    metavar="[NAME]",
    help="Take the newest version of NAME, or of everything. Repeatable.",
)
@click.option("--no-runtime", is_flag=True, help="Leave out numpy and pyarrow: not for trains.")
@click.option(
    "--lab/--no-lab",
    default=None,
    help="Add a Jupyter server for 'lab', or leave it out; else as the earlier lock has it.",
)
@click.option("--accept-suggestions", is_flag=True, help="Take what 'detect' suggests instead.")
@click.option("--newest", metavar="DATE", help="Leave out Python packages published after DATE.")
@click.option("--offline", is_flag=True, help="Use the package lists at hand; ask nobody.")
def lock(
    folder: Path,
    with_python: tuple[str, ...],
    with_debian: tuple[str, ...],
    suite: str | None,
    python: str | None,
    upgrade: tuple[str, ...],
    no_runtime: bool,
    lab: bool | None,
    accept_suggestions: bool,
    newest: str | None,
    offline: bool,
) -> Answer:
    """Choose exact versions for what DIR's spec files ask for, and write them down with hashes.

    Writes branchline.lock, pylock.toml and the signed release files of Debian, as evidence. What
    an earlier lock holds stays where it can; --upgrade takes newer versions and shows what
    changed. Nothing is installed, and nothing of a package is run.
    """
    from branchline.environment.lock.diff import compare
    from branchline.environment.lock.folder import refuse_foreign, write_locked
    from branchline.environment.lock.wanted import Options, remembering
    from branchline.environment.spec import detect, read_tree

    options = Options(
        suite=suite,
        python=python,
        runtime=not no_runtime,
        lab=lab,
        with_python=with_python,
        with_debian=with_debian,
        accept=accept_suggestions,
        upgrade=None if _EVERYTHING in upgrade else upgrade,
        newest=newest,
        offline=offline,
    )
    start = time.monotonic()
    refuse_foreign(folder)
    detected = detect(read_tree(folder))
    by_hand = not detected.applied
    before, unread = _before(folder, needed=by_hand and not (with_python or with_debian))
    if by_hand and before is not None:
        # Nothing but the lock itself remembers what was asked for by hand.
        options = remembering(before.lock.spec, options)
    by_hand = by_hand and bool(options.with_python or options.with_debian)
    locked = _locked(None if by_hand else detected, before, options)
    write_locked(locked, folder)
    diff = compare(before.lock if before else None, locked.lock)
    notes = (*unread, *detected.notes, *locked.notes)
    return _answer(folder, replace(locked, notes=notes), before, diff, time.monotonic() - start)


def _before(folder: Path, *, needed: bool) -> tuple[Locked | None, tuple[str, ...]]:
    """Return the folder's lock as it is, and a note where there is one that is no good.

    Raises:
        Corrupt, NotFound: It is no good, and it alone says what to lock.
    """
    from branchline.environment.lock.folder import read_locked
    from branchline.environment.lock.model import LOCK_NAME
    from branchline.foundation.errors import Corrupt, NotFound

    if not (folder / LOCK_NAME).exists():
        return None, ()
    try:
        return read_locked(folder), ()
    except (Corrupt, NotFound) as error:
        if needed:
            raise
        return None, (f"Nothing of the earlier lock was kept: {error.refused}",)


def _locked(detected: Detected | None, before: Locked | None, options: Options) -> Locked:
    from branchline.environment.image.store import Store, default_store_folder
    from branchline.environment.lock.locking import lock_environment

    with working("locking") as progress:
        return lock_environment(
            detected, options, Store(default_store_folder()), before=before, progress=progress
        )


def _answer(
    folder: Path, locked: Locked, before: Locked | None, diff: LockDiff, seconds: float
) -> Answer:
    lock = locked.lock
    wheels = lock.python.wheels if lock.python else ()
    condas = lock.conda.packages if lock.conda else ()
    size = lock.packages_bytes
    data: dict[str, Any] = {
        "folder": str(folder),
        "lock": lock.digest,
        "suite": lock.debian.suite,
        "debian": len(lock.debian.packages),
        "conda": len(condas),
        "python": len(wheels),
        "bytes": size,
        "seconds": round(seconds, 3),
        "differences": list(lock.spec.differences),
        "notes": list(locked.notes),
    } | diff_as_json(diff)
    counted = f"{len(lock.debian.packages)} Debian packages of {lock.debian.suite}"
    counted += f", {len(condas)} of conda's" if condas else ""
    counted += f" and {len(wheels)} of Python" if wheels else ""
    changed = "" if before is None else diff_as_text(diff) or "Nothing changed"
    return Answer(
        data,
        lines(
            changed,
            f"{counted}, {size / 1e6:.1f} MB",
            *(f"difference  {sentence}" for sentence in lock.spec.differences),
            *(f"note        {sentence}" for sentence in locked.notes),
            lock.digest,
        ),
    )
