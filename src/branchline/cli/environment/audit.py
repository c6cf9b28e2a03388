"""``branchline environment audit``: what is known of weaknesses in what a lock names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.environment.locks import lock_at
from branchline.cli.frame import Answer, lines, table, verb, working

if TYPE_CHECKING:
    from branchline.environment.lock.audit.findings import Report, Weakness

_CAN_BE_MENDED = 1
_DATA = click.Path(path_type=Path, exists=True)


@verb(None, "audit", "branchline environment audit ./my-project --debian-tracker tracker.json")
@click.argument("lock", type=click.Path(path_type=Path, exists=True), default=".", metavar="[LOCK]")
@click.option("--debian-tracker", type=_DATA, help="The Debian security tracker's JSON.")
@click.option("--advisories", type=_DATA, help="Python advisories (OSV): a folder, zip or file.")
@click.option("--all", "everything", is_flag=True, help="List what nobody has mended yet, too.")
@click.option("--offline", is_flag=True, help="Use the package lists at hand; ask nobody.")
def audit(
    lock: Path,
    debian_tracker: Path | None,
    advisories: Path | None,
    everything: bool,
    offline: bool,
) -> Answer:
    """Hold a lock against known weaknesses, and name the security updates it lacks.

    LOCK is a folder with a lock, or a lock file. Data that are not given are looked for in the
    store's folder 'audit'; what was not at hand is said. Exits with 1 where an upgrade would mend
    something.
    """
    from branchline.environment.image.store import Store, default_store_folder
    from branchline.environment.lock.audit.audit import audit as judge

    with working("auditing"):
        report = judge(
            lock_at(lock),
            Store(default_store_folder()),
            tracker=debian_tracker,
            advisories=advisories,
            offline=offline,
        )
    code = _CAN_BE_MENDED if report.can_be_mended else 0
    return Answer(_as_json(report), _as_text(report, everything), code)


def _as_json(report: Report) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain | {"can_be_mended": report.can_be_mended}


def _as_text(report: Report, everything: bool) -> str:
    shown = [weakness for weakness in report.weaknesses if weakness.fixed or everything]
    hidden = len(report.weaknesses) - len(shown)
    security = [update for update in report.updates if update.security]
    rows = [_row(weakness) for weakness in shown]
    return lines(
        table(("package", "locked", "mended in", "weakness", "urgency"), rows, ""),
        f"{hidden} more that nobody has mended yet; --all lists them" if hidden else "",
        *(f"security update  {u.name}  {u.before} → {u.after}" for u in security),
        f"{len(report.updates) - len(security)} other updates"
        if len(report.updates) > len(security)
        else "",
        *(f"{'used' if d.at_hand else 'NOT AT HAND'}  {d.what}: {d.detail}" for d in report.data),
        "An upgrade would mend something: 'branchline environment lock --upgrade'"
        if report.can_be_mended
        else "",
    )


def _row(weakness: Weakness) -> tuple[str, ...]:
    name = weakness.name if weakness.part == "debian" else f"{weakness.name} (Python)"
    return name, weakness.version, weakness.fixed or "-", weakness.id, weakness.urgency
