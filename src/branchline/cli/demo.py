"""``branchline demo``: a train visits four hospitals, and its result is verified."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import verb, wants_json, working
from branchline.foundation.errors import Refused


@verb(None, "demo", "branchline demo --keep ./demo")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep every party's folder."
)
@click.option(
    "--environment",
    type=click.Choice(["image", "host"]),
    default="image",
    help="What trains run in: a built image, or this machine's own Python.",
)
@click.option("--prepare", is_flag=True, help="Only lock and build the image, then end.")
def demo(keep: Path | None, environment: str, prepare: bool) -> None:
    """Watch a train visit four hospitals, and verify what comes back.

    Uses 602 real patients of a randomised trial; the federated estimates are shown beside the
    pooled ones. The trains run in a Debian image that is locked and built the first time.
    """
    try:
        from branchline.demo.environment import prepared
        from branchline.demo.run import demo as run
    except ModuleNotFoundError as error:
        raise Refused(
            f"The demo needs the package {error.name}", advice="Install 'branchline[demo]'"
        ) from error
    if prepare:
        with working("building the demo's environment") as progress:
            prepared(progress)
        return
    run(keep=keep, as_json=wants_json(), host=environment == "host")
