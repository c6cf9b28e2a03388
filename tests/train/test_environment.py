"""What a train runs in: its lock is held against the rest of it before anything is believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.train.locks import IMAGE, PYLOCK, lock

from branchline.environment.lock.model import Lock
from branchline.foundation.errors import BranchlineError, Corrupt
from branchline.train.archive import File
from branchline.train.bundle import OpenBundle, open_bundle, pack, pack_files
from branchline.train.environment import missing
from branchline.train.template import new_train, write_train

NEEDS = 'python = ["numpy", "pandas", "pyarrow"]'
ALL = ("numpy==2.4.0", "pandas==3.0.0", "pyarrow==25.0.0")


def train(environment: str, **files: bytes | str) -> OpenBundle:
    """Pack a new train with another section on its environment, and open it again."""
    texts = dict(new_train("mean-age"))
    texts["train.toml"] = texts["train.toml"].replace(NEEDS, environment)
    packed = {path: File(text.encode()) for path, text in texts.items()}
    names = {"lock": "branchline.lock", "pylock": "pylock.toml"}
    for name, data in files.items():
        packed[names.get(name, name)] = File(data if isinstance(data, bytes) else data.encode())
    return open_bundle(pack_files(packed).data)


def locked(given: Lock, environment: str = 'lock = "branchline.lock"') -> OpenBundle:
    """Give a train a lock."""
    return train(environment, lock=given.text, pylock=PYLOCK)


def test_a_lock_names_the_image_that_can_be_built_again() -> None:
    """Image and lock are at hand wherever the bundle is opened."""
    given = lock(*ALL)
    found = locked(given).environment
    assert (found.image, found.reproducible) == (IMAGE, True)
    assert found.lock is not None
    assert found.lock.digest == given.digest


def test_an_image_alone_is_not_reproducible() -> None:
    """Its digest says what it is, and nobody can build it from the train."""
    found = train(f'image = "{IMAGE}"').environment
    assert (found.image, found.reproducible) == (IMAGE, False)


def test_with_neither_it_is_each_machines_own() -> None:
    """What it imports is all that is known."""
    found = train(NEEDS).environment
    assert (found.image, found.reproducible) == (None, False)
    assert found.python == ("numpy", "pandas", "pyarrow")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (lock(*ALL, image=None), "names no image"),
        (lock("numpy==2.4.0", "pandas==3.0.0"), "lacks pyarrow"),
        (lock("numpy==2.4.0", "pyarrow==25.0.0"), "lacks pandas"),
        (lock("pandas==3.0.0", "pyarrow==25.0.0"), "lacks numpy"),
        (lock(*ALL, pylock=b"another"), "'pylock.toml' is not the one"),
    ],
    ids=["no image", "no pyarrow", "no frames", "no numpy", "another pylock"],
)
def test_a_lock_that_does_not_fit_the_train_is_refused(given: Lock, why: str) -> None:
    """While it is packed, in one sentence, and not at a hospital."""
    with pytest.raises(BranchlineError, match=why):
        locked(given)


def test_what_the_train_imports_is_in_its_lock() -> None:
    """Names and versions that the manifest asks for are compared with the lock's."""
    environment = 'lock = "branchline.lock"\npython = ["numpy==2.4.0", "scipy"]'
    assert locked(lock(*ALL, "scipy==1.17.0"), environment).environment.reproducible
    with pytest.raises(BranchlineError, match=r"lacks numpy==2\.4\.0, scipy"):
        locked(lock("numpy==2.3.0", "pandas==3.0.0", "pyarrow==25.0.0"), environment)


def test_frames_of_arrow_need_no_pandas() -> None:
    """A train that asks for Arrow tables gets a smaller environment."""
    texts = new_train("mean-age")
    texts["train.toml"] = (
        texts["train.toml"]
        .replace(NEEDS, 'lock = "branchline.lock"')
        .replace('frame = "pandas"', 'frame = "arrow"')
    )
    packed = {path: File(text.encode()) for path, text in texts.items()}
    packed["branchline.lock"] = File(lock("numpy==2.4.0", "pyarrow==25.0.0").text.encode())
    packed["pylock.toml"] = File(PYLOCK)
    assert pack_files(packed).environment.reproducible


@pytest.mark.parametrize("left_out", ["lock", "pylock"])
def test_a_file_that_is_named_must_be_there(left_out: str) -> None:
    """Neither the lock nor what stands beside it may be left at home."""
    files = {"lock": lock(*ALL).text.encode(), "pylock": PYLOCK}
    del files[left_out]
    with pytest.raises(BranchlineError, match="not in the train"):
        train('lock = "branchline.lock"', **files)


def test_a_lock_may_lie_in_a_folder_with_what_stands_beside_it() -> None:
    """Its pylock.toml is looked for there, too."""
    path = "environment/branchline.lock"
    files = {path: lock(*ALL).text.encode(), "environment/pylock.toml": PYLOCK}
    assert train(f'lock = "{path}"', **files).environment.reproducible
    with pytest.raises(BranchlineError, match=r"'environment/pylock.toml', which is not"):
        train(f'lock = "{path}"', **{path: lock(*ALL).text}, pylock=PYLOCK)


def test_every_flipped_bit_of_a_lock_is_noticed() -> None:
    """At each of many places, whatever it says there."""
    text = lock(*ALL, debian=("libgomp1",)).text.encode()
    for at in range(0, len(text), 37):
        flipped = bytearray(text)
        flipped[at] ^= 1
        with pytest.raises(BranchlineError):
            train('lock = "branchline.lock"', lock=bytes(flipped), pylock=PYLOCK)


def test_a_lock_that_is_none_is_named() -> None:
    """The sentence is about the lock, not about the train."""
    with pytest.raises(Corrupt, match=r"branchline\.lock is no lock"):
        train('lock = "branchline.lock"', lock=b"lock = 1", pylock=PYLOCK)


def test_debians_own_python_packages_count() -> None:
    """Without a version asked for, Debian's package of the same distribution will do."""
    given = lock("numpy==2.4.0", debian=("python3-pandas",))
    assert missing(given, ["numpy", "pandas", "NumPy==2.4.0"]) == []
    assert missing(given, ["pandas==2.0", "scipy"]) == ["pandas==2.0", "scipy"]


def test_the_evidence_of_a_lock_is_not_packed(tmp_path: Path) -> None:
    """Release files are large, and stay with whoever locked; a bundle with one is refused."""
    write_train(tmp_path / "train", new_train("mean-age"))
    before = pack(tmp_path / "train")
    evidence = tmp_path / "train" / "environment" / "evidence"
    evidence.mkdir(parents=True)
    (evidence / f"{'a' * 64}.InRelease").write_text("signed")
    assert pack(tmp_path / "train").digest == before.digest
    with pytest.raises(BranchlineError, match="evidence"):
        train(NEEDS, **{"environment/evidence/a.InRelease": "signed"})
