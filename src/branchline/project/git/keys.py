"""Git-annex's names and places of content; pure.

Source: git-annex's pages "internals", "internals/key_format" and "internals/hashing".
"""

from __future__ import annotations

import re
from hashlib import md5

from branchline.foundation.digest import Digest, digest_from

_LETTERS = "0123456789zqjxkmvwgpfZQJXKMVWGPF"
_KEY = re.compile(r"^(?P<backend>[A-Z0-9_]+)(?:-[a-zA-Z][0-9]+)*--(?P<name>[^/\0\n]+)$")
_STRONG = re.compile(
    r"^(SHA(224|256|384|512)|SHA3_(224|256|384|512)|SKEIN(256|512)"
    r"|BLAKE2(B(160|224|256|384|512)|BP512|S(160|224|256)|SP(224|256)))E?$"
)
_SIZE = re.compile(r"-s([0-9]+)[-]")
_SHA256 = re.compile(r"^([0-9a-f]{64})(\..*)?$")
_EXTENSION = re.compile(r"^[A-Za-z0-9]{1,4}$")
_POINTER = b"/annex/objects/"
_LONGEST_POINTER = 32 << 10
_LONGEST_KEY = 2 << 10


def key_of(digest: Digest, size: int, name: str) -> str:
    """Return the key of content under git-annex's backend SHA256E.

    Args:
        digest: Its SHA-256.
        size: Its bytes.
        name: The file's name, of which up to two short extensions are kept.
    """
    return f"SHA256E-s{size}--{digest.removeprefix('sha256:')}{_extensions(name)}"


def is_key(text: str) -> bool:
    """Tell whether a text is a key of git-annex's, of whatever backend."""
    return len(text) <= _LONGEST_KEY and _KEY.match(text) is not None


def is_forgeable(key: str) -> bool:
    """Tell whether other content could be made that bears the same key, or any may bear it.

    So it is with names by time and size (WORM), by address (URL), and by broken digests (MD5, SHA-1).
    What backends of somebody's own (``X…``) do is not known here.
    """
    found = _KEY.match(key)
    return found is None or _STRONG.match(found["backend"]) is None


def digest_of_key(key: str) -> Digest | None:
    """Return the SHA-256 that a key names; None where it names another digest, or none."""
    found = _KEY.match(key)
    if found is None or found["backend"] not in ("SHA256", "SHA256E"):
        return None
    value = _SHA256.match(found["name"])
    return digest_from(bytes.fromhex(value[1])) if value else None


def size_of_key(key: str) -> int | None:
    """Return the bytes that a key says its content has."""
    found = _SIZE.search(key.partition("--")[0] + "-")
    return int(found[1]) if found else None


def object_place(key: str) -> str:
    """Return where content is, below ``.git/annex/objects``."""
    word = int.from_bytes(_hashed(key_of_file(key))[:4], "little")
    marks = [_LETTERS[word >> 6 * i & 31] for i in range(4)]
    return f"{marks[1]}{marks[0]}/{marks[3]}{marks[2]}/{key}/{key}"


def log_place(key: str) -> str:
    """Return where the locations of content are told, on the branch ``git-annex``."""
    return f"{place_of(key_of_file(key))}/{key}.log"


def place_of(key: str) -> str:
    """Return the two folders in which that branch keeps what is about a key, spelled out."""
    name = _hashed(key).hex()
    return f"{name[:3]}/{name[3:6]}"


def key_of_file(name: str) -> str:
    """Return the key, spelled out, that a file of git-annex's is named for.

    Links, pointers and the branch have it in the form of such a name, and so has all else here.
    """
    plain = name.replace("%", "/").replace("&c", ":").replace("&s", "%")
    return plain.replace("&a", "&")


def file_of_key(key: str) -> str:
    """Return what git-annex names a file for a key that is spelled out."""
    plain = key.replace("&", "&a").replace("%", "&s").replace(":", "&c")
    return plain.replace("/", "%")


def link_of(path: str, key: str) -> str:
    """Return what the symbolic link at a path of the project says, for content of a key."""
    up = "../" * path.count("/")
    return f"{up}.git/annex/objects/{object_place(key)}"


def key_in_link(target: str) -> str | None:
    """Return the key that a symbolic link into the annex names; None for any other link."""
    parts = target.split("/")
    if len(parts) < 4 or ".git" not in parts or "annex" not in parts or "objects" not in parts:
        return None
    return parts[-1] if parts[-1] == parts[-2] and _KEY.match(parts[-1]) else None


def key_in_pointer(content: bytes) -> str | None:
    """Return the key that the pointer of an unlocked file names; None for any other content."""
    if len(content) > _LONGEST_POINTER or not content.startswith(_POINTER):
        return None
    name = content.split(b"\n", 1)[0].removeprefix(_POINTER).decode(errors="replace")
    return name if _KEY.match(name) else None


def _extensions(name: str) -> str:
    found: list[str] = []
    for part in reversed(name.split(".")[1:]):
        if not _EXTENSION.match(part) or len(found) == 2:
            break
        found.insert(0, part)
    return "".join(f".{part}" for part in found)


def _hashed(key: str) -> bytes:
    return md5(key.encode(errors="surrogateescape"), usedforsecurity=False).digest()
