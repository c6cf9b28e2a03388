"""A requester's client as a process that can be killed: sends one signed act and says so."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from branchline.foundation.http.client import ApiClient
from branchline.foundation.keys import Identity
from branchline.journey.messages import ActMessage, Recorded


async def main(url: str, keys: Path, message: bytes, act: str) -> None:
    """Send the act in a file, and print its place in the ledger once it is acknowledged."""
    client = ApiClient(url, Identity.load_or_create(keys))
    body = msgspec.json.decode(message, type=ActMessage)
    recorded = await client.call("POST", "/v1/acts", body=body, answer=Recorded, key=act)
    sys.stdout.write(f"{recorded.position}\n")
    sys.stdout.flush()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]).read_bytes(), sys.argv[4]))
