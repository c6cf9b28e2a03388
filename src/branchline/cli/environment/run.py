"""``branchline environment run`` and ``shell``: be in an environment, on one's own machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from branchline.cli.environment.stores import digest_meant, opened, store_option
from branchline.cli.frame import Verb

if TYPE_CHECKING:
    from branchline.environment.image.store import Store
    from branchline.sandbox.engine import EnvironmentMount

F = TypeVar("F", bound=Callable[..., Any])

_SHELL = ("/bin/bash",)
_RESOLVER = ("/etc/resolv.conf",)
"""This machine's files without which names of other machines mean nothing."""


class Call(Verb):
    """A command line of which all that follows ``--`` is another one, passed on as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the other command line off before any option of it is looked at."""
        own, rest = args, []
        if "--" in args:
            at = args.index("--")
            own, rest = args[:at], args[at + 1 :]
        ctx.meta[REST] = tuple(rest)
        return super().parse_args(ctx, own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the parts of the usage line."""
        return [*super().collect_usage_pieces(ctx), "--", "COMMAND..."]


REST = "branchline.environment.run"
"""Where in the context the other command line is, as a tuple of words."""


def _options(function: F) -> F:
    for option in (
        click.option("--network", is_flag=True, help="Let it see this machine's network."),
        click.option("--no-work", is_flag=True, help="Show it nothing of this machine at all."),
        click.option(
            "--work",
            type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
            help="The folder at /work, for reading and writing; by default the current one.",
        ),
        click.argument("what", default=".", metavar="[IMAGE|DIR|LOCK]"),
        store_option,
    ):
        function = option(function)
    return function


@click.command("run", cls=Call, example="branchline environment run -- python3 analysis.py")
@_options
def run(what: str, work: Path | None, no_work: bool, network: bool, folder: Path | None) -> None:
    """Run a command in an environment: an image, or the one that was built from a lock.

    What follows -- is the command. It sees the environment and one folder, at /work, and nothing
    else of this machine; its exit code is passed on.
    """
    argv: tuple[str, ...] = click.get_current_context().meta[REST]
    if not argv:
        raise click.UsageError("Say after -- which command to run")
    work = _at_work(work, no_work)
    store = opened(folder)
    _become(_mount(store, what, network), work, network, argv, store)


@click.command("shell", cls=Verb, example="branchline environment shell ./my-train")
@_options
def shell(what: str, work: Path | None, no_work: bool, network: bool, folder: Path | None) -> None:
    """Open a shell in an environment: an image, or the one that was built from a lock.

    It sees the environment and one folder, at /work, and nothing else of this machine.
    """
    work = _at_work(work, no_work)
    store = opened(folder)
    _become(_mount(store, what, network), work, network, _SHELL, store)


def _at_work(work: Path | None, no_work: bool) -> Path | None:
    if no_work:
        if work is not None:
            raise click.UsageError("--work and --no-work contradict each other")
        return None
    chosen = work or Path.cwd()
    if chosen == Path("/"):
        raise click.UsageError(
            "The whole machine is not shown; go to a folder, or name one with --work"
        )
    return chosen


def _become(
    mount: EnvironmentMount,
    work: Path | None,
    network: bool,
    argv: tuple[str, ...],
    store: Store,
) -> NoReturn:
    from branchline.sandbox.personal import become
    from branchline.sandbox.walls import PersonalJob

    variables = {name: os.environ[name] for name in ("TERM", "COLORTERM") if name in os.environ}
    become(PersonalJob(mount, argv, work, network, variables), store.filters)


def _mount(store: Store, what: str, network: bool) -> EnvironmentMount:
    from branchline.environment.mount import mount_image

    mount = mount_image(store, digest_meant(store, what))
    return mount.with_files(_RESOLVER) if network else mount
