"""What Python's reader raises of a damaged ZIP file, in one place."""

from __future__ import annotations

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

`OSError` is among it (a place before the file, bzip2's data), so this is for what reads a file
that was opened before, and not for what writes what was read.
"""
