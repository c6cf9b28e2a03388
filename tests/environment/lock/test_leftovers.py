"""What killed programs left is told from what somebody uses, across processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from branchline.environment.lock.leftovers import (
    IN_USE,
    clear_apt,
    clear_fetching,
    held_file,
    held_folder,
)

HOLDER = """
import sys
from pathlib import Path
from branchline.environment.lock.leftovers import held_folder
with held_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("12345")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_only_the_dead_are_cleared_away(tmp_path: Path) -> None:
    """A fetch that runs keeps its folder; killed, it loses it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    folder = Path(process.stdout.readline().decode().strip())
    assert clear_fetching(tmp_path) == (0, 0)
    assert (folder / "half").exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert clear_fetching(tmp_path) == (1, 5)
    assert not folder.exists()
    assert clear_fetching(tmp_path / "nothing") == (0, 0)


def apt_root(cache: Path) -> Path:
    """Make a private root as apt leaves one: lists, and downloads under way."""
    root = cache / "abc"
    for name in ("state/lists/partial/a", "cache/archives/partial/b", "state/lists/Packages"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1234567890")
    (root / IN_USE).touch()
    return root


def test_lists_stay_and_downloads_go(tmp_path: Path) -> None:
    """The next lock needs the lists; nobody needs half a package."""
    root = apt_root(tmp_path)
    assert clear_apt(tmp_path, everything=False) == (2, 20)
    assert (root / "state/lists/Packages").exists()
    assert clear_apt(tmp_path, everything=False) == (0, 0)
    assert clear_apt(tmp_path, everything=True) == (2, 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("days", [29, 31])
def test_a_root_that_nobody_uses_any_more_goes(tmp_path: Path, days: int) -> None:
    """A month after its lists were last fetched."""
    lists = apt_root(tmp_path) / "state/lists"
    clear_apt(tmp_path, everything=False)
    then = lists.stat().st_mtime - days * 86_400
    os.utime(lists, (then, then))
    clear_apt(tmp_path, everything=False)
    assert lists.exists() is (days < 30)


def test_a_root_in_use_is_left_alone(tmp_path: Path) -> None:
    """Whatever is asked for."""
    root = apt_root(tmp_path)
    with held_file(root / IN_USE):
        assert clear_apt(tmp_path, everything=True) == (0, 0)
    assert (root / "cache/archives/partial/b").exists()


def test_holders_and_those_who_clear_away_do_not_meet(tmp_path: Path) -> None:
    """However they race: who holds a folder or file has it, alone, until he lets go of it."""
    wrong: list[str] = []
    over, inside = threading.Event(), threading.Lock()
    fetching, root = tmp_path / "fetching", tmp_path / "apt" / "root"
    fetching.mkdir()

    def clear() -> None:
        while not over.is_set():
            clear_fetching(fetching)
            clear_apt(root.parent, everything=True)

    def hold() -> None:
        for _ in range(60):
            with held_folder(fetching) as folder:
                (folder / "x").write_text("x")
                if not (folder / "x").exists():
                    wrong.append("the folder went")
            with held_file(root / IN_USE):
                if not inside.acquire(blocking=False):
                    wrong.append("two at once")
                    continue
                if not (root / IN_USE).exists():
                    wrong.append("the file went")
                inside.release()

    sweeper, holders = threading.Thread(target=clear), [threading.Thread(target=hold) for _ in "ab"]
    for thread in (sweeper, *holders):
        thread.start()
    for thread in holders:
        thread.join()
    over.set()
    sweeper.join()
    assert wrong == []
