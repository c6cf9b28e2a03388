"""Central's image area: whole or not at all, every byte held against its digest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from tests.environment.image.makers import small_image

from branchline.central import founding, images
from branchline.central.images import Images, OwnImages
from branchline.central.service import CentralSettings, running
from branchline.environment.image.images import all_images, open_image
from branchline.environment.image.store import Store
from branchline.environment.image.trees import check_trees, materialise
from branchline.environment.packed import compress, expand
from branchline.environment.service import ImageService, ImageState, fetch_image
from branchline.foundation.clock import SystemClock
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import BranchlineError, Corrupt, NotAllowed, NotFound, Refused
from branchline.foundation.http.client import ApiClient
from branchline.foundation.keys import Identity
from branchline.journey.enrolment import join
from branchline.journey.invitation import parse_invitation
from branchline.ledger.classes import ActorSecret

SECRET = ActorSecret(1, bytes(32))
BLOBS = [b'{"config": true}', b"first layer" * 1000, bytes(300_000)]


def manifest(blobs: list[bytes], **sizes: int) -> bytes:
    """Write an image's manifest over its blobs, the first of which is its configuration."""
    named = [
        {"digest": digest_of(b), "size": sizes.get(str(n), len(b))} for n, b in enumerate(blobs)
    ]
    return json.dumps({"schemaVersion": 2, "config": named[0], "layers": named[1:]}).encode()


@dataclass
class Place:
    """Central with one person at it."""

    folder: Path
    url: str
    client: ApiClient

    async def announce(self, data: bytes, digest: Digest | None = None) -> tuple[Digest, ...]:
        """Announce an image; returns what is missing."""
        answer = await self.client.put_bytes(f"/v1/images/{digest or digest_of(data)}", data)
        return decode_json(answer, ImageState).missing

    async def bring(self, image: Digest, blob: bytes, name: Digest | None = None) -> None:
        """Bring a blob, compressed."""
        file = self.folder / "packed"
        compress([blob], file)
        await self.client.put_bytes(
            f"/v1/images/{image}/blobs/{name or digest_of(blob)}", file.read_bytes()
        )

    async def push(self, blobs: list[bytes]) -> Digest:
        """Bring a whole image."""
        data = manifest(blobs)
        await self.announce(data)
        for blob in blobs:
            await self.bring(digest_of(data), blob)
        return digest_of(data)

    @property
    def area(self) -> Images:
        """The image area, beside the running service."""
        return Images(self.folder / "central", SystemClock())


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A running central, and a person enrolled there."""
    folder, clock = tmp_path / "central", SystemClock()
    founding.initialise(folder, "central.test/branchline")
    async with running(CentralSettings(folder, port=0)) as url:
        identity = Identity.create()
        made = founding.invite(folder, "ada", "person", url, timedelta(hours=1), clock)
        await join(identity, parse_invitation(made.text), clock, secret=SECRET)
        client = ApiClient(url, identity, retry_seconds=0)
        yield Place(tmp_path, url, client)
        await client.close()


async def test_an_image_comes_and_goes_blob_by_blob(place: Place, tmp_path: Path) -> None:
    """What is there is not asked for again; nobody gets anything before all of it is there."""
    data = manifest(BLOBS)
    image = digest_of(data)
    assert await place.announce(data) == tuple(digest_of(blob) for blob in BLOBS)
    for blob in BLOBS:
        assert not await place.client.has(f"/v1/images/{image}")
        with pytest.raises(NotFound, match="environment push"):
            await place.client.get_bytes(f"/v1/images/{image}/blobs/{digest_of(blob)}")
        await place.bring(image, blob)
    assert await place.client.has(f"/v1/images/{image}")
    assert bytes(await place.client.get_bytes(f"/v1/images/{image}")) == data
    for blob in BLOBS:
        path, file = f"/v1/images/{image}/blobs/{digest_of(blob)}", tmp_path / "got"
        await place.client.save(path, file, 1 << 20)
        assert b"".join(expand(file, digest_of(blob), len(blob))) == blob
    shared = manifest([b"another", *BLOBS[1:]])
    assert await place.announce(shared) == (digest_of(b"another"),)


async def test_other_bytes_than_named_are_refused(place: Place) -> None:
    """A blob is what its digest says, as large as its image says, and compressed."""
    image = digest_of(manifest(BLOBS))
    await place.announce(manifest(BLOBS))
    with pytest.raises(Corrupt, match="not those of blob"):
        await place.bring(image, BLOBS[1][:-1] + b"x", digest_of(BLOBS[1]))
    with pytest.raises(Corrupt, match="more than"):
        await place.bring(image, BLOBS[1] + b"x", digest_of(BLOBS[1]))
    with pytest.raises(Corrupt, match="zstd"):
        await place.client.put_bytes(f"/v1/images/{image}/blobs/{digest_of(BLOBS[1])}", BLOBS[1])
    with pytest.raises(Corrupt, match="are not the manifest"):
        await place.announce(manifest(BLOBS) + b" ", image)
    assert place.area.missing(image) == tuple(digest_of(blob) for blob in BLOBS)
    assert list((place.folder / "central" / "incoming").glob("*.part")) == []


async def test_only_what_an_image_names_is_kept(place: Place) -> None:
    """Nobody stores anything here that no manifest announces."""
    image = digest_of(manifest(BLOBS))
    with pytest.raises(NotFound):
        await place.bring(image, BLOBS[1])
    await place.announce(manifest(BLOBS))
    with pytest.raises(NotFound, match="has no blob"):
        await place.bring(image, b"something else")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"schemaVersion": 2}',
        json.dumps(
            {"schemaVersion": 2, "config": {"digest": "x", "size": 1}, "layers": []}
        ).encode(),
        manifest(BLOBS, **{"1": -1}),
        manifest([b"config", *(b"%d" % n for n in range(200))]),
    ],
    ids=["nothing", "a list", "no layers", "no digest", "a negative size", "200 layers"],
)
async def test_what_is_no_manifest_is_refused(place: Place, data: bytes) -> None:
    """It is read strictly before anything is kept."""
    with pytest.raises(Refused):
        await place.announce(data)
    assert list(place.area.all()) == []


async def test_an_image_and_a_party_have_limits(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes count as they are announced, before a byte of them has come."""
    with pytest.raises(Refused, match="up to 17179869184"):
        await place.announce(manifest(BLOBS, **{"1": images.IMAGE_LIMIT}))
    monkeypatch.setattr(images, "PARTY_LIMIT", 1_000_000)
    await place.announce(manifest(BLOBS, **{"1": 600_000}))
    with pytest.raises(Refused, match="ada brought images of"):
        await place.announce(manifest(BLOBS, **{"1": 600_001}))
    # The same one again costs nothing.
    await place.announce(manifest(BLOBS, **{"1": 600_000}))


