"""Under which names git-annex's branch keeps what is about a content; pure.

Source: git-annex's page "internals", section "the git-annex branch".
"""

from __future__ import annotations

from hashlib import md5


def key_of_file(name: str) -> str:
    """Return the key that a file of git-annex's is named for."""
    plain = name.replace("%", "/").replace("&c", ":").replace("&s", "%")
    return plain.replace("&a", "&")


def file_of_key(key: str) -> str:
    """Return what git-annex names a file for a key."""
    plain = key.replace("&", "&a").replace("%", "&s").replace(":", "&c")
    return plain.replace("/", "%")


def place_of(key: str) -> str:
    """Return the two folders in which git-annex keeps what is about a key."""
    name = md5(key.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()
    return f"{name[:3]}/{name[3:6]}"
