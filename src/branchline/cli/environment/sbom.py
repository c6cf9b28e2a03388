"""``branchline environment sbom``: the list of an environment's parts."""

from __future__ import annotations

import json
from pathlib import Path

import click

from branchline.cli.environment.locks import lock_at
from branchline.cli.frame import Answer, verb, working


@verb(None, "sbom", "branchline environment sbom ./my-project --output sbom.cdx.json")
@click.argument("lock", type=click.Path(path_type=Path, exists=True), default=".", metavar="[LOCK]")
@click.option("--output", type=click.Path(path_type=Path), help="Write it to a file.")
def sbom(lock: Path, output: Path | None) -> Answer:
    """List an environment's parts with hashes, sources and licences, as CycloneDX 1.6.

    LOCK is a folder with a lock, or a lock file. Licences are read from the packages in the store;
    of a package that is not there none is told.
    """
    from branchline.environment.image.store import Store, default_store_folder
    from branchline.environment.lock.fetch import absent
    from branchline.environment.lock.sbom import list_of_parts
    from branchline.environment.lock.texts import texts_of
    from branchline.foundation.durable import write_durably

    read, store = lock_at(lock), Store(default_store_folder())
    with working("reading licences"):
        data = list_of_parts(read, texts_of(read, store))
    if output is None:
        return Answer(json.loads(data), data.decode().rstrip("\n"))
    write_durably(output, data)
    missing = absent(read, store)
    said = {"lock": read.digest, "file": str(output), "not_read": missing}
    unread = (
        f"; no licences of {len(missing)} packages that are not in the store" if missing else ""
    )
    return Answer(said, f"{output} lists the parts of {read.digest}{unread}")
