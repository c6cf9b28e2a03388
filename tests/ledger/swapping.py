"""Put a mutant into a module that is loaded: the changed code in place of a function's."""

from __future__ import annotations
import __future__

import gc
from collections.abc import Iterable
from types import CodeType, FunctionType

from tests.ledger.mutating import Mutant, module_file


def functions_of(module: str) -> list[FunctionType]:
    """Return every function of a module that there is, wherever it is held."""
    file = str(module_file(module))
    return [
        each
        for each in gc.get_objects()
        if type(each) is FunctionType and each.__code__.co_filename == file
    ]


def put_in(mutant: Mutant, functions: Iterable[FunctionType]) -> bool:
    """Change the function that a mutant is of; tell whether that could be done.

    Args:
        mutant: It changes nothing but the body of a function.
        functions: Those of its module.
    """
    file, flags = str(module_file(mutant.name.module)), __future__.annotations.compiler_flag
    changed = _codes(compile(mutant.part, file, "exec", flags))
    done = False
    for function in functions:
        code = changed.get(_place(function.__code__), function.__code__)
        if code != function.__code__:
            if code.co_freevars != function.__code__.co_freevars:
                return False
            function.__code__ = code
            done = True
    return done


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _codes(code: CodeType) -> dict[tuple[str, int], CodeType]:
    """Return the code of every function that stands in a module or a class."""
    found = {}
    for each in code.co_consts:
        if isinstance(each, CodeType):
            found[_place(each)] = each
            if "<locals>" not in each.co_qualname:
                found |= _codes(each)
    return found
