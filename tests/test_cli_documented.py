"""Every command says what it does, shows an example, and answers at once when asked for help."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from branchline.cli.frame import Verb
from branchline.cli.lazy import LazyGroup
from branchline.cli.root import root


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join(("branchline", *path, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands(root))
VERBS = {words: command for words, command in ALL.items() if not isinstance(command, click.Group)}
MODULES = ("aiohttp", "numpy", "pyarrow", "sqlalchemy", "pandas", "rich", "cryptography")


@pytest.mark.parametrize("words", ALL)
def test_a_command_says_what_it_does(words: str) -> None:
    """Each command and group has a help text that begins with a sentence."""
    text = (ALL[words].help or "").strip()
    assert text.partition("\n")[0].endswith(".")


@pytest.mark.parametrize("words", VERBS)
def test_a_command_shows_an_example_that_it_would_accept(words: str) -> None:
    """Each example calls its own command, with options that the command has."""
    command = VERBS[words]
    assert isinstance(command, Verb)
    example = shlex.split(command.example.replace("\\\n", " "))
    assert example[: len(words.split())] == words.split()
    # What follows -- is another command line.
    example = example[: example.index("--")] if "--" in example else example
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in example if word.startswith("--")} <= known
    assert "Example" in command.get_help(click.Context(command, info_name=words))


@pytest.mark.parametrize("words", VERBS)
def test_a_command_can_answer_in_json_and_explains_its_options(words: str) -> None:
    """Each command takes --json, and each option but the obvious ones has a help text."""
    options = [p for p in VERBS[words].params if isinstance(p, click.Option)]
    assert "--json" in {name for option in options for name in option.opts}
    silent = {"--route", "--kind", "--confidentiality", "--listen", "--schema", "--source"}
    unexplained = {o.opts[0] for o in options if not o.help} - silent
    assert unexplained == set()


@pytest.mark.parametrize(
    "group", [command for command in [root, *ALL.values()] if isinstance(command, LazyGroup)]
)
def test_the_list_of_commands_says_what_the_commands_say(group: LazyGroup) -> None:
    """The line a command has in the list without being imported fits the one in its own help."""
    for name, (_, line) in group.table.items():
        command = group.get_command(click.Context(group), name)
        assert command is not None
        own = (command.help or "").strip().partition("\n")[0]
        assert line == own


def test_help_imports_no_library() -> None:
    """The commands' list appears without any of the heavy libraries."""
    code = (
        "import sys\n"
        "from branchline.cli import main\n"
        "sys.argv = ['branchline', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        f"print('LOADED', *[m for m in {MODULES!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"
    assert "station" in done.stdout


def test_an_unknown_command_is_refused_in_one_sentence() -> None:
    """A command that does not exist ends with exit code 2 and a line on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "branchline", "fly"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "No such command 'fly'. See 'branchline --help'.\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("jurney", "No such command 'jurney'. Did you mean 'journey'? See 'branchline --help'."),
        (
            "journey wach",
            "No such command 'wach'. Did you mean 'watch'? See 'branchline journey --help'.",
        ),
        (
            "journey list --jsn",
            "No such option '--jsn'. Did you mean '--json'? See 'branchline journey list --help'.",
        ),
    ],
)
def test_what_was_probably_meant_is_said(line: str, told: str) -> None:
    """A slip of the fingers costs one look."""
    done = subprocess.run(
        [sys.executable, "-m", "branchline", *line.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, f"{told}\n")
