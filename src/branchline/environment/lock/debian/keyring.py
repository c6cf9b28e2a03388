"""Whose signatures a release file carries, found out by gpgv."""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from branchline.environment.lock.debian.sources import Source
from branchline.foundation.errors import Corrupt, Refused

_SECONDS = 60
_FINGERPRINT = re.compile(r"(?:0x)?[0-9A-Fa-f]{16,64}!?")
_VALID = re.compile(r"^\[GNUPG:\] VALIDSIG .* ([0-9A-F]{40,64})$", re.MULTILINE)
_ARMOUR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\s*?\n(?:[^\n]+: [^\n]*\n)*\s*\n"
    rb"(?P<body>[A-Za-z0-9+/=\s]+?)\s*(?:^=[A-Za-z0-9+/]{4}\s*)?-----END PGP PUBLIC KEY BLOCK-----",
    re.MULTILINE,
)


def signers(release: Path, source: Source, trusted: Iterable[Path]) -> tuple[str, ...]:
    """Return the primary fingerprints of those whose signatures on a release file hold.

    Args:
        release: The file, which apt has verified already.
        source: Where it came from, with the keys that may sign it.
        trusted: The machine's trusted keyrings, for sources that name none of their own.

    Raises:
        Refused: gpgv is not installed.
        Corrupt: No signature holds.
    """
    program = shutil.which("gpgv")
    if program is None:
        raise Refused("gpgv is not installed, so nobody can say who signed", advice="Install gpgv")
    with tempfile.TemporaryDirectory(prefix="branchline-keys-") as folder:
        keyring = Path(folder) / "keys.gpg"
        keyring.write_bytes(keys(source, trusted))
        done = subprocess.run(
            [program, "--status-fd", "1", "--keyring", keyring, "--output", "/dev/null", release],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": folder, "GNUPGHOME": folder},
        )
    found = tuple(sorted(set(_VALID.findall(done.stdout))))
    if not found:
        raise Corrupt(f"No signature on the release file of {source.suite} holds")
    return found


def keys(source: Source, trusted: Iterable[Path]) -> bytes:
    """Return the keys that may sign a source, as gpgv reads them: binary, one after another."""
    said = source.signed_by
    if "-----BEGIN PGP" in said:
        # In a stanza an empty line of the armour is written as a dot.
        text = "\n".join("" if line.strip() == "." else line for line in said.split("\n"))
        return dearmour(text.encode())
    files = [Path(word) for word in said.split() if not _FINGERPRINT.fullmatch(word)]
    return b"".join(dearmour(file.read_bytes()) for file in files or trusted if file.is_file())


def dearmour(data: bytes) -> bytes:
    """Return a keyring's bytes without their ASCII armour (RFC 9580 §6), if they have one."""
    try:
        blocks = [base64.b64decode(match["body"]) for match in _ARMOUR.finditer(data)]
    except binascii.Error:
        return b""
    return b"".join(blocks) if blocks else data
