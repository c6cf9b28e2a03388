"""Bundles: one form, one digest, and every other form refused by the file's name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.foundation.digest import digest_of
from branchline.foundation.errors import BranchlineError
from branchline.foundation.keys import Identity
from branchline.train.archive import FILE_LIMIT, File, read_archive, write_archive
from branchline.train.bundle import (
    Bundle,
    OpenBundle,
    open_bundle,
    pack,
    pack_files,
    sign_bundle,
    unpack,
    verify_bundle,
)
from branchline.train.errors import BundleCorrupt, BundleRefused

MEMBER = tarfile.TarInfo


def foreign(files: dict[str, File], *added: MEMBER, content: bytes = b"") -> bytes:
    """Write an archive with Python's tarfile: the train's own files and some others."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, file in files.items():
            info = MEMBER(path)
            info.size = len(file.data)
            archive.addfile(info, io.BytesIO(file.data))
        for info in added:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> MEMBER:
    """Describe one member of a foreign archive."""
    info = MEMBER(name)
    info.type, info.linkname = kind, target
    return info


def read_tree(folder: Path) -> dict[str, File]:
    """Read a folder's files back."""
    return {
        str(path.relative_to(folder)): File(
            path.read_bytes(), executable=bool(path.stat().st_mode & stat.S_IXUSR)
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- what goes in comes out ---------------------------------------------------------------------

parts = st.text(st.sampled_from("aBcä1_-. "), min_size=1, max_size=6).filter(
    lambda part: not part.startswith(".")
)
paths = st.lists(parts, min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(paths, st.builds(File, st.binary(max_size=1500), st.booleans()), max_size=6)


def archived(tree: dict[str, File]) -> bytes | None:
    """Write a tree, or nothing if its names collide."""
    try:
        return write_archive(tree)
    except BundleRefused:
        return None


@given(trees, st.randoms(use_true_random=False))
def test_an_archive_gives_back_its_files(tree: dict[str, File], shuffle: random.Random) -> None:
    """Whatever files go in come out; and the order in which they came in leaves no trace."""
    data = archived(tree)
    if data is not None:
        assert read_archive(data) == tree
        items = list(tree.items())
        shuffle.shuffle(items)
        assert write_archive(dict(items)) == data


@given(trees)
def test_any_tar_can_read_an_archive(tree: dict[str, File]) -> None:
    """The form is plain ustar: Python's tarfile finds the same files in it."""
    data = archived(tree)
    if data is not None:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found = {info.name: archive.extractfile(info) for info in archive.getmembers()}
            assert {name: file.read() for name, file in found.items() if file} == {
                path: file.data for path, file in tree.items()
            }


@given(trees, st.data())
def test_a_mutated_archive_is_refused_or_other_files(
    tree: dict[str, File], data: st.DataObject
) -> None:
    """Change any byte: the archive is refused, or it is the one form of other files."""
    original = archived(tree)
    if original is not None:
        mutated = bytearray(original)
        mutated[data.draw(st.integers(0, len(mutated) - 1))] ^= data.draw(st.integers(1, 255))
        assert digest_of(mutated) != digest_of(original)
        try:
            found = read_archive(bytes(mutated))
        except BundleRefused:
            return
        assert found != tree
        assert write_archive(found) == bytes(mutated)


@given(st.binary(max_size=3000))
def test_noise_is_refused(noise: bytes) -> None:
    """Bytes that are no bundle are refused in a sentence, never with a traceback of ours."""
    with pytest.raises(BundleRefused):
        open_bundle(noise)


def test_a_folder_packed_and_unpacked_is_the_same(folder: Path, tmp_path: Path) -> None:
    """Content and the executable bit survive; times, owners and places leave no trace."""
    (folder / "lib").mkdir()
    script = folder / "lib" / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o750)
    bundle = pack(folder)
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    assert pack(copy) == bundle
    unpack(open_bundle(bundle.data, bundle.digest), tmp_path / "out")
    assert read_tree(tmp_path / "out") == read_tree(folder)
    assert stat.S_IMODE((tmp_path / "out/lib/run.sh").stat().st_mode) == 0o755
    assert pack(tmp_path / "out") == bundle


def test_unpacking_touches_no_folder_in_use(
    files: dict[str, File], folder: Path, tmp_path: Path
) -> None:
    """A folder with anything in it is refused and left as it is."""
    before = read_tree(folder)
    with pytest.raises(BundleRefused, match="is not empty"):
        unpack(open_bundle(pack_files(files).data), folder)
    assert read_tree(folder) == before


def test_hidden_files_and_caches_stay_home(folder: Path) -> None:
    """Version control, editors' and Python's own files are not packed."""
    bundle = pack(folder)
    for path in (".git/config", ".env", "__pycache__/x.pyc", "lib/.hidden/x"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    assert pack(folder) == bundle


# --- what is refused ----------------------------------------------------------------------------


def test_every_flipped_bit_is_noticed(files: dict[str, File]) -> None:
    """A flipped bit in any byte is refused with both digests; unsuspecting, by form or contents."""
    bundle = pack_files(files)
    opened = open_bundle(bundle.data)
    for position in range(len(bundle.data)):
        flipped = bytearray(bundle.data)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(BundleCorrupt) as refusal:
            open_bundle(bytes(flipped), bundle.digest)
        assert bundle.digest in str(refusal.value)
        assert digest_of(flipped) in str(refusal.value)
    for position in [*range(512), *range(len(bundle.data) - 600, len(bundle.data))]:
        flipped = bytearray(bundle.data)
        flipped[position] ^= 1 << (position % 8)
        try:
            assert open_bundle(bytes(flipped)).files != opened.files
        except BundleRefused:
            pass  # the usual answer: headers, padding and end have no freedom


def test_a_damaged_header_names_its_file(files: dict[str, File]) -> None:
    """Without a digest to compare with, damage to a file's header is told by the file's name."""
    data = bytearray(pack_files(files).data)
    data[101] ^= 1
    with pytest.raises(BundleRefused, match=r"header of 'analysis\.py' is damaged"):
        open_bundle(bytes(data))


@pytest.fixture(scope="module")
def people() -> tuple[Identity, Identity]:
    """Two researchers."""
    return Identity.create(), Identity.create()


def test_a_signed_bundle_is_verified(
    files: dict[str, File], people: tuple[Identity, Identity]
) -> None:
    """Whoever knows the signer's keys can open exactly the bytes that were signed."""
    bundle = pack_files(files)
    opened = verify_bundle(bundle.data, sign_bundle(bundle, people[0]), people[0].public)
    assert opened == open_bundle(bundle.data)
    assert opened.manifest.name == "mean-age"


def test_a_foreign_signature_is_refused(
    files: dict[str, File], people: tuple[Identity, Identity]
) -> None:
    """A signature by somebody else, or of another bundle, or damaged, is refused by digest."""
    bundle = pack_files(files)
    other = pack_files({**files, "notes.txt": File(b"more")})
    signature = sign_bundle(bundle, people[0])
    with pytest.raises(BundleCorrupt, match=bundle.digest):
        verify_bundle(bundle.data, sign_bundle(bundle, people[1]), people[0].public)
    with pytest.raises(BundleCorrupt, match=f"{other.digest}; expected {bundle.digest}"):
        verify_bundle(other.data, signature, people[0].public)
    middle = len(signature) // 2
    swapped = "A" if signature[middle] != "A" else "B"
    with pytest.raises(BundleCorrupt, match=bundle.digest):
        damaged = signature[:middle] + swapped + signature[middle + 1 :]
        verify_bundle(bundle.data, damaged, people[0].public)


def test_a_signature_names_the_train(
    files: dict[str, File], people: tuple[Identity, Identity]
) -> None:
    """A statement with the right digest and a wrong name or version is refused."""
    bundle = pack_files(files)
    renamed = pack_files(
        {p: File(f.data.replace(b'"mean-age"', b'"other"')) for p, f in files.items()}
    )
    lie = Bundle(bundle.data, bundle.digest, renamed.manifest, renamed.environment)
    with pytest.raises(BundleCorrupt, match="signed as other"):
        verify_bundle(bundle.data, sign_bundle(lie, people[0]), people[0].public)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (member("../evil.py"), r"'\.\./evil\.py' leads out of the bundle"),
        (member("lib/../../evil.py"), "leads out of the bundle"),
        (member("/etc/cron.d/evil"), "'/etc/cron.d/evil' is an absolute path"),
        (member("link", tarfile.SYMTYPE, "/etc/shadow"), "'link' is a symbolic link"),
        (member("inner", tarfile.SYMTYPE, "train.toml"), "'inner' is a symbolic link"),
        (member("hard", tarfile.LNKTYPE, "train.toml"), "'hard' is a hard link"),
        (member("null", tarfile.CHRTYPE), "'null' is a character device"),
        (member("disk", tarfile.BLKTYPE), "'disk' is a block device"),
        (member("pipe", tarfile.FIFOTYPE), "'pipe' is a named pipe"),
        (member("lib", tarfile.DIRTYPE), "'lib/' is a folder"),
        (member("x", tarfile.XHDTYPE), "'x' is an entry of kind b'x'"),
        (member("L", tarfile.GNUTYPE_LONGNAME), "'L' is an entry of kind b'L'"),
        (member("./x"), "'./x' is not a plain path"),
        (member("a//x"), "'a//x' is not a plain path"),
        (member("a\\x"), "backslash"),
        (member("a\nb"), "cannot be shown"),
        (member("x\u202egpj.py"), "cannot be shown"),
        (member(".hidden"), "'.hidden' is hidden or a cache"),
        (member("__pycache__/analysis.cpython-311.pyc"), "is hidden or a cache"),
    ],
)
def test_what_is_no_plain_file_is_refused_by_name(
    files: dict[str, File], info: MEMBER, said: str
) -> None:
    """Traversal, absolute paths, links, devices, pipes, extensions and hidden names are refused."""
    first = dict.fromkeys(["a.py"], File(b""))  # canonical, so that the reader gets that far
    data = write_archive(first)[:-1024] + foreign({}, info)
    with pytest.raises(BundleRefused, match=said):
        open_bundle(data)


def test_another_tars_form_is_refused(files: dict[str, File]) -> None:
    """The same files in another writer's archive (owner, time, padding) are not the bundle."""
    with pytest.raises(
        BundleRefused, match=r"'analysis\.py' is not written in the bundle's one form"
    ):
        open_bundle(foreign(files))


@pytest.mark.parametrize(
    ("compress", "name"),
    [
        (gzip.compress, "gzip"),
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
    ],
)
def test_a_compressed_bomb_is_refused_unopened(
    files: dict[str, File], compress: Callable[[bytes], bytes], name: str
) -> None:
    """Fifty compressed megabytes are refused by their first bytes; none is decompressed."""
    bomb = compress(foreign(files, member("zeros"), content=bytes(50 << 20)))
    tracemalloc.start()
    with pytest.raises(BundleRefused, match=f"is {name}-compressed"):
        open_bundle(bomb)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_zip_bomb_is_refused_unopened() -> None:
    """A zip file is refused by its first bytes."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.toml", bytes(50 << 20))
    with pytest.raises(BundleRefused, match="is zip-compressed"):
        open_bundle(sink.getvalue())


@pytest.mark.parametrize("size", [FILE_LIMIT + 1, 8 << 30, 1 << 40])
def test_a_huge_declared_size_is_refused(size: int) -> None:
    """A header's word for a size is not believed: refused by name, no memory taken."""
    info = member("huge")
    info.size = size
    form = tarfile.USTAR_FORMAT if size < 8 << 30 else tarfile.GNU_FORMAT
    tracemalloc.start()
    with pytest.raises(BundleRefused, match=r"'huge' (has|declares)"):
        open_bundle(info.tobuf(form) + bytes(1024))  # type: ignore[arg-type]  # typeshed's own narrowing
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_ten_thousand_and_one_files_are_refused(folder: Path) -> None:
    """10,001 files are refused at the first one too many, in a bundle and in a folder."""
    many = {f"f{number:05}": File(b"") for number in range(10_001)}
    data = b"".join(write_archive({path: file})[:-1024] for path, file in many.items())
    with pytest.raises(BundleRefused, match="'f01000' is one file too many"):
        open_bundle(data + bytes(1024))
    with pytest.raises(BundleRefused, match="'f01000' is one file too many"):
        write_archive(many)
    for path in many:
        (folder / path).touch()
    with pytest.raises(BundleRefused, match="is one file too many"):
        pack(folder)


def test_too_large_files_and_bundles_are_refused(folder: Path) -> None:
    """A file over a megabyte is refused by name; eleven of a megabyte are refused together."""
    with pytest.raises(BundleRefused, match=r"'big\.csv' has 1048577 bytes"):
        write_archive({"big.csv": File(bytes(FILE_LIMIT + 1))})
    for number in range(11):
        (folder / f"{number}.csv").write_bytes(bytes(FILE_LIMIT))
    with pytest.raises(BundleRefused, match="The bundle has"):
        pack(folder)
    with pytest.raises(BundleRefused, match="The bundle has"):
        open_bundle(bytes(11 << 20))


def test_a_cut_or_lengthened_bundle_is_refused(files: dict[str, File]) -> None:
    """A bundle that ends too early, or goes on after its end, is refused."""
    data = pack_files(files).data
    for length in range(0, len(data), 64):
        with pytest.raises(BundleRefused, match=r"ends within|does not end|declares a size"):
            open_bundle(data[:length])
    with pytest.raises(BundleRefused, match=r"does not end as it must, after 'train\.toml'"):
        open_bundle(data + bytes(512))


def test_duplicates_and_disorder_are_refused() -> None:
    """The same name twice, or names out of their order, are refused by name."""
    one, other = (write_archive({name: File(b"x")})[:-1024] for name in ("a", "b"))
    with pytest.raises(BundleRefused, match="'a' is in the bundle twice"):
        read_archive(one + one + bytes(1024))
    with pytest.raises(BundleRefused, match="'a' is not in its place"):
        read_archive(other + one + bytes(1024))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Analysis.py", "analysis.py"),
        ("lib/x.py", "LIB/y.py"),
        ("straße", "STRASSE"),
        ("caf\u00e9.py", "cafe\u0301.py"),
        ("\ufb01le", "file"),
    ],
)
def test_names_that_collide_elsewhere_are_refused(one: str, other: str) -> None:
    """Names that differ only in case or Unicode form are refused, writing and reading."""
    with pytest.raises(BundleRefused, match="collides with"):
        write_archive({one: File(b""), other: File(b"")})
    members = sorted([one, other], key=str.encode)
    data = b"".join(write_archive({name: File(b"")})[:-1024] for name in members)
    with pytest.raises(BundleRefused, match="collides with"):
        read_archive(data + bytes(1024))


