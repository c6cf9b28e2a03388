"""``branchline ledger policy``: whose cosignatures a study asks for."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, verb
from branchline.cli.ledger.homes import HOME, holdings, study_of


@verb(None, "policy", "branchline ledger policy --study pancreatitis > pancreatitis.policy")
@click.option("--study", metavar="NAME", help="Which, if several are known here.")
@HOME
def policy(study: str | None, home: Path | None) -> Answer:
    """Print a study's policy on the ledger (C2SP tlog-policy).

    It follows from the study's document: each legal entity one voice. Its digest is what you compare
    with people you trust.
    """
    from branchline.study.witnesses import policy_of, resists, threshold_of

    document = study_of(holdings(home, offline=True), study)
    found = policy_of(document)
    text = found.text.rstrip("\n")
    data = {
        "study": document.id,
        "policy": found.text,
        "digest": found.digest,
        "entities": len(document.witnesses()),
        "needed": threshold_of(document),
        "dishonest_resisted": resists(document),
    }
    return Answer(data, lines(f"# study {document.id}, digest {found.digest}", text))
