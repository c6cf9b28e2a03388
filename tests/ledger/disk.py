"""A disk in memory that forgets, on a power cut, what was not made durable."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from branchline.foundation.errors import NotFound


class Crash(Exception):
    """The process ended here."""


class SimulatedDisk:
    """Files with the promises of ``Files`` and not one more.

    A content is durable once ``write`` returned; a name is durable once its folder was synced.

    Args:
        fault: Raises what happens at the step that ``fail_at`` chose.
    """

    def __init__(self, fault: Callable[[], Exception] = Crash) -> None:
        self._fault = fault
        self._names: dict[str, bytes] = {}
        self._durable: dict[str, bytes] = {}
        self._steps_left: int | None = None

    def fail_at(self, step: int | None) -> None:
        """Let the n-th change from now on fail (and all after it), or none."""
        self._steps_left = step

    @property
    def failed(self) -> bool:
        """Whether the step chosen was reached."""
        return self._steps_left == 0

    def kill(self) -> None:
        """End the process: the operating system still has every change."""
        self._steps_left = None

    def cut_power(self) -> None:
        """End the machine: changes of names that were not synced are undone."""
        self._steps_left = None
        self._names = dict(self._durable)

    def copy(self) -> SimulatedDisk:
        """Return a disk with the same content and the same fault."""
        twin = SimulatedDisk(self._fault)
        twin._names, twin._durable = dict(self._names), dict(self._durable)
        return twin

    def edit(self, path: str, data: bytes) -> None:
        """Change a file behind everybody's back."""
        self._names[path] = self._durable[path] = data

    def lose(self, path: str) -> None:
        """Remove a file behind everybody's back."""
        del self._names[path]

    def read(self, path: str) -> bytes:
        """Return a file's content; NotFound if there is none."""
        if path not in self._names:
            raise NotFound(f"no file {path}")
        return self._names[path]

    def paths(self) -> Iterable[str]:
        """Return the paths of all files."""
        return list(self._names)

    def write(self, path: str, data: bytes) -> None:
        """Write a file; a crash leaves it torn."""
        self._names[path] = data[: len(data) // 2]
        self._step()
        self._names[path] = data

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        self._step()
        self._names[new] = self._names.pop(old)

    def sync(self, folder: str) -> None:
        """Make the names in a folder durable."""
        self._step()
        for path in {*self._names, *self._durable}:
            if path.rpartition("/")[0] == folder:
                if path in self._names:
                    self._durable[path] = self._names[path]
                else:
                    del self._durable[path]

    def remove_folder(self, folder: str) -> None:
        """Remove a folder file by file; a crash leaves some."""
        for path in [path for path in self._names if path.startswith(folder + "/")]:
            self._step()
            del self._names[path]

    def _step(self) -> None:
        if self._steps_left is None:
            return
        if self._steps_left <= 1:
            self._steps_left = 0
            raise self._fault()
        self._steps_left -= 1
