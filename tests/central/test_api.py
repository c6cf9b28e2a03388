"""Central's API as a stranger and as a tool sees it."""

from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession

from branchline.central.founding import initialise
from branchline.central.service import CentralSettings, running
from branchline.foundation.errors import Refused
from branchline.foundation.http.client import ApiClient
from branchline.foundation.keys import Identity
from branchline.journey import messages
from branchline.journey.enrolment import greet
from branchline.ledger.audit import audit
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.note import parse_key


async def _settings(tmp_path: Path) -> CentralSettings:
    folder = tmp_path / "central"
    initialise(folder, "central.test/branchline")
    return CentralSettings(folder, port=0)


async def test_the_api_describes_itself(tmp_path: Path) -> None:
    """The OpenAPI document names every route and every message's schema."""
    async with (
        running(await _settings(tmp_path)) as url,
        ClientSession() as session,
        session.get(f"{url}/openapi.json") as answer,
    ):
        document = await answer.json()
    assert document["openapi"] == "3.1.0"
    assert {"/v1", "/v1/acts", "/v1/inbox", "/v1/parcels/{digest}"} <= set(document["paths"])
    act = document["components"]["schemas"]["ActMessage"]
    assert act["additionalProperties"] is False


async def test_a_program_of_another_version_is_told_so(tmp_path: Path) -> None:
    """Versions are agreed on before anything else is said."""

    class Later(ApiClient):
        async def call(self, *args: object, **kwargs: object) -> messages.Hello:  # type: ignore[override]
            hello: messages.Hello = await super().call(*args, **kwargs)  # type: ignore[call-overload]
            return msgspec.structs.replace(hello, versions=(7,))

    async with running(await _settings(tmp_path)) as url:
        client = Later(url, Identity.create())
        try:
            with pytest.raises(Refused, match="speaks versions"):
                await greet(client)
        finally:
            await client.close()


async def test_the_ledger_is_served_as_static_files_that_audit(tmp_path: Path) -> None:
    """What central serves under /ledger is what its own audit reads, and nothing else."""
    settings = await _settings(tmp_path)
    async with running(settings) as url, ClientSession() as session:
        async with session.get(f"{url}/ledger/checkpoint") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            checkpoint = await answer.read()
        async with session.get(f"{url}/ledger/../keys/identity") as answer:
            assert answer.status == 404
        async with session.get(f"{url}/ledger/%2e%2e/keys/identity") as answer:
            assert answer.status == 404
        client = ApiClient(url, Identity.create())
        hello = await greet(client)
        await client.close()
    files = FolderFiles(settings.folder / "ledger")
    audited = audit(files.read, files.paths(), parse_key(hello.log_vkey))
    assert files.read("checkpoint") == checkpoint
    assert audited.checkpoint.origin == hello.origin
