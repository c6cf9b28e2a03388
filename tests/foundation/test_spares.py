"""Spare files: never more than they may be, never two of one."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.foundation.spares import Spares


@settings(max_examples=40)
@given(sizes=st.lists(st.integers(0, 400), max_size=12), most=st.integers(0, 1000))
def test_they_take_no_more_room_than_they_may(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], most: int
) -> None:
    """A file that is kept leaves its old place, whether it becomes a spare one or goes."""
    folder = tmp_path_factory.mktemp("spares")
    spares = Spares(folder / "spares", most)
    for size in sizes:
        old = folder / "old"
        old.write_bytes(bytes(size))
        spares.keep(old)
        assert not old.exists()
        kept = sum(path.stat().st_size for path in (folder / "spares").iterdir())
        assert kept <= most
    spares.keep(folder / "never there")
    assert not list(Spares(folder / "spares").folder.iterdir())


def test_each_becomes_one_file_only(tmp_path: Path) -> None:
    """However many threads ask at once; who finds none gets a new one."""
    spares = Spares(tmp_path / "spares")
    for number in range(4):
        (tmp_path / "old").write_bytes(str(number).encode())
        spares.keep(tmp_path / "old")

    def opened(number: int) -> bytes:
        descriptor = spares.open(tmp_path / f"new-{number}")
        try:
            return os.read(descriptor, 10)
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(8) as pool:
        found = sorted(pool.map(opened, range(8)))
    assert found == [b""] * 4 + [b"0", b"1", b"2", b"3"]
    assert len(list(tmp_path.glob("new-*"))) == 8
