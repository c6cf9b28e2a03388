"""The program's commands for pages that are run: forked from one process that has loaded it.

A page calls the program a dozen times, and each start loads the same modules anew, for half a
second. Here every call is a process of its own all the same, with its own arguments, folder,
environment and streams; only what it would load first is there already.
"""

from __future__ import annotations

import array
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CALLER = """\
#!{python} -IS
import array, json, os, socket, sys

line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
line.connect({place!r})
call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
streams = array.array("i", [0, 1, 2])
line.sendmsg([len(call).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
line.sendall(call)
code = line.recv(1)
sys.exit(code[0] if code else 70)
"""

_LOADED = (
    "branchline.cli.root",
    "branchline.cli.ledger.homes",
    "branchline.cli.ledger.verify",
    "branchline.journey.packing",
    "branchline.station.holdings",
    "branchline.workbench.holdings",
    "branchline.workbench.client",
)
"""What nearly every call loads; nothing of it begins a thread."""


@contextmanager
def forked_program() -> Iterator[Path]:
    """Give a folder, to be put first on the path, in which ``branchline`` is forked."""
    folder = Path(tempfile.mkdtemp(prefix="forked-"))
    place = folder / "line"
    caller = folder / "branchline"
    caller.write_text(_CALLER.format(python=sys.executable, place=str(place)))
    caller.chmod(0o755)
    command = [sys.executable, str(Path(__file__)), str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield folder
        finally:
            server.send_signal(signal.SIGTERM)
    shutil.rmtree(folder)


def _serve(place: str) -> None:
    from importlib import import_module

    for name in _LOADED:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.bind(place)
    line.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        call, _ = line.accept()
        if os.fork() == 0:
            line.close()
            _run(call)
        call.close()


def _run(call: socket.socket) -> None:
    """Be the program, once."""
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        size = array.array("i").itemsize
        head, ancillary, _, _ = call.recvmsg(4, socket.CMSG_SPACE(3 * size))
        streams = array.array("i")
        streams.frombytes(ancillary[0][2])
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        length, data = int.from_bytes(head), b""
        while len(data) < length:
            data += call.recv(length - len(data))
        words, folder, environment = json.loads(data)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["branchline", *words]
        from branchline.cli import main

        code = _code_of(main)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        call.sendall(bytes([code & 255]))
        os._exit(0)


def _code_of(main: object) -> int:
    assert callable(main)
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    _serve(sys.argv[1])
