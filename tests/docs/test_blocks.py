"""What stands in the documentation's code blocks would work as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import click
import msgspec
import pytest
from tests.docs.pages import DOCS, PAGES, ROOT, Block, blocks

from branchline.checks.expectations import read_checks
from branchline.cli.root import root
from branchline.datasets.schema_toml import parse_toml
from branchline.environment.lock.model import parse_lock
from branchline.project.data.rules import read_rules
from branchline.project.description import read_description
from branchline.station.settings import StationSettings
from branchline.train.manifest import parse_manifest

_CALL = re.compile(r"^\s*(?:\w+=)?(branchline [^\n|>&]*)", re.M)
_INNER = re.compile(r"\$\(([^()]*)\)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PLAIN = re.compile(r"[^a-z0-9 _-]")


def commands_in(block: Block) -> list[list[str]]:
    """Return the words of every call of the program in a block."""
    text = block.text.replace("\\\n", " ")
    text = _INNER.sub("WORD", text) + "\n" + "\n".join(_INNER.findall(text))
    return [shlex.split(call, comments=True) for call in _CALL.findall(text)]


def find(words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """Return the command that words call, and what is left of them."""
    command: click.Command = root
    context, rest = click.Context(root), words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found is not None, f"there is no command {' '.join(words)}"
        command, rest = found, rest[1:]
        context = click.Context(command, info_name=" ".join(words))
    return command, context, rest


@pytest.mark.parametrize("block", blocks("bash"), ids=str)
def test_shell_is_shell_and_its_commands_exist(block: Block) -> None:
    """Each shell block is well formed, and each call has a command's own options and values."""
    checked = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    for words in commands_in(block):
        command, context, rest = find(words)
        command.make_parser(context).parse_args(rest)


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_is_what_its_reader_accepts(block: Block) -> None:
    """Each TOML block is TOML; those that are a whole file are read by the program's reader."""
    form = tomllib.loads(block.text)
    kind = block.note.rpartition("/")[2]
    if kind == "train.toml":
        parse_manifest(block.text.encode(), str(block))
    elif kind == "station.toml":
        msgspec.toml.decode(block.text.encode(), type=StationSettings)
    elif kind == "schema":
        parse_toml(block.text, str(block))
    elif kind == "branchline.toml":
        read_description(block.text.encode())
        read_rules(block.text.encode())
    elif kind == "checks.toml":
        read_checks(block.text.encode())
    elif kind == "branchline.lock":
        parse_lock(block.text.encode())
    else:
        part = block.note.removeprefix("part of station.toml: ")
        types = {field.name: field.type for field in msgspec.structs.fields(StationSettings)}
        msgspec.convert(form[part], types[part])


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_is_python(block: Block) -> None:
    """Each Python block compiles."""
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    """Each JSON block is one value."""
    json.loads(block.text)


def test_no_block_is_of_an_unchecked_language() -> None:
    """Blocks are in a language that is checked here, plain text, or another program's settings."""
    fence = re.compile(r"^```(\w+)$", re.M)
    kinds = {kind for page in PAGES for kind in fence.findall(page.read_text("utf-8"))}
    assert kinds - {"bash", "toml", "python", "json"} <= {"text", "ini", "nginx"}


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as they are made for links."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {_PLAIN.sub("", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to a file of the project leads to a file, and to a heading in it."""
    for link in _LINK.findall(page.read_text("utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), f"{link} has no such heading"


def test_every_page_is_in_the_index() -> None:
    """Each page of the documentation is reached from its index."""
    index = (DOCS / "README.md").read_text("utf-8") + (DOCS / "adr" / "README.md").read_text(
        "utf-8"
    )
    missing = [page.name for page in DOCS.rglob("*.md") if page.name != "README.md"]
    assert [name for name in missing if name not in index] == []
