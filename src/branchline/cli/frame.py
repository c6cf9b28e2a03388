"""What all commands share: ``--json``, an example in the help, answers, errors and progress."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from branchline.foundation.disk import DiskFull, is_full
from branchline.foundation.errors import BranchlineError
from branchline.workbench.printable import printable

F = TypeVar("F", bound=Callable[..., Any])

_JSON = "branchline.json"


@dataclass(frozen=True)
class Answer:
    """What a command has to say.

    Args:
        data: For ``--json``: plain JSON values, an object.
        text: For people.
        exit_code: Other than 0 where the answer itself is bad news.
    """

    data: dict[str, Any]
    text: str = ""
    exit_code: int = 0

    def show(self, as_json: bool) -> None:
        """Print it on standard output."""
        if as_json:
            click.echo(json.dumps(self.data, ensure_ascii=False))
        elif self.text:
            click.echo(printable(self.text))


class Verb(click.Command):
    """A command that returns an ``Answer``, and has ``--json`` and an example in its help."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        self.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_remember,
                help="Print one JSON object.",
            )
        )

    def invoke(self, ctx: click.Context) -> int:
        """Run the command, print its answer and return the exit code."""
        answer: Answer | None = super().invoke(ctx)
        if answer is None:
            return 0
        answer.show(wants_json(ctx))
        return answer.exit_code

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"  {line}\n")


def verb(group: click.Group | None, name: str, example: str) -> Callable[[F], Verb]:
    """Make a function a command of a group (or one on its own)."""

    def make(function: F) -> Verb:
        made: Verb = click.command(name, cls=Verb, example=example)(function)
        if group is not None:
            group.add_command(made)
        return made

    return make


class Root(click.Group):
    """A group that turns every error into one sentence (or JSON object) and its exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line (as ``click.Command.main`` takes it) and exit."""
        given = kwargs.pop("args", args[0] if args else None)
        line = sys.argv[1:] if given is None else list(given)
        as_json = "--json" in line
        kwargs["standalone_mode"] = False
        try:
            code = super().main(line, *args[1:], **kwargs)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = 2
        except click.ClickException as error:
            code = _tell(as_json, _usage(error), error.exit_code)
        except BranchlineError as error:
            code = _tell(as_json, error.as_json(), error.exit_code, str(error))
        except (click.Abort, KeyboardInterrupt):
            code = _tell(as_json, _problem("interrupted", "Interrupted"), 130)
        except OSError as error:
            code = _tell(as_json, *_of_the_system(error))
        sys.exit(code if isinstance(code, int) else 0)


def wants_json(ctx: click.Context | None = None) -> bool:
    """Tell whether this command line asked for JSON."""
    found: bool = (ctx or click.get_current_context()).meta.get(_JSON, False)
    return found


def home_option(variable: str, default: str) -> Callable[[F], F]:
    """Add ``--home``, which a variable of the environment can give, too."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
        envvar=variable,
        default=lambda: Path.home() / default,
        show_default=f"{variable} or ~/{default}",
        help="The program's data folder.",
    )


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is under way; gives a function to say what is.

    Elsewhere, and with ``--json``, nothing is shown.
    """
    if wants_json() or not sys.stderr.isatty():
        yield lambda sentence: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda sentence: progress.update(task, description=sentence)


def log_to_stderr(verbose: int) -> None:
    """Write the log to standard error: warnings, and more the more verbose."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def lines(*parts: str) -> str:
    """Join the lines there are."""
    return "\n".join(part for part in parts if part)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """Write rows under their headings, never folded: what stands there can be copied."""
    if not rows:
        return empty
    cells = [[printable(str(cell)).replace("\n", " ") for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def pairs(texts: Sequence[str], what: str) -> dict[str, str]:
    """Read ``name=value`` options into a mapping."""
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{text!r} is not of the form {what}")
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice")
        found[name] = value
    return found


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_JSON] = True


def _usage(error: click.ClickException) -> dict[str, Any]:
    advice = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        advice = f"See '{error.ctx.command_path} --help'"
    if isinstance(error, click.NoSuchCommand | click.NoSuchOption) and error.possibilities:
        meant = " or ".join(f"'{each}'" for each in error.possibilities)
        return _problem("usage", error.message.rstrip("."), f"Did you mean {meant}? {advice}")
    return _problem("usage", error.format_message().rstrip("."), advice)


def _of_the_system(error: OSError) -> tuple[dict[str, Any], int]:
    """Return what is said of an error of the system's, and the exit code."""
    if is_full(error):
        disk = f"The disk of {error.filename}" if error.filename else "A disk"
        full = DiskFull(f"{disk} is full", advice="Make room, then do the same again")
        return full.as_json(), full.exit_code
    sentence = f"{error.filename or 'A file'}: {error.strerror or error}"
    return _problem("system", sentence), 1


def _problem(code: str, refused: str, advice: str = "") -> dict[str, Any]:
    return {"error": code, "refused": refused, "advice": advice, "detail": {}}


def _tell(as_json: bool, problem: dict[str, Any], code: int, sentence: str = "") -> int:
    if as_json:
        click.echo(json.dumps(problem, ensure_ascii=False))
    else:
        advice = f" {problem['advice']}." if problem["advice"] else ""
        click.echo(printable(sentence or f"{problem['refused']}.{advice}"), err=True)
    return code
