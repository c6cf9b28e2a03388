"""What Python's reader raises of a damaged ZIP file, in one place."""

from __future__ import annotations

import errno
import lzma
import zipfile
import zlib

DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""All of it: a flipped byte may stand in a name, a size, a place, a method or compressed data.

`OSError` is among it (a place before the file, bzip2's data): where something is written as well,
`is_damage` tells the file's fault from the system's.
"""


def is_damage(error: Exception) -> bool:
    """Tell whether the bytes of what is read are to blame, and not the system, say for a full disk."""
    return not isinstance(error, OSError) or error.errno in (None, errno.EINVAL)
