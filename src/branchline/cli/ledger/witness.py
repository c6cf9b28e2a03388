"""``branchline ledger witness``: how witnesses stand, and a witness that is no station."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.central import address_of
from branchline.cli.frame import Answer, home_option, lines, log_to_stderr, table, verb
from branchline.cli.ledger.homes import HOME, folder_of
from branchline.foundation.errors import Corrupt, Refused

if TYPE_CHECKING:
    from branchline.central.witness_status import WitnessLine
    from branchline.station.witness_status import StudyQuorum

WITNESS = home_option("BRANCHLINE_WITNESS", ".branchline-witness")


@click.group(no_args_is_help=True)
def witness() -> None:
    """Look at witnesses, or run one that is no station."""


@verb(witness, "init", "branchline ledger witness init auditor.example/witness --log ./ledger/vkey")
@click.argument("name")
@click.option("--log", "logs", multiple=True, required=True, metavar="VKEY|FILE",
              help="A ledger to watch: its verifier key, or a file that holds it; repeatable.")  # fmt: skip
@WITNESS
def init(name: str, logs: tuple[str, ...], home: Path) -> Answer:
    """Make a witness that is no station, or let it watch one more ledger.

    NAME is the name of its key, a URL prefix without scheme. Prints the verifier key, which whoever
    is to count on this witness puts into a policy. The key is made here and stays here.
    """
    from branchline.ledger.witness.home import WitnessHome, initialise

    made = WitnessHome(home)
    key = initialise(made, name, [_vkey(log) for log in logs])
    origins = sorted(made.logs())
    text = lines(f"vkey      {key.text}", f"watches   {', '.join(origins)}", f"home      {home}")
    return Answer({"name": name, "vkey": key.text, "logs": origins, "home": str(home)}, text)


@verb(witness, "serve", "branchline ledger witness serve --listen 127.0.0.1:8650")
@click.option("--listen", default="127.0.0.1:8650", show_default=True, metavar="HOST:PORT")
@click.option("--tls-cert", metavar="FILE", help="Certificate for HTTPS.")
@click.option("--tls-key", metavar="FILE", help="The certificate's key.")
@click.option("--verbose", "-v", count=True, help="Log more; twice for even more.")
@WITNESS
def serve(listen: str, tls_cert: str | None, tls_key: str | None, verbose: int, home: Path) -> None:
    """Cosign what ledgers post, until told to end.

    Speaks C2SP tlog-witness: POST /add-checkpoint, and GET /<SHA-256 of the origin>/checkpoint for
    what was cosigned last. Cosigns only what continues everything it cosigned before. It keeps no
    copy of the entries. Plain HTTP is served on loopback only; port 0 takes any free port.
    """
    from branchline.cli.serving import serve as until_told
    from branchline.ledger.witness.home import WitnessHome
    from branchline.ledger.witness.service import serving

    host, port = address_of(listen)
    log_to_stderr(verbose)
    running = serving(WitnessHome(home), host, port, tls_cert=tls_cert, tls_key=tls_key)
    until_told("witness", running)


@verb(witness, "status", "branchline ledger witness status --home /srv/branchline/station")
@HOME
def status(home: Path | None) -> Answer:
    """Show how witnesses stand.

    For a station: what it cosigned last and what it holds, what its studies ask of witnesses, and
    alarms. For central: every witness, those from outside included, and how far it is behind. For a witness that is no station:
    what it cosigned of each ledger. Exits with 6 if there is an alarm.
    """
    from branchline.ledger.witness.home import WitnessHome

    if home is not None and WitnessHome(home).exists:
        return _of_witness(home)
    folder, kind = folder_of(home)
    if kind == "person":
        raise Refused(
            f"The folder {folder} is a researcher's, who is no witness",
            advice="Give the folder of a station, a central service or a witness with --home",
        )
    return _of_central(folder) if kind == "central" else _of_station(folder)


def _of_station(folder: Path) -> Answer:
    from branchline.foundation.clock import SystemClock
    from branchline.station.settings import StationHome
    from branchline.station.witness_status import witness_status

    found = witness_status(StationHome(folder), SystemClock())
    text = lines(
        f"ledger    {found.origin}",
        f"vkey      {found.vkey}",
        f"cosigned  {found.size} entries{_when(found.at)}",
        f"mirror    {found.mirrored} entries",
        *map(_quorum, found.studies),
        *(f"ALARM     {each.says}\n          {each.file}" for each in found.alarms),
        "No data are bound. Find out which history is that of your studies; then clear it with "
        f"'branchline ledger evidence --seen --home {folder}'."
        if found.alarms
        else "",
    )
    return Answer(_plain(found), text, Corrupt.exit_code if found.alarms else 0)


def _of_central(folder: Path) -> Answer:
    from branchline.central.witness_status import witnesses_status

    found = witnesses_status(folder)
    columns = ("witness", "entity", "cosigned", "behind", "last seen")
    text = lines(
        f"ledger    {found.origin}, {found.size} entries",
        table(columns, [_row(each) for each in found.witnesses], "Nobody is a witness yet."),
        *(f"ALARM     {sentence}" for sentence in found.alarms),
        "Nothing is taken in. Stop the service and restore its latest state, or copy the missing "
        "entries from a station's mirror."
        if found.alarms
        else "",
    )
    return Answer(_plain(found), text, Corrupt.exit_code if found.alarms else 0)


def _of_witness(folder: Path) -> Answer:
    from branchline.ledger.proof.evidence import check_evidence
    from branchline.ledger.witness.home import WitnessHome
    from branchline.ledger.witness.standing import Standing, standing_in

    home = WitnessHome(folder)
    key, store = home.key, home.store()
    stands = {}
    for origin in home.logs():
        known = store.latest(origin)
        found = {} if known is None else standing_in(known.note, [key])
        stands[origin] = found.get(key, Standing())
    alarms = []
    for each in store.evidence():
        origin = each.larger.partition("\n")[0]
        (log, *_) = home.logs()[origin]
        says = check_evidence(each.text.encode(), log.text).sentence
        alarms.append({"origin": origin, "says": says})
    data = {
        "name": key.name,
        "vkey": key.text,
        "logs": [{"origin": origin, **_plain(stand)} for origin, stand in stands.items()],
        "alarms": alarms,
    }
    rows = [(o, str(stand.size), _when(stand.at).strip(", ")) for o, stand in stands.items()]
    text = lines(
        f"vkey      {key.text}",
        table(("ledger", "cosigned", "at"), rows, "It watches no ledger."),
        *(f"ALARM     {alarm['says']}" for alarm in alarms),
    )
    return Answer(data, text, Corrupt.exit_code if alarms else 0)


def _quorum(study: StudyQuorum) -> str:
    had = ", ".join(study.cosigned) or "nobody yet"
    if study.resists < 0:
        strength = "nobody keeps the ledger to one history"
    elif study.resists == 0:
        strength = "no dishonest witness is resisted"
    else:
        strength = f"{study.resists} dishonest are resisted"
    own = "" if study.own else "; this station is no witness of it"
    outside = f", and {', '.join(study.outside)}" if study.outside else ""
    away = f"; missing: {', '.join(study.outside_missing)}" if study.outside_missing else ""
    return (
        f"study     {study.study}: {study.asked} of {study.entities} legal entities have to cosign"
        f"{outside} ({strength}); last seen: {had}{away}{own}"
    )


def _row(each: WitnessLine) -> tuple[str, ...]:
    seen = _when(each.seen).strip(", ") or "never"
    whose = "outside" if each.outside else each.entity
    return each.party, whose, str(each.size), str(each.lag), seen


def _when(moment: Any) -> str:
    return f", {moment:%Y-%m-%d %H:%M:%S} UTC" if moment is not None else ""


def _plain(found: Any) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def _vkey(text: str) -> str:
    """Return a verifier key, or what a file holds."""
    return text if "+" in text else Path(text).read_text().strip()
