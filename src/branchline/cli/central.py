"""``branchline central``: run the meeting point."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Literal

import click

from branchline.cli.central_images import images
from branchline.cli.frame import Answer, home_option, lines, log_to_stderr, table, verb

HOME = home_option("BRANCHLINE_CENTRAL", ".branchline-central")

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@click.group(no_args_is_help=True)
def central() -> None:
    """Run a central service."""


central.add_command(images)


@verb(central, "init", "branchline central init central.example.org/branchline")
@click.argument("origin")
@HOME
def init(origin: str, home: Path) -> Answer:
    """Make a central service's keys and folder.

    ORIGIN is the ledger's name for ever: the service's address without scheme.
    """
    from branchline.central.founding import initialise

    identity = initialise(home, origin)
    text = f"{origin} is made in {home}; its key is {identity.id}"
    return Answer({"origin": origin, "home": str(home), "key": identity.id}, text)


@verb(central, "serve", "branchline central serve --listen 127.0.0.1:8640")
@click.option("--listen", default="127.0.0.1:8640", show_default=True, metavar="HOST:PORT")
@click.option("--tls-cert", metavar="FILE", help="Certificate for HTTPS.")
@click.option("--tls-key", metavar="FILE", help="The certificate's key.")
@click.option("--public-url", metavar="URL", help="The address parties use, if another.")
@click.option("--database", metavar="URL", help="An SQL server, in place of SQLite.")
@click.option("--accept-weaker", multiple=True, metavar="NAME", help="A weaker limit to accept.")
@click.option(
    "--environments",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="The folder of images aggregators run in, if another than in the data folder.",
)
@click.option("--registry", metavar="HOST/NAME", help="An OCI registry that may have images, too.")
@click.option("--witness", "witnesses", multiple=True, metavar="VKEY@URL",
              help="Ask a witness that is no station, too; repeatable.")  # fmt: skip
@click.option("--without-witnesses", is_flag=True,
              help="Sign at once; do not wait until witnesses have shown what they cosigned last.")  # fmt: skip
@click.option("--verbose", "-v", count=True, help="Log more; twice for even more.")
@HOME
def serve(
    listen: str,
    tls_cert: str | None,
    tls_key: str | None,
    public_url: str | None,
    database: str | None,
    accept_weaker: tuple[str, ...],
    environments: Path | None,
    registry: str | None,
    witnesses: tuple[str, ...],
    without_witnesses: bool,
    verbose: int,
    home: Path,
) -> None:
    """Serve until told to end.

    Prints one line with the address once it is ready. Plain HTTP is served on loopback only;
    port 0 takes any free port.

    After a restart the ledger signs nothing new until enough of the stations that cosigned it last
    are there: one put back to an old backup would else begin a second history. Use
    --without-witnesses only if such stations are gone for good and you know that nothing is lost.
    """
    from branchline.central.service import CentralSettings, running
    from branchline.cli.serving import serve as until_told

    host, port = address_of(listen)
    settings = CentralSettings(
        folder=home,
        host=host,
        port=port,
        database=database,
        tls_cert=tls_cert,
        tls_key=tls_key,
        public_url=public_url,
        accept_weaker=frozenset(accept_weaker),
        environments=environments,
        registry=registry,
        witnesses=witnesses,
        await_witnesses=not without_witnesses,
    )
    log_to_stderr(verbose)
    until_told("central", running(settings))


@verb(central, "invite", "branchline central invite hospital-a --kind station --valid 7d")
@click.argument("name")
@click.option("--kind", type=click.Choice(["station", "person"]), required=True)
@click.option("--valid", default="7d", show_default=True, metavar="7d", help="30m, 12h, 7d …")
@click.option("--url", help="Where the service is; by default where it was last served.")
@HOME
def invite(
    name: str, kind: Literal["station", "person"], valid: str, url: str | None, home: Path
) -> Answer:
    """Invite one party to enrol, once, before the invitation expires.

    Hand the line it prints to that party over a way you trust.
    """
    from branchline.central.founding import invite as make
    from branchline.foundation.clock import SystemClock, rfc3339

    duration, clock = _duration(valid), SystemClock()
    made = make(home, name, kind, url or _last_address(home), duration, clock)
    expires = rfc3339(clock.now() + duration)
    return Answer(
        {"name": name, "kind": kind, "invitation": made.text, "expires": expires}, made.text
    )


@verb(central, "show", "branchline central show")
@HOME
def show(home: Path) -> Answer:
    """Show who this service is and what it keeps."""
    from branchline.central.founding import origin_of
    from branchline.central.store import Store
    from branchline.foundation.keys import Identity

    origin = origin_of(home)
    store = Store(home)
    data = {
        "origin": origin,
        "key": Identity.load_or_create(home / "keys").id,
        "address": _served_at(home),
        "studies": store.studies(),
        "open_journeys": store.open_journeys(),
    }
    text = lines(
        f"ledger    {origin}",
        f"key       {data['key']}",
        f"address   {data['address'] or 'not served yet'}",
        f"studies   {', '.join(store.studies()) or 'none'}",
        f"journeys  {len(store.open_journeys())} open",
    )
    return Answer(data, text)


@verb(central, "incidents", "branchline central incidents")
@HOME
def incidents(home: Path) -> Answer:
    """List the requests that were refused, oldest first."""
    from branchline.central.founding import origin_of
    from branchline.central.store import Store

    origin_of(home)
    found = list(Store(home).incidents())
    rows = [(i["at"], i["path"], i["key_id"][:12], i["sentence"]) for i in found]
    text = table(("at", "path", "key", "why"), rows, "No request was refused.")
    return Answer({"incidents": found}, text)


def address_of(text: str) -> tuple[str, int]:
    """Read what ``--listen`` was given."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{text!r} is not of the form HOST:PORT", param_hint="--listen")
    return host.strip("[]"), int(port)


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if not found:
        raise click.BadParameter(
            f"{text!r} is not a time such as 30m, 12h or 7d", param_hint="--valid"
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _served_at(home: Path) -> str:
    file = home / "address"
    return file.read_text().splitlines()[0] if file.exists() else ""


def _last_address(home: Path) -> str:
    from branchline.central.founding import origin_of

    origin_of(home)
    found = _served_at(home)
    if not found:
        raise click.UsageError("The service was never served; say where it will be with --url")
    return found
