"""Images on the road: one file, OCI layouts, registries; taken in as hostile bytes."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.environment.image.makers import image, keep, layer, small_image
from tests.ports import free_port

from branchline.environment.image import images, oci, registry, transfer
from branchline.environment.image.entries import Entry
from branchline.environment.image.images import documents_of, sign_image, signature
from branchline.environment.image.intake import take_image, take_layer
from branchline.environment.image.oci import layer_tar, write_layout
from branchline.environment.image.store import Store
from branchline.environment.image.trees import check_trees, materialise
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import BranchlineError, Conflict, Corrupt, NotFound, Refused
from branchline.foundation.keys import Identity


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """Give the store of somebody else."""
    return Store(tmp_path / "other")


def test_an_image_travels_in_one_file(store: Store, other: Store, tmp_path: Path) -> None:
    """Exported here, imported there: the same image, its signature, and trees that hold."""
    made = small_image(store)
    token = sign_image(store, made, Identity.create())
    size = transfer.export_image(store, made, tmp_path / "image")
    assert size == (tmp_path / "image").stat().st_size
    found = transfer.import_image(other, tmp_path / "image", digest=made.digest)
    assert (found.digest, found.layers) == (made.digest, made.layers)
    assert signature(other, found) == token
    check_trees(materialise(found, other))


def test_another_image_than_the_one_asked_for_is_refused(
    store: Store, other: Store, tmp_path: Path
) -> None:
    """Whoever knows which image he wants gets that one or none."""
    transfer.export_image(store, small_image(store), tmp_path / "image")
    with pytest.raises(Refused, match="holds the image"):
        transfer.import_image(other, tmp_path / "image", digest=digest_of(b"another"))
    assert list(images.all_images(other)) == []


@settings(max_examples=15)  # each makes two stores, durably
@given(at=st.integers(0, 1 << 20), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_file_is_never_adopted(
    at: int, bit: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A flipped bit or a missing end: refused, or the very image all the same."""
    folder = tmp_path_factory.mktemp("damaged")
    store, other = Store(folder / "store"), Store(folder / "other")
    made = small_image(store)
    transfer.export_image(store, made, folder / "image")
    data = bytearray((folder / "image").read_bytes())
    if cut:
        del data[at % len(data) :]
    else:
        data[at % len(data)] ^= 1 << bit
    (folder / "image").write_bytes(data)
    try:
        found = transfer.import_image(other, folder / "image", digest=made.digest)
    except BranchlineError:
        assert list(images.all_images(other)) == []
    else:
        assert found.digest == made.digest
        check_trees(materialise(found, other))


@pytest.mark.parametrize("data", [b"", b"nonsense" * 500, None], ids=["empty", "other", "cut"])
def test_whoever_has_a_bad_file_is_told_what_to_do(tmp_path: Path, data: bytes | None) -> None:
    """One sentence names the file, another says where to get it again."""
    store, file = Store(tmp_path / "store"), tmp_path / "image.stick"
    transfer.export_image(store, small_image(store), file)
    file.write_bytes(file.read_bytes()[:-3000] if data is None else data)
    with pytest.raises(BranchlineError, match=r"The file image\.stick") as caught:
        transfer.import_image(Store(tmp_path / "other"), file)
    assert "environment export" in caught.value.advice


