"""Compile modules: one line of standard input each, `source TAB destination TAB name`.

A file that is no valid module of this Python is left alone, as pip does; wheels ship templates and
tests of syntax errors. Compiled files say that they need no check against their source (PEP 552).

Nothing of one module may be left when the next one is compiled: whether equal sets of words become
one constant depends on which words are in memory already.
"""

from __future__ import annotations

import gc
import py_compile
import sys
import warnings


def main() -> None:
    """Compile what standard input names."""
    warnings.simplefilter("ignore")
    gc.disable()  # compiling leaves no cycles behind, and looking for them costs a twentieth
    for line in sys.stdin.buffer:
        source, target, name = line.decode().rstrip("\n").split("\t")
        try:
            py_compile.compile(
                source,
                cfile=target,
                dfile=name,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except (py_compile.PyCompileError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue


if __name__ == "__main__":
    main()
