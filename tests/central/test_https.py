"""HTTPS with given certificates; plain HTTP on loopback only."""

import datetime
import ssl
from pathlib import Path

import pytest
from tests.certificates import make_certificate

from branchline.central.founding import initialise, invite
from branchline.central.service import CentralSettings, running
from branchline.foundation.clock import SystemClock
from branchline.foundation.errors import Refused, Unavailable
from branchline.foundation.http.client import ApiClient, check_address
from branchline.foundation.keys import Identity
from branchline.journey.enrolment import greet, join
from branchline.ledger.classes import ActorSecret
from branchline.station.enrol import enrol
from branchline.station.settings import StationHome

SECRET = ActorSecret(1, bytes(32))
ORIGIN = "central.test/branchline"


async def test_a_station_enrols_over_https_that_it_was_told_to_trust(tmp_path: Path) -> None:
    """With the certificate named, the whole of enrolment goes over TLS."""
    certificate, private = make_certificate(tmp_path)
    folder = tmp_path / "central"
    initialise(folder, ORIGIN)
    settings = CentralSettings(folder, port=0, tls_cert=str(certificate), tls_key=str(private))
    clock = SystemClock()
    async with running(settings) as url:
        assert url.startswith("https://")
        day = datetime.timedelta(days=1)
        invitation = invite(folder, "north", "station", url, day, clock)
        home = StationHome(tmp_path / "north")
        made = await enrol(home, invitation, clock, ca_file=str(certificate))
        assert made.central.url == url
        assert home.settings() == made


async def test_a_certificate_nobody_vouches_for_is_not_believed(tmp_path: Path) -> None:
    """Without the certificate named, the system's trust decides, and says no."""
    certificate, private = make_certificate(tmp_path)
    folder = tmp_path / "central"
    initialise(folder, ORIGIN)
    settings = CentralSettings(folder, port=0, tls_cert=str(certificate), tls_key=str(private))
    async with running(settings) as url:
        client = ApiClient(url, Identity.create(), retry_seconds=0)
        try:
            with pytest.raises(Unavailable):
                await greet(client)
        finally:
            await client.close()


async def test_plain_http_is_refused_away_from_loopback(tmp_path: Path) -> None:
    """An address that others can reach needs a certificate; the sentence says so."""
    folder = tmp_path / "central"
    initialise(folder, ORIGIN)
    with pytest.raises(Refused, match="--tls-cert"):
        async with running(CentralSettings(folder, host="0.0.0.0", port=0)):
            pass
    with pytest.raises(Refused, match="https://"):
        check_address("http://central.example")


async def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    """A certificate without its key, or a file that is none, gives one sentence."""
    certificate, _ = make_certificate(tmp_path)
    folder = tmp_path / "central"
    initialise(folder, ORIGIN)
    with pytest.raises(Refused, match="both"):
        async with running(CentralSettings(folder, port=0, tls_cert=str(certificate))):
            pass
    broken = CentralSettings(folder, port=0, tls_cert=str(certificate), tls_key=str(certificate))
    with pytest.raises(Refused, match="cannot be used"):
        async with running(broken):
            pass


async def test_another_service_than_the_one_that_invited_is_noticed(tmp_path: Path) -> None:
    """The invitation names central's key; whoever else answers gets no key enrolled."""
    clock, day = SystemClock(), datetime.timedelta(days=1)
    for name in ("one", "two"):
        initialise(tmp_path / name, f"{name}.test/branchline")
    async with running(CentralSettings(tmp_path / "two", port=0)) as url:
        invitation = invite(tmp_path / "one", "north", "station", url, day, clock)
        with pytest.raises(Exception, match="not the one that sent the invitation"):
            await join(Identity.create(), invitation, clock, secret=SECRET)


def test_the_tls_context_is_a_servers(tmp_path: Path) -> None:
    """What is made of a certificate serves, and speaks nothing older than TLS 1.2."""
    from branchline.foundation.http.server import tls_context

    certificate, private = make_certificate(tmp_path)
    context = tls_context(str(certificate), str(private))
    assert context is not None
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
