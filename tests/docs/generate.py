"""Write the reference pages that are made from the program: ``python tests/docs/generate.py``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from branchline.central.api import Api
from branchline.cli.frame import Verb
from branchline.cli.root import root
from branchline.foundation.http.api import openapi

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

_CLI = """\
# Commands

Made from the program by `python tests/docs/generate.py`; a test compares the two.

Every command takes `--json` and then prints one JSON object (`journey watch`: one per line). Every command exits with 0 when it has
done its work; other codes are in [errors and exit codes](errors.md). Folders may be given with `--home` or by a variable: `BRANCHLINE_HOME`
(researcher), `BRANCHLINE_STATION`, `BRANCHLINE_CENTRAL`, `BRANCHLINE_WITNESS`.
"""

_API = """\
# Central's API

Made from the program by `python tests/docs/generate.py`; a test compares the two. A running service gives the whole description, schemas
included, at `GET /openapi.json` (OpenAPI 3.1).

*public*: anybody. *signed*: an enrolled party, by RFC 9421 with the tag `branchline-1`. *self-signed*: signed by the very key that the body brings, which
proves possession of it while enrolling. What is refused is answered as `application/problem+json`; see [errors](errors.md).

Every act is sent with the header `Idempotency-Key`, which must be the act's own `id`. The same act sent again gets the same answer; another act under the
same id is a conflict.
"""


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group with the words that call it, groups before their own."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def cli_page() -> str:
    """Return the page on commands."""
    parts = [_CLI]
    for words, command in commands(root, ("branchline",)):
        if isinstance(command, Verb):
            parts.append(_command(words, command))
        elif " " not in words.removeprefix("branchline "):
            parts.append(f"## {words}\n\n{_prose(command.help)}\n")
    return "\n".join(parts)


def _command(words: str, command: Verb) -> str:
    level = "##" if words.count(" ") == 1 else "###"
    context = click.Context(command, info_name=words)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f"{level} {words}",
        "",
        _prose(command.help),
        "",
        "```text",
        f"{words} {usage}",
        "```",
        "",
    ]
    rows = [_option(p) for p in command.params if isinstance(p, click.Option) and p.name != "json"]
    rows = [row for row in rows if row]
    if rows:
        lines += ["| option | |", "|---|---|", *rows, ""]
    return "\n".join([*lines, "```bash", command.example, "```", ""])


def _option(option: click.Option) -> str:
    if "--json" in option.opts:
        return ""
    context = click.Context(click.Command("none"))
    names = ", ".join(f"`{name}`" for name in option.opts)
    value = "" if option.is_flag or option.count else f" `{option.make_metavar(context)}`"
    told = [option.help.rstrip(".")] if option.help else []
    if option.required:
        told.append("required")
    if option.multiple:
        told.append("may be repeated")
    if isinstance(option.show_default, str):
        told.append(f"default: {option.show_default}")
    elif option.show_default:
        told.append(f"default: `{option.default}`")
    return f"| {names}{value.replace('|', chr(92) + '|')} | {'; '.join(told).replace('|', chr(92) + '|')} |"


def _prose(text: str | None) -> str:
    paragraphs = (text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def api_document() -> dict[str, Any]:
    """Return the OpenAPI document, from the table of routes alone."""
    api = Api.__new__(Api)  # the table names the handlers; none is called
    return openapi(api.routes(), title="Branchline central", version="1")


def api_page() -> str:
    """Return the page on the API."""
    document, rows = api_document(), []
    api = Api.__new__(Api)
    for route in api.routes():
        operation = document["paths"][route.path][route.method.lower()]
        body = _shape(operation.get("requestBody", {}).get("content", {}))
        answer = _shape(operation["responses"]["200"]["content"])
        path = route.path.replace(":.*", "")
        rows.append(
            f"| `{route.method} {path}` | {route.summary} | {route.access} | {body} | {answer} |"
        )
    schemas = document["components"]["schemas"]
    parts = [_API, "| route | | access | body | answer |", "|---|---|---|---|---|", *rows, ""]
    parts += ["## Messages", "", "Unknown fields are refused. Octets ride as base64.", ""]
    for name in sorted(_messages(document)):
        parts += [f"### {name}", "", *_fields(schemas[name]), ""]
    return "\n".join(parts)


def _messages(document: dict[str, Any]) -> set[str]:
    """Return the messages of the table of routes, and those that stand in them."""
    schemas, found = document["components"]["schemas"], set[str]()
    waiting = [s for s in schemas if f'"#/components/schemas/{s}"' in _text(document["paths"])]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            inner = _text(schemas[name])
            waiting += [s for s in schemas if f'"#/components/schemas/{s}"' in inner]
    return found


def _text(value: object) -> str:
    return json.dumps(value)


def _fields(schema: dict[str, Any]) -> list[str]:
    if "properties" not in schema:
        return [f"One of {', '.join(f'`{value}`' for value in schema['enum'])}."]
    required = schema.get("required", [])
    rows = [
        f"| `{name}` | {_type(field)} | {'yes' if name in required else 'no'} |"
        for name, field in schema["properties"].items()
    ]
    description = schema.get("description", "").partition("\n")[0]
    return [description, "", "| field | type | needed |", "|---|---|---|", *rows]


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return f"[{field['$ref'].rsplit('/', 1)[-1]}](#{field['$ref'].rsplit('/', 1)[-1].lower()})"
    if "anyOf" in field:
        return " or ".join(_type(part) for part in field["anyOf"])
    if "enum" in field:
        return " · ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object":
        inner = field.get("additionalProperties")
        return f"map to {_type(inner)}" if isinstance(inner, dict) else "object"
    if field.get("contentEncoding") == "base64":
        return "octets"
    words = {"string": "text", "integer": "integer", "boolean": "true or false", "null": "null"}
    return words.get(str(field.get("type")), str(field.get("type", "anything")))


def _shape(content: dict[str, Any]) -> str:
    if not content:
        return "–"
    kind, inner = next(iter(content.items()))
    if kind == "text/event-stream":
        return "events"
    if kind == "application/octet-stream":
        return "octets"
    return _type(inner["schema"])


PAGES = {"cli.md": cli_page, "api.md": api_page}
"""Each generated page of ``docs/reference``, and what makes it."""


if __name__ == "__main__":
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")
