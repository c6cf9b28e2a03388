"""Names of confidential contents that nobody can guess: HMAC-SHA-256 under a secret of the project.

Git-annex's usual names are digests. Whoever has the repository and a guess of a small content can
tell whether he is right. Here a name is made with a secret that is not in the repository. The backend
is ours, ``XHMACSHA256``; git-annex asks the program ``git-annex-backend-XHMACSHA256`` (`backend`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from branchline.foundation.durable import make_folder, write_once
from branchline.foundation.errors import Corrupt

BACKEND = "XHMACSHA256"
_KEY = re.compile(
    rf"^{BACKEND}-s(?P<size>[0-9]+)--(?P<id>[0-9a-f]{{16}})-(?P<mac>[0-9a-f]{{64}})\Z"
)
_ID = re.compile(r"^[0-9a-f]{16}\Z")
_SECRET = 32
_NAMING = b"branchline data key v1\n"
_PIECE = 1 << 20


class DataKey:
    """A secret under which contents are named.

    Args:
        secret: 32 random bytes.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != _SECRET:
            raise Corrupt("A data key has 32 bytes")
        self._secret = secret
        self.id = hashlib.sha256(_NAMING + secret).hexdigest()[:16]

    @classmethod
    def create(cls) -> DataKey:
        """Make one."""
        return cls(secrets.token_bytes(_SECRET))

    def state(self) -> hmac.HMAC:
        """Return what content is fed to."""
        return hmac.new(self._secret, digestmod="sha256")

    def name(self, mac: bytes, size: int) -> str:
        """Return git-annex's name of the content that has this code and size."""
        return f"{BACKEND}-s{size}--{self.id}-{mac.hex()}"

    def name_of_file(self, file: Path) -> str:
        """Return git-annex's name of a file's content."""
        state, size = self.state(), 0
        with file.open("rb") as stream:
            while piece := stream.read(_PIECE):
                state.update(piece)
                size += len(piece)
        return self.name(state.digest(), size)

    @property
    def secret(self) -> bytes:
        """The 32 bytes, to be sealed to somebody."""
        return self._secret

    def __repr__(self) -> str:
        return f"DataKey({self.id})"


def is_keyed(key: str) -> bool:
    """Tell whether a content's name is one of these."""
    return _KEY.match(key) is not None


def key_id_of(key: str) -> str | None:
    """Return which secret a content's name was made with; None for other names."""
    found = _KEY.match(key)
    return found["id"] if found else None


def keyring(root: Path) -> Path:
    """Return where a clone keeps its data keys: in ``.git``, which is never sent."""
    return root / ".git" / "branchline" / "data-keys"


def held(root: Path, key_id: str) -> DataKey | None:
    """Return a data key of a clone; None if it does not have it.

    Raises:
        Corrupt: Its file has been changed.
    """
    if not _ID.match(key_id):
        return None
    file = keyring(root) / key_id
    try:
        found = DataKey(file.read_bytes())
    except FileNotFoundError:
        return None
    if found.id != key_id:
        raise Corrupt(f"The file {file} is damaged", advice="Accept the data key anew")
    return found


def keep(root: Path, key: DataKey) -> None:
    """Keep a data key in a clone; one that is there already stays."""
    folder = make_folder(keyring(root))
    write_once(folder / key.id, key.secret, mode=0o600)


def holds_any(root: Path) -> bool:
    """Tell whether a clone has any data key."""
    folder = keyring(root)
    return folder.is_dir() and any(_ID.match(file.name) for file in folder.iterdir())
