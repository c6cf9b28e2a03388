"""``branchline ledger export``: static files that any C2SP tool can check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.ledger.homes import HOME, OFFLINE, holdings, study_of
from branchline.foundation.errors import NotFound

if TYPE_CHECKING:
    from branchline.journey.holdings import Holdings
    from branchline.ledger.proof.policy import Policy


@verb(None, "export", "branchline ledger export ./ledger")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--study", metavar="NAME", help="Write the policy of this study, too.")
@OFFLINE
@HOME
def export(folder: Path, study: str | None, home: Path | None, offline: bool) -> Answer:
    """Write the ledger as static files for any C2SP tool.

    Writes tiles, bundles of entries and the file checkpoint in the layout of tlog-tiles, the ledger's
    verifier key in the file vkey, and a study's policy in the file policy. The entries are sealed as
    they stand in the ledger. Every hash is computed anew. A folder with an earlier export is brought
    up to date.
    """
    from branchline.ledger.export import export_ledger
    from branchline.ledger.proof.note import parse_key

    held = holdings(home, offline=offline)
    policy = _policy(held, study)
    key = parse_key(held.log_vkey)
    with working("writing") as say:
        made = export_ledger(
            held.file,
            folder.absolute(),
            key,
            policy=policy,
            progress=lambda done, size: say(f"writing {done} of {size} entries"),
        )
    data = {
        "folder": str(folder),
        "origin": made.origin,
        "size": made.size,
        "vkey": held.log_vkey,
        "policy": None if policy is None else policy.digest,
    }
    text = lines(
        f"{made.size} entries of {made.origin} are in {folder}",
        f"vkey      {held.log_vkey}",
        f"policy    {policy.digest}" if policy is not None else "",
    )
    return Answer(data, text)


def _policy(held: Holdings, study: str | None) -> Policy | None:
    from branchline.study.witnesses import policy_of

    try:
        return policy_of(study_of(held, study))
    except NotFound:
        if study is not None:
            raise
        return None