def test_a_file_that_is_also_a_folder_is_refused() -> None:
    """A path cannot be a file and lead to another."""
    with pytest.raises(BundleRefused, match="'lib' is both a file and a folder"):
        write_archive({"lib": File(b""), "lib/x.py": File(b"")})


def objects_array() -> bytes:
    """Write a NumPy file that holds a pickle."""
    sink = io.BytesIO()
    np.save(sink, np.array([{}], dtype=object), allow_pickle=True)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.pkl", b""),
        ("model.PICKLE", b""),
        ("lib/model.joblib", b""),
        ("weights.pt", b""),
        ("weights.pth", b""),
        ("analysis.pyc", b""),
        ("innocent.txt", b"\x80\x04N."),
        ("array.npy", objects_array()),
    ],
)
def test_pickles_are_refused_by_name(files: dict[str, File], name: str, data: bytes) -> None:
    """Files that would run code when loaded are refused, also under an innocent name."""
    with pytest.raises(BundleRefused, match=f"'{name}' holds"):
        pack_files({**files, name: File(data)})


def test_plain_arrays_are_no_pickles(files: dict[str, File]) -> None:
    """A NumPy file of numbers is welcome."""
    sink = io.BytesIO()
    np.save(sink, np.arange(10))
    assert (
        "knots.npy"
        in open_bundle(pack_files({**files, "knots.npy": File(sink.getvalue())}).data).files
    )


