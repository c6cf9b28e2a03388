"""Programs as HTML, with their words told apart."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound

from branchline.workbench.pages.shown.terminal import plain

_COLOURED_AT_MOST = 64 << 10
_LONGEST_LINE = 2000


def code(text: str, name: str = "cell.py") -> Markup:
    """Return a program as HTML.

    Args:
        text: The program.
        name: Its file's name, which tells its language.
    """
    shown = plain(text)
    lines = shown.splitlines()
    if len(shown) > _COLOURED_AT_MOST or any(len(line) > _LONGEST_LINE for line in lines):
        return escape(shown)
    lexer = _lexer(name)
    if lexer is None:
        return escape(shown)
    # Every word is escaped by the formatter; it writes classes, and nothing else.
    return Markup(highlight(shown, lexer, HtmlFormatter(nowrap=True, classprefix="k-")))


@lru_cache(256)
def _lexer(name: str) -> Lexer | None:
    try:
        lexer: Lexer = get_lexer_for_filename(name, stripnl=False)
    except ClassNotFound:
        return None
    return lexer


def command(text: str) -> Markup:
    """Return a line for a shell as HTML."""
    return code(text, "command.sh")
