"""A lock on disk: ``branchline.lock``, ``pylock.toml`` beside it, and the evidence below.

Texts are written before the lock that names them: a crash in between leaves the old lock beside a
text it does not name, which reading notices, and locking again mends.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from branchline.environment.lock.debian.resolve import release_date
from branchline.environment.lock.locking import Locked
from branchline.environment.lock.model import LOCK_NAME, PYLOCK_NAME, Lock, Sha256, parse_lock
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import Conflict, Corrupt, NotFound

EVIDENCE = Path("environment") / "evidence"
"""Where the release files' texts lie, as ``<sha256>.InRelease``."""

_AGAIN = "Take it from where it was kept, or lock again with 'branchline environment lock'"


def read_lock(folder: Path) -> Lock:
    """Read a folder's lock.

    Raises:
        NotFound: It has none.
        Corrupt: It was changed since it was written.
    """
    try:
        return parse_lock((folder / LOCK_NAME).read_bytes())
    except FileNotFoundError:
        raise NotFound(
            f"{folder.absolute()} has no {LOCK_NAME}",
            advice="Make one with 'branchline environment lock'",
        ) from None


def read_locked(folder: Path) -> Locked:
    """Read a folder's lock and what lies beside it, all of it checked.

    Raises:
        NotFound: There is no lock, or something it names is missing.
        Corrupt: The lock, or something it names, was changed.
    """
    lock = read_lock(folder)
    return Locked(lock, _pylock(lock, folder), _evidence(lock, folder))


def check_lock(lock: Lock, folder: Path) -> None:
    """Check what lies beside a lock against it: ``pylock.toml`` and the release files.

    Raises:
        NotFound: One of them is missing; the sentence names it.
        Corrupt: One of them is not what the lock names, or does not say what the lock says of it.
    """
    _pylock(lock, folder)
    _evidence(lock, folder)


def write_locked(locked: Locked, folder: Path) -> None:
    """Write a lock and what belongs beside it; evidence that no lock names any more is removed.

    Raises:
        Conflict: There is a ``pylock.toml`` that was not made by locking.
    """
    refuse_foreign(folder)
    evidence = make_folder(folder / EVIDENCE, 0o755)
    names = {f"{name}.InRelease" for name in locked.evidence}
    for name, text in locked.evidence.items():
        _write(evidence / f"{name}.InRelease", text)
    pylock = folder / PYLOCK_NAME
    if locked.pylock:
        _write(pylock, locked.pylock)
    _write(folder / LOCK_NAME, locked.lock.text.encode())
    if not locked.pylock:
        pylock.unlink(missing_ok=True)
    for file in evidence.glob("*.InRelease"):
        if file.name not in names:
            file.unlink()


def refuse_foreign(folder: Path) -> None:
    """Refuse to write over a ``pylock.toml`` that another program's user made.

    Raises:
        Conflict: There is one, and no lock beside it.
    """
    if (folder / PYLOCK_NAME).exists() and not (folder / LOCK_NAME).exists():
        raise Conflict(
            f"{folder.absolute()} has a {PYLOCK_NAME} and no {LOCK_NAME}, so locking did not make it",
            advice="Give it another name, such as pylock.own.toml, or remove it",
        )


def _pylock(lock: Lock, folder: Path) -> bytes:
    if lock.python is None:
        return b""
    return _read(folder / PYLOCK_NAME, lock.python.pylock_sha256)


def _evidence(lock: Lock, folder: Path) -> dict[Sha256, bytes]:
    found = {}
    for release in lock.debian.releases:
        name = release.inrelease_sha256
        text = _read(folder / EVIDENCE / f"{name}.InRelease", name)
        if release_date(text, release.suite) != release.date:
            raise Corrupt(
                f"The release file of {release.suite} is not of {release.date}", advice=_AGAIN
            )
        found[name] = text
    return found


def _read(file: Path, name: Sha256) -> bytes:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{file.name}, which {LOCK_NAME} names, is missing", advice=_AGAIN) from None
    if sha256(data).hexdigest() != name:
        raise Corrupt(f"{file.name} was changed since {LOCK_NAME} was written", advice=_AGAIN)
    return data


def _write(file: Path, data: bytes) -> None:
    """Write a file unless it is so already: what did not change keeps its date."""
    if not file.is_file() or file.read_bytes() != data:
        write_durably(file, data)