def test_a_bundle_without_its_own_parts_is_refused(files: dict[str, File], tmp_path: Path) -> None:
    """A bundle needs its manifest, and the manifest's entry points need their files."""
    with pytest.raises(BundleRefused, match=r"no train\.toml"):
        pack_files({"analysis.py": files["analysis.py"]})
    with pytest.raises(BundleRefused, match=r"train\.toml calls 'analysis\.py'"):
        pack_files({"train.toml": files["train.toml"]})
    with pytest.raises(BundleRefused, match=r"has no train\.toml"):
        pack(tmp_path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.symlink_to("/etc/passwd"), "'odd' is a symbolic link"),
        (lambda path: path.symlink_to("train.toml"), "'odd' is a symbolic link"),
        (os.mkfifo, "'odd' is a special file"),
    ],
)
def test_packing_refuses_what_is_no_file(
    folder: Path, make: Callable[[Path], None], said: str
) -> None:
    """Links and pipes in the folder are refused by name instead of followed or waited for."""
    make(folder / "odd")
    with pytest.raises(BundleRefused, match=said):
        pack(folder)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(paths, st.binary(max_size=100), max_size=4))
def test_pack_and_open_are_inverse(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes]
) -> None:
    """A whole train, packed from disk and opened, is the tree it was packed from."""
    from branchline.train.template import new_train

    texts = {path: text.encode() for path, text in new_train("x").items()}
    contents = {**{f"more/{path}": data for path, data in tree.items()}, **texts}
    try:
        bundle = pack_files({path: File(data) for path, data in contents.items()})
    except BranchlineError:
        return  # names that collide
    opened: OpenBundle = open_bundle(bundle.data)
    assert dict(opened.files) == contents
    folder = tmp_path_factory.mktemp("tree")
    unpack(opened, folder)
    assert pack(folder) == bundle
