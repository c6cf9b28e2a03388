"""``branchline demo``: a train visits four hospitals, and its result is verified."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import verb, wants_json
from branchline.foundation.errors import Refused


@verb(None, "demo", "branchline demo --keep ./demo")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep every party's folder."
)
def demo(keep: Path | None) -> None:
    """Watch a train visit four hospitals, and verify what comes back.

    Uses 602 real patients of a randomised trial; the federated estimates are shown beside the
    pooled ones.
    """
    try:
        from branchline.demo.run import demo as run
    except ModuleNotFoundError as error:
        raise Refused(
            f"The demo needs the package {error.name}", advice="Install 'branchline[demo]'"
        ) from error
    run(keep=keep, as_json=wants_json())