async def test_strangers_neither_bring_nor_fetch(place: Place) -> None:
    """Only enrolled parties have a part in it."""
    image = await place.push(BLOBS)
    stranger = ApiClient(place.url, Identity.create(), retry_seconds=0)
    try:
        with pytest.raises(NotAllowed):
            await stranger.get_bytes(f"/v1/images/{image}")
        with pytest.raises(NotAllowed):
            await stranger.put_bytes(f"/v1/images/{image}", manifest(BLOBS))
        with pytest.raises(NotAllowed):
            await stranger.has(f"/v1/images/{image}")
    finally:
        await stranger.close()


@pytest.mark.parametrize("path", ["/v1/images/..%2f..%2fkeys", "/v1/images/sha256:0"])
async def test_a_name_that_is_no_digest_is_refused(place: Place, path: str) -> None:
    """No name leads anywhere else."""
    with pytest.raises(BranchlineError):
        await place.client.get_bytes(path)


async def test_what_is_removed_takes_nothing_of_others_along(place: Place) -> None:
    """Blobs that another image needs stay."""
    one = await place.push(BLOBS)
    other = await place.push([b"another", *BLOBS[1:]])
    place.area.remove(one)
    assert not await place.client.has(f"/v1/images/{one}")
    place.area.require(other)
    place.area.remove(other)
    left = [file for file in (place.folder / "central" / "images").rglob("*") if file.is_file()]
    assert left == []


async def test_an_image_travels_through_central(place: Place, tmp_path: Path) -> None:
    """Pushed from one store, fetched into another: the same image, checked; once is enough."""
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    image, service = small_image(here), ImageService(place.client)
    told: list[str] = []
    assert await service.push(image.digest, here, told.append) == 4
    assert len(told) == 4
    assert await service.has(image.digest)
    assert await service.push(image.digest, here, told.append) == 0
    await fetch_image(service, image.digest, there, told.append)
    assert open_image(there, image.digest).layers == image.layers
    check_trees(materialise(image, there))


async def test_only_layers_that_are_missing_travel(place: Place, tmp_path: Path) -> None:
    """Two images that agree in most cost little more than one, both ways."""
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    one, other, service = small_image(here), small_image(here, b"y = 2"), ImageService(place.client)
    await service.push(one.digest, here, lambda said: None)
    assert await service.push(other.digest, here, lambda said: None) == 2
    await fetch_image(service, one.digest, there, lambda said: None)
    told: list[str] = []
    await fetch_image(service, other.digest, there, told.append)
    assert told == ["central: 1 of 1, local"]


async def test_an_image_that_is_too_large_is_not_fetched(place: Place, tmp_path: Path) -> None:
    """A station says how large an image may be; before a layer has come."""
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    image, service = small_image(here), ImageService(place.client)
    await service.push(image.digest, here, lambda said: None)
    with pytest.raises(Refused, match="up to 1000 are taken"):
        await fetch_image(service, image.digest, there, lambda said: None, limit=1000)
    assert list(all_images(there)) == []


async def test_central_cannot_pass_another_image_off(place: Place, tmp_path: Path) -> None:
    """Whatever it changes of what it keeps, nothing of it is taken in."""
    here, image_area = Store(tmp_path / "here"), place.folder / "central" / "images"
    image, service = small_image(here), ImageService(place.client)
    await service.push(image.digest, here, lambda said: None)
    files = [f for f in image_area.rglob("*") if f.is_file() and f.suffix != ".json"]
    assert len(files) == 5
    for number, file in enumerate(files):
        before = file.read_bytes()
        file.write_bytes(before[:-9] + bytes([before[-9] ^ 1]) + before[-8:])
        there = Store(tmp_path / f"there-{number}")
        with pytest.raises((Corrupt, Refused)):
            await fetch_image(service, image.digest, there, lambda said: None)
        assert list(all_images(there)) == []
        file.write_bytes(before)


async def test_central_takes_its_own_images_in(place: Place, tmp_path: Path) -> None:
    """For its aggregators it is its own supplier, and believes itself as little."""
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    image = small_image(here)
    await ImageService(place.client).push(image.digest, here, lambda said: None)
    await fetch_image(OwnImages(place.area), image.digest, there, lambda said: None)
    assert open_image(there, image.digest).digest == image.digest
    assert place.area.manifest(image.digest), "what central keeps stays"
