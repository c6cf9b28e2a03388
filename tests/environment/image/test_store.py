"""The store: what is in it is whole, however its makers ended."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from tests.environment.image.makers import image, keep, layer, small_image

from branchline.environment.image import gc, images
from branchline.environment.image.entries import Entry
from branchline.environment.image.images import sign_image, signature, verify_signature
from branchline.environment.image.store import Store, default_store_folder
from branchline.environment.image.trees import check_trees, materialise
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import Corrupt, NotFound, Unavailable
from branchline.foundation.keys import Identity


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(tmp_path / "store")


def test_the_store_is_where_the_person_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable, else the user's cache folder."""
    monkeypatch.setenv("BRANCHLINE_STORE", "/some/where")
    assert default_store_folder() == Path("/some/where")
    monkeypatch.delenv("BRANCHLINE_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_store_folder() == Path("/cache/branchline/environments")


def test_what_is_removed_aside_is_gone_when_all_is_tidied(store: Store) -> None:
    """Whatever happened in it."""
    with store.building():
        with pytest.raises(KeyError), store.temporary("work", aside=True) as folder:
            (folder / "file").write_bytes(b"half")
            raise KeyError
        with store.temporary("more", aside=True) as other:
            (other / "folder").mkdir()
        store.tidied()
        assert not folder.exists()
        assert not other.exists()


def test_a_layer_is_found_by_what_it_comes_of_if_it_is_whole(store: Store) -> None:
    """One missing or emptied content, and it has to be made again."""
    key, entry = digest_of(b"key"), keep(store, "x", b"content")
    made = layer(store, entry)
    store.add_layer(made, key)
    assert store.layer_of_key(key) == made
    path = Path(store.objects.path(entry))
    path.chmod(0o600)
    path.write_bytes(b"")  # as a power cut may leave it
    assert store.layer_of_key(key) is None
    path.unlink()
    assert store.layer_of_key(key) is None
    keep(store, "x", b"content")
    assert store.layer_of_key(key) == made


@pytest.mark.parametrize("damage", [b"", b"{}", b"nonsense"])
def test_a_damaged_record_is_as_good_as_none(store: Store, damage: bytes) -> None:
    """It is never believed, and a build makes the layer anew."""
    key = digest_of(b"key")
    made = layer(store, keep(store, "x", b"content"))
    store.add_layer(made, key)
    (store.folder / "layers" / f"{made.digest[7:]}.json").write_bytes(damage)
    assert store.layer_of_key(key) is None
    assert not store.has_layer(made.digest)
    with pytest.raises(Corrupt, match="record"):
        store.layer(made.digest)


def test_what_is_being_made_is_made_by_one(store: Store) -> None:
    """A second maker waits for the first, and then goes in."""
    order: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with store.making("thing"):
            inside.set()
            go_on.wait()
            order.append("first")

    def second() -> None:
        inside.wait()
        go_on.set()
        with store.making("thing"):
            order.append("second")

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == ["first", "second"]


def test_garbage_is_not_collected_under_a_builders_feet(store: Store) -> None:
    """While something is made of what is here, nothing goes."""
    with store.temporary("work"), pytest.raises(Unavailable, match="being built"):
        gc.collect(store)
    assert gc.collect(store).unfinished == 0


def test_what_a_killed_program_left_is_swept(store: Store) -> None:
    """A folder under temp/ that nobody holds goes, read-only folders in it included."""
    left = store.folder / "temp" / "base.1234" / "root"
    (left / "closed").mkdir(parents=True)
    (left / "closed" / "file").write_bytes(b"x")
    (left / "closed").chmod(0o500)
    assert gc.collect(store).unfinished == 1
    assert list((store.folder / "temp").iterdir()) == []


def test_what_no_image_needs_is_collected_and_nothing_else(store: Store) -> None:
    """An image that stays is whole afterwards; of one that goes only what is shared stays."""
    kept, gone = small_image(store), small_image(store, more=b"y = 2\n")
    trees = materialise(kept, store)
    materialise(gone, store)
    layer(store, keep(store, "loose", b"loose"))
    collected = gc.collect(store, forget=[gone.digest])
    assert (collected.images, collected.layers, collected.trees) == (1, 2, 1)
    assert collected.objects == 2  # the other module, and the loose one
    assert list(images.all_images(store)) == [kept.digest]
    assert check_trees(trees) >= 0
    with pytest.raises(NotFound):
        images.open_image(store, gone.digest)
    again = gc.collect(store)
    assert (again.layers, again.trees, again.objects, again.size) == (0, 0, 0, 0)


def test_an_unknown_image_is_not_forgotten(store: Store) -> None:
    """And nothing else is collected then."""
    layer(store, keep(store, "loose", b"loose"))
    with pytest.raises(NotFound):
        gc.collect(store, forget=[digest_of(b"nothing")])
    assert gc.collect(store).objects == 1


@pytest.mark.parametrize("name", ["manifest.json", "config.json"])
def test_a_flipped_bit_in_an_images_documents_is_noticed(store: Store, name: str) -> None:
    """The image's digest vouches for both."""
    made = small_image(store)
    file = images.folder_of(store, made.digest) / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(Corrupt):
        images.open_image(store, made.digest)


def test_a_signature_stands_beside_the_image(store: Store) -> None:
    """It holds for its signer and this image, and for nobody and nothing else."""
    made, other = small_image(store), small_image(store, more=b"y = 2\n")
    builder = Identity.create()
    assert signature(store, made) is None
    token = sign_image(store, made, builder)
    assert signature(store, made) == token
    verify_signature(token, made, builder.public)
    with pytest.raises(Corrupt):
        verify_signature(token, other, builder.public)
    with pytest.raises(Corrupt):
        verify_signature(token, made, Identity.create().public)


def test_an_images_digest_depends_on_its_layers_and_date_alone(tmp_path: Path) -> None:
    """Two stores, one image."""
    digests: set[Digest] = set()
    for name in ("a", "b"):
        store = Store(tmp_path / name)
        digests.add(small_image(store).digest)
    assert len(digests) == 1
    assert image(store, layer(store, Entry("x", "folder", 0o755))).digest not in digests


def test_entering_an_image_twice_is_harmless(store: Store) -> None:
    """The second time finds it there."""
    assert small_image(store) == small_image(store)
    assert len(os.listdir(store.images)) == 1
