"""HTML and Markdown that others wrote: what they say, and nothing of what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

LARGEST = 256 << 10
"""The most characters that are looked through; what is longer is shown as it is written."""

_TAGS = {
    *("table", "thead", "tbody", "tfoot", "tr", "th", "td", "caption"),
    *("p", "div", "span", "br", "hr", "pre", "code", "blockquote", "ul", "ol", "li", "dl", "dt", "dd"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "b", "strong", "i", "em", "u", "s", "sub", "sup", "small"),
    "a",
}  # fmt: skip
_ATTRIBUTES = {"td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan", "scope"}, "a": {"href"}}
_SCHEMES = {"http", "https", "mailto"}
# With their content: what stands in them is no text for people.
_EMPTIED = {"script", "style", "iframe", "object", "template", "noscript", "svg", "math", "title"}


def html(text: str) -> Markup:
    """Return HTML with what can be shown of it; links lead elsewhere only by a click."""
    if len(text) > LARGEST:
        return escape(text[:LARGEST])
    return Markup(
        nh3.clean(
            text,
            tags=_TAGS,
            attributes=_ATTRIBUTES,
            clean_content_tags=_EMPTIED,
            url_schemes=_SCHEMES,
            link_rel="noopener noreferrer nofollow",
        )
    )


def markdown(text: str) -> Markup:
    """Return Markdown as HTML; HTML in it stays text, pictures are told of by their names."""
    if len(text) > LARGEST:
        return escape(text[:LARGEST])
    return html(_READER.render(text))


def _picture(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any
) -> str:
    inner = renderer.renderInlineAsText(tokens[at].children or [], options, env)
    return f"<em>[{escape(inner or 'picture')}]</em>"


_READER = MarkdownIt("commonmark", {"html": False}).enable("table")
_READER.add_render_rule("image", _picture)
