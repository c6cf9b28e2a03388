"""Listen to every kernel whose connection file lies in a folder, without taking part.

A kernel publishes what it runs on a socket (ZeroMQ, IOPub) to whoever listens; it does not wait for
them. Only sockets in the folder itself are listened to, whatever a connection file says: what runs
in a kernel can write there, and must not lead this process elsewhere.

Sources: the Jupyter messaging protocol 5.4, connection files with the transport ``ipc``.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import zmq

from branchline.foundation.clock import Clock, SystemClock, rfc3339
from branchline.foundation.decoding import decode_json
from branchline.project.notebook.cells import Break, Cell, Message, Watcher
from branchline.project.notebook.wire import Wire

log = logging.getLogger("branchline.notebook")

Heard = Callable[[str, "Cell | Break"], None]
"""Told what a kernel, by its identifier, ran."""

_CONNECTION = re.compile(r"kernel-([0-9A-Za-z_-]{1,80})\.json")
_LARGEST_FILE = 1 << 14
_LARGEST_MESSAGE = 256 << 20
_LOOK_MILLISECONDS = 50
_LAST_WORDS_MILLISECONDS = 200
_SETTLED = int(0.1 * 1e9)


class _Connection(msgspec.Struct, frozen=True):
    """What is used of a connection file."""

    ip: str
    iopub_port: int
    key: str
    transport: str
    signature_scheme: str = "hmac-sha256"


class _Kernel:
    """One kernel that is listened to."""

    def __init__(self, socket: zmq.Socket[bytes], wire: Wire) -> None:
        self.socket, self.wire, self.watcher = socket, wire, Watcher()


class Tap:
    """Listens, in a thread of its own, from entering to leaving.

    Args:
        folder: Where connection files and sockets appear.
        heard: Told of every cell and break, in that thread: it must not keep it waiting.
        clock: The time.
    """

    def __init__(self, folder: Path, heard: Heard, clock: Clock | None = None) -> None:
        self._folder, self._heard, self._clock = folder, heard, clock or SystemClock()
        self._kernels: dict[str, _Kernel] = {}
        self._passed_over: set[str] = set()
        self._looked_at: int | None = None
        self._told = threading.Event()
        self._hears: set[str] = set()
        self.failed = False
        self._thread = threading.Thread(target=self._run, name="tap", daemon=True)

    def __enter__(self) -> Tap:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Hear what was said last, and leave."""
        self._told.set()
        self._thread.join()

    def hears(self, kernel: str) -> bool:
        """Tell whether something that a kernel said was heard: nothing is missed from then on."""
        return kernel in self._hears

    def _run(self) -> None:
        context = zmq.Context()
        poller = zmq.Poller()
        try:
            while not self._told.is_set():
                self._look(context, poller)
                self._listen(poller, _LOOK_MILLISECONDS)
            self._listen(poller, _LAST_WORDS_MILLISECONDS)
        except Exception:
            # Outermost loop of the thread: whoever asks `failed` puts it on record.
            log.exception("what kernels run is not heard any more")
            self.failed = True
        finally:
            try:
                for name in list(self._kernels):
                    self._forget(name, poller)
            finally:
                context.destroy(linger=0)

    def _look(self, context: zmq.Context[zmq.Socket[bytes]], poller: zmq.Poller) -> None:
        """Listen to new kernels, and end those whose connection file is gone."""
        if self._is_as_it_was():
            return
        present = {m[1]: m[0] for e in _entries(self._folder) if (m := _CONNECTION.fullmatch(e))}
        for name in set(self._kernels) - set(present):
            self._forget(name, poller)
        self._passed_over &= set(present)
        for name in set(present) - set(self._kernels) - self._passed_over:
            self._looked_at = None  # again, until it is listened to or passed over
            self._attach(name, self._folder / present[name], context, poller)

    def _is_as_it_was(self) -> bool:
        """Tell whether nothing in the folder came or went since it was looked into."""
        try:
            at = os.stat(self._folder).st_mtime_ns
        except FileNotFoundError:
            return False
        # Its time tells later changes apart only once it has passed for a moment.
        settled = time.time_ns() - at > _SETTLED
        if settled and at == self._looked_at:
            return True
        self._looked_at = at if settled else None
        return False

    def _attach(
        self,
        name: str,
        file: Path,
        context: zmq.Context[zmq.Socket[bytes]],
        poller: zmq.Poller,
    ) -> None:
        try:
            said = decode_json(_read(file), _Connection)
            wire = Wire(said.key.encode(), said.signature_scheme)
        except Exception as error:  # noqa: BLE001 - whatever a kernel's folder holds, others go on
            if not isinstance(error, FileNotFoundError | msgspec.DecodeError):
                log.warning("the kernel %s is not listened to: %s", name, type(error).__name__)
                self._passed_over.add(name)
            return  # written only in part: looked at again
        if said.transport != "ipc":
            log.warning("the kernel %s is not listened to: it listens on a network", name)
            self._passed_over.add(name)
            return
        path = self._folder / f"{Path(said.ip).name}-{said.iopub_port}"
        if not _is_socket(path):
            return  # the kernel is starting
        socket = context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 0)  # what it says while the disk is slow is kept, not dropped
        socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST_MESSAGE)
        socket.subscribe(b"")
        socket.connect(f"ipc://{path}")
        poller.register(socket, zmq.POLLIN)
        self._kernels[name] = _Kernel(socket, wire)

    def _listen(self, poller: zmq.Poller, milliseconds: int) -> None:
        if not self._kernels:
            # A poller of nothing does not wait.
            self._told.wait(milliseconds / 1000)
            return
        ready = dict(poller.poll(milliseconds))
        for name, kernel in self._kernels.items():
            if kernel.socket in ready:
                self._drain(name, kernel)

    def _drain(self, name: str, kernel: _Kernel) -> None:
        while True:
            try:
                frames = kernel.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            message = self._message(kernel.wire, frames)
            if message is None:
                continue
            self._hears.add(name)
            found = kernel.watcher.take(message)
            if isinstance(found, Break):
                for cell in kernel.watcher.end():
                    self._heard(name, cell)
            if found is not None:
                self._heard(name, found)

    def _message(self, wire: Wire, frames: list[bytes]) -> Message | None:
        """Return a message that the kernel signed; None for all else."""
        try:
            return wire.message(frames, rfc3339(self._clock.now()))
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("a message that a kernel did not sign was passed over")
            return None

    def _forget(self, name: str, poller: zmq.Poller) -> None:
        kernel = self._kernels.pop(name)
        if not self.failed:  # what it failed at may still be there
            self._drain(name, kernel)
        lost = kernel.watcher.end()
        for cell in lost:
            self._heard(name, cell)
        if lost:
            self._heard(name, Break(rfc3339(self._clock.now()), restart=False))
        poller.unregister(kernel.socket)
        kernel.socket.close(linger=0)


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _read(file: Path) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as source:
        return source.read(_LARGEST_FILE)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return False