def test_damage_in_the_store_never_leaves_it(store: Store, tmp_path: Path) -> None:
    """A changed content is noticed while it is written out, and no file appears."""
    made = small_image(store)
    path = Path(store.objects.path(keep(store, "usr/local/lib/module.py", b"x = 1\n")))
    path.chmod(0o600)
    path.write_bytes(b"x = 2\n")
    with pytest.raises(Corrupt):
        transfer.export_image(store, made, tmp_path / "image")
    with pytest.raises(Corrupt):
        write_layout(store, made, tmp_path / "layout")
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def hostile(*members: tuple[str, bytes, bytes, str, int]) -> bytes:
    """Write a layer as an attacker would."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, kind, to, mode in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname, info.mode = len(content), kind, to, mode
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        hostile(("../x", b"x", tarfile.REGTYPE, "", 0o644)),
        hostile(("/x", b"x", tarfile.REGTYPE, "", 0o644)),
        hostile(("x", b"x", tarfile.REGTYPE, "", 0o4755)),
        hostile(("x", b"", tarfile.CHRTYPE, "", 0o644)),
        hostile(("x", b"", tarfile.LNKTYPE, "/etc/passwd", 0o644)),
        hostile(("x", b"1", tarfile.REGTYPE, "", 0o644), ("x", b"2", tarfile.REGTYPE, "", 0o644)),
        hostile(("b", b"1", tarfile.REGTYPE, "", 0o644), ("a", b"2", tarfile.REGTYPE, "", 0o644)),
        b"",
        b"no tar at all",
    ],
    ids=["up", "absolute", "setuid", "device", "hard link", "twice", "unsorted", "empty", "no tar"],
)
def test_a_hostile_layer_is_not_taken_in(store: Store, data: bytes) -> None:
    """Its digest may be right: it must be the tar that this program would write."""
    with pytest.raises(BranchlineError):
        take_layer(store, digest_of(data), "hostile", [data])
    assert not store.has_layer(digest_of(data))


def test_a_layer_of_other_bytes_is_not_taken_in(store: Store, other: Store) -> None:
    """The digest is the name."""
    made = layer(store, keep(store, "x", b"content"))
    with pytest.raises(Corrupt, match="other bytes"):
        take_layer(other, digest_of(b"another"), "x", layer_tar(store, made.digest))


def test_an_image_that_leads_out_is_not_taken_in(store: Store, other: Store) -> None:
    """A link in one layer, a file behind it in the next."""
    first = layer(store, Entry("way", "link", target="/etc"))
    second = layer(store, keep(store, "way/passwd", b"x"), Entry("way", "folder", 0o755))
    third = layer(store, Entry("way", "link", target="/etc"))
    made = image(store, second, first)
    for each in (first, second, third):
        take_layer(other, each.digest, each.title, layer_tar(store, each.digest))
    found = take_image(other, documents_of(store, made.digest), made.digest)
    assert (materialise(found, other).debian / "way").is_symlink()


def test_an_image_layout_is_written_once(store: Store, tmp_path: Path) -> None:
    """Never over something that is there."""
    made = small_image(store)
    write_layout(store, made, tmp_path / "layout")
    blobs = {p.name for p in (tmp_path / "layout" / "blobs" / "sha256").iterdir()}
    assert {layer.digest[7:] for layer in made.layers} | {made.digest[7:]} < blobs
    for blob in (tmp_path / "layout" / "blobs" / "sha256").iterdir():
        assert digest_of(blob.read_bytes()) == f"sha256:{blob.name}"
    with pytest.raises(Conflict):
        write_layout(store, made, tmp_path / "layout")


def test_other_programs_read_the_layout(store: Store, tmp_path: Path) -> None:
    """skopeo finds the same digest, and its copy of the image has it, too."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    made = small_image(store)
    write_layout(store, made, tmp_path / "layout")
    inspected = ["skopeo", "inspect", "--format", "{{.Digest}}", f"oci:{tmp_path / 'layout'}"]
    said = subprocess.run(inspected, capture_output=True, text=True, check=True).stdout
    assert said.strip() == made.digest
    copied = tmp_path / "copied"
    subprocess.run(
        ["skopeo", "copy", "--quiet", f"oci:{tmp_path / 'layout'}", f"dir:{copied}"], check=True
    )
    assert digest_of((copied / "manifest.json").read_bytes()) == made.digest


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Start Debian's registry on loopback; give the start of its references."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    port = free_port()
    settings = tmp_path / "registry.yml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path / 'registry'}}}}}\n"
    )
    process = subprocess.Popen(
        [program, "serve", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _until_answered(f"http://127.0.0.1:{port}/v2/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _until_answered(url: str) -> None:
    for _ in range(1200):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


def test_an_image_goes_through_a_registry(store: Store, other: Store, served: str) -> None:
    """Pushed once, its blobs do not travel again; pulled by digest, it is the same image."""
    made = small_image(store)
    to = registry.parse_reference(f"{served}/team/analysis:v1")
    assert registry.push(store, made, to) == len(made.layers) + 1
    assert registry.push(store, made, to) == 0
    assert registry.push(store, small_image(store, more=b"y = 2\n"), to) == 2
    found = registry.pull(other, to, made.digest)
    assert found == made
    check_trees(materialise(found, other))


def test_layers_at_hand_are_not_fetched(
    store: Store, other: Store, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that shares layers with one that is here costs only what differs."""
    to = registry.parse_reference(f"{served}/team/analysis:v1")
    first, second = small_image(store), small_image(store, more=b"y = 2\n")
    for made in (first, second):
        registry.push(store, made, to)
    registry.pull(other, to, first.digest)
    taken: list[str] = []
    take = take_layer

    def counted(store: Store, digest: str, title: str, pieces: Iterator[bytes]) -> object:
        taken.append(title)
        return take(store, digest, title, pieces)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "take_layer", counted)
    registry.pull(other, to, second.digest)
    assert taken == ["local"]


def test_what_a_registry_does_not_have_is_not_found(other: Store, served: str) -> None:
    """One sentence, and nothing in the store."""
    to = registry.parse_reference(f"{served}/team/analysis:v1")
    with pytest.raises(NotFound, match="team/analysis"):
        registry.pull(other, to, digest_of(b"nothing"))
    assert list(images.all_images(other)) == []


def test_a_registry_that_lies_is_caught(
    store: Store, other: Store, served: str, tmp_path: Path
) -> None:
    """A blob with a flipped bit on its disk is not taken in."""
    made = small_image(store)
    to = registry.parse_reference(f"{served}/team/analysis:v1")
    registry.push(store, made, to)
    name = made.layers[1].digest[7:]
    blob = tmp_path / f"registry/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data"
    data = bytearray(blob.read_bytes())
    data[600] ^= 1
    blob.write_bytes(data)
    with pytest.raises(Corrupt):
        registry.pull(other, to, made.digest)
    assert list(images.all_images(other)) == []


@pytest.mark.parametrize(
    ("text", "base", "name", "tag"),
    [
        ("registry.example/x", "https://registry.example", "x", None),
        ("registry.example:5000/a/b-c:v1", "https://registry.example:5000", "a/b-c", "v1"),
        ("http://127.0.0.1:5000/x:y", "http://127.0.0.1:5000", "x", "y"),
        ("http://[::1]:5000/x", "http://[::1]:5000", "x", None),
    ],
)
def test_references_are_read(text: str, base: str, name: str, tag: str | None) -> None:
    """As the distribution specification writes them."""
    found = registry.parse_reference(text)
    assert (found.base, found.name, found.tag) == (base, name, tag)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "http://registry.example/x",
        "registry.example/X",
        "ftp://a/b",
        "a/b/../c",
        "a/b:c:d",
    ],
)
def test_other_references_are_refused(text: str) -> None:
    """Plain HTTP to another machine among them."""
    with pytest.raises(Refused):
        registry.parse_reference(text)


def test_a_layout_that_cannot_be_finished_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk half-way: no folder of that name."""
    made = small_image(store)

    def full(*args: object) -> Iterator[bytes]:
        yield b"something"
        raise OSError(28, "No space left on device")

    replaced: Callable[..., Iterator[bytes]] = full
    monkeypatch.setattr(oci, "layer_tar", replaced)
    with pytest.raises(OSError, match="No space"):
        write_layout(store, made, tmp_path / "layout")
    assert [p.name for p in tmp_path.iterdir()] == ["store"]
