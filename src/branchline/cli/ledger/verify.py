"""``branchline ledger verify``: receipts, evidence and packages, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, verb
from branchline.cli.ledger.grants import FROM, GRANT
from branchline.cli.ledger.homes import HOME, OFFLINE
from branchline.cli.ledger.opening import Granted
from branchline.foundation.errors import BranchlineError, Corrupt, Refused

if TYPE_CHECKING:
    from branchline.ledger.proof.policy import Policy

_RECEIPT = b"c2sp.org/tlog-proof@v1\n"


@verb(
    None,
    "verify",
    "branchline ledger verify 57.tlog-proof --policy ages.policy --grant auditor.grant",
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Whose signatures count (C2SP tlog-policy).",
)
@click.option(
    "--digest", metavar="sha256:…", help="The policy's digest, as you know it from elsewhere."
)
@GRANT
@FROM
@OFFLINE
@HOME
def verify(
    files: tuple[Path, ...],
    policy: Path | None,
    digest: str | None,
    grant: Path | None,
    giver: str | None,
    home: Path | None,
    offline: bool,
) -> Answer:
    """Check receipts, evidence and packages, offline.

    A receipt N.tlog-proof is checked with the entry beside it, N.sd-jwt. A package brings its policy;
    give its digest to compare. Exits with 6 if anything does not hold.

    With a grant made for the owner of the folder, the entry's signature is checked, too, and what the
    grant opens is shown, of a package's entries as well. Classes are opened from N.beside, which 'ledger
    show --save' writes; for a package they may lie next to it, and central is asked for those that do
    not. Otherwise central is asked only for the keys of a party named with --from that no study of the
    owner's names; with --offline for nothing.
    """
    from branchline.ledger.proof.policy import parse_policy

    trusted = None if policy is None else parse_policy(policy.read_bytes())
    if trusted is not None and digest not in (None, trusted.digest):
        raise Corrupt(f"The policy is {trusted.digest}; expected {digest}")
    opener = None if grant is None else Granted(grant, giver, home, offline=offline)
    found = [_one(file, trusted, digest, opener) for file in files]
    bad = sum(not each["holds"] for each in found)
    shown = [line for each in found for line in each.pop("lines")]
    verdict = "Everything holds." if not bad else f"{bad} of {len(found)} do not hold."
    return Answer(
        {"holds": not bad, "files": found}, lines(*shown, verdict), bad and Corrupt.exit_code
    )


def _one(
    file: Path, policy: Policy | None, digest: str | None, opener: Granted | None
) -> dict[str, Any]:
    from branchline.ledger.proof.evidence import HEADER

    with file.open("rb") as opened:
        head = opened.read(64)
    try:
        if head.startswith(b"PK"):
            return _package(file, digest or (policy.digest if policy else None), opener)
        if policy is None:
            raise Refused(
                f"Without a policy nothing can be said of {file}", advice="Give it with --policy"
            )
        shown: dict[str, Any] = {}
        if head.startswith(_RECEIPT):
            said, leaf = _receipt(file, policy)
            shown = {} if opener is None else opener.entry(leaf, file)
        elif head.startswith(HEADER.encode()):
            said = _evidence(file, policy)
        else:
            raise Refused(f"{file} is no receipt, no evidence and no package")
    except Corrupt as error:
        return {"file": str(file), "holds": False, "says": error.refused,
                "lines": [f"✗ {file}: {error.refused}"]}  # fmt: skip
    text = [f"  {name:<16}{value}" for name, value in shown.get("fields", {}).items()]
    signed = [f"  signed by {shown['by']}; the grant opens"] if shown else []
    return {"file": str(file), "holds": True, "says": said, **shown,
            "lines": [f"✓ {file}: {said}", *signed, *text]}  # fmt: skip


def _receipt(file: Path, policy: Policy) -> tuple[str, bytes]:
    from branchline.ledger.entry import Entry, committed_fields
    from branchline.ledger.proof.receipt import parse_receipt, verify_receipt

    beside = file.with_suffix(".sd-jwt")
    if not beside.exists():
        raise Refused(
            f"The entry of {file} is missing", advice=f"Put it beside it as {beside.name}"
        )
    jws, *disclosures = beside.read_text("latin-1").split("~")
    if disclosures and disclosures.pop():
        raise Corrupt(f"{beside.name} is not of the form <JWS>~<disclosure>~…~")
    entry = Entry(jws, tuple(disclosures))
    receipt = parse_receipt(file.read_text("utf-8", errors="replace"))
    head = verify_receipt(receipt, entry.leaf, policy)
    shown = ", ".join(sorted(committed_fields(entry)))
    names = policy.open(receipt.checkpoint.encode()).cosigned
    who = f", cosigned by {', '.join(sorted(names))}" if names else ", cosigned by nobody"
    fields = f"; it commits to the fields shown: {shown}" if shown else ""
    return f"entry {receipt.index} of {head.origin}, among {head.size}{who}{fields}", entry.leaf


def _evidence(file: Path, policy: Policy) -> str:
    from branchline.ledger.proof.evidence import check_evidence

    keys = [witness.key for witness in policy.witnesses]
    errors: list[BranchlineError] = []
    for log in policy.logs:
        try:
            found = check_evidence(file.read_bytes(), log.key.text, keys)
        except BranchlineError as error:
            errors.append(error)
            continue
        both = f"; cosigned both: {', '.join(found.cosigned_both)}" if found.cosigned_both else ""
        return f"{found.sentence}{both}"
    raise errors[0]


def _package(file: Path, digest: str | None, opener: Granted | None) -> dict[str, Any]:
    import msgspec

    from branchline.ledger.package_check import verify_package

    report = verify_package(file, policy_digest=digest)
    steps = [f"  {step.number:>2}. {step.says} {step.outcome}{f': {step.reason}' if step.reason else ''}"
             for step in report.steps]  # fmt: skip
    mark = "✓" if report.verified else "✗"
    about = report.contents.about
    shown: dict[str, Any] = {}
    if opener is not None and report.verified:
        shown = opener.package(report.shown, file)
        steps.append(f"  signed by {shown['by']}; the grant opens")
        for at, fields in shown["opened"].items():
            steps += [f"  {at:>6}  {name:<16}{value}" for name, value in fields.items()]
    return {
        "file": str(file),
        "holds": report.verified,
        "says": about,
        "recipient": report.contents.recipient,
        "steps": msgspec.to_builtins(report.steps),
        **shown,
        "lines": [f"{mark} {file}: {about}", *steps],
    }
