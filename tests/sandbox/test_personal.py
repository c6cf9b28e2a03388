"""A person's own command: his terminal, his exit code, one folder of his, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from branchline.sandbox import seccomp
from branchline.sandbox.walls import WORK

PROGRAM = """
import json, sys
from pathlib import Path
from branchline.environment.host import HostMount, describe_host, mounts
from branchline.sandbox.personal import become
from branchline.sandbox.walls import PersonalJob
argv, folder, network = json.loads(sys.argv[1])
become(PersonalJob(mounts(describe_host()), argv, folder and Path(folder), network))
"""


def command(*argv: str, folder: Path | None = None, network: bool = False) -> list[str]:
    """Return the command line of a Python that becomes a command."""
    told = json.dumps([argv, None if folder is None else str(folder), network])
    return [sys.executable, "-c", PROGRAM, told]


def run(
    *argv: str, folder: Path | None = None, network: bool = False
) -> subprocess.CompletedProcess[str]:
    """Become a command and return how it ended."""
    return subprocess.run(
        command(*argv, folder=folder, network=network),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)], ids=str
)
def test_the_exit_code_is_the_commands(script: str, code: int) -> None:
    """Whoever calls it sees what the command said, a signal as 128 and its number."""
    assert run("sh", "-c", script).returncode == code


def test_one_folder_is_the_persons_and_all_else_is_the_environments(tmp_path: Path) -> None:
    """What is written in /work is there afterwards; nothing else of his is seen or written."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    for each in (mine, other):
        each.mkdir()
        (each / "in").write_text("in")
    places = f"{WORK}/out /usr/out /etc/out /out {other}/out"
    script = f"cat in; for p in {places}; do (echo x > $p) 2>/dev/null && echo $p; done"
    done = run("sh", "-c", f"{script}; cat {other}/in", folder=mine)
    assert done.stdout == f"in{WORK}/out\n"
    assert (mine / "out").read_text() == "x\n"
    assert [each.name for each in other.iterdir()] == ["in"]


def test_without_a_folder_there_is_none() -> None:
    """The command begins in scratch space, where nothing of this machine's own /tmp stands."""
    with tempfile.NamedTemporaryFile(dir="/tmp") as other:
        done = run("sh", "-c", "pwd; ls -A")
    where, *found = done.stdout.splitlines()
    assert where == "/tmp"
    assert Path(other.name).name not in found
    # This Python is bound where it is, which may be below /tmp.
    bound = {
        path.parts[2]
        for path in (Path(sys.prefix), Path(sys.base_prefix))
        if len(path.parts) > 2 and path.parts[1] == "tmp"
    }
    assert set(found) <= bound


SOCKET = """
import socket
try:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
    print([name for _, name in socket.if_nameindex()])
except OSError as error:
    print(type(error).__name__)
"""


def test_the_network_is_there_only_when_asked_for() -> None:
    """Without the word no socket can be made at all; with it the machine's network is seen."""
    assert run(sys.executable, "-c", SOCKET).stdout == "OSError\n"
    own = subprocess.run([sys.executable, "-c", SOCKET], capture_output=True, text=True, check=True)
    assert run(sys.executable, "-c", SOCKET, network=True).stdout == own.stdout


SCHEDULING = """
import os
for policy in (os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_FIFO):
    try:
        os.sched_setscheduler(0, policy, os.sched_param(int(policy == os.SCHED_FIFO)))
        print("set")
    except OSError as error:
        print(error.errno)
"""


def test_a_thread_may_ask_for_the_scheduling_that_it_has() -> None:
    """Libraries that set what is the default go on; nothing else can be had."""
    done = run(sys.executable, "-c", SCHEDULING)
    assert done.stdout.split() == ["set", str(errno.ENOSYS), str(errno.ENOSYS)]


WAITING = """
import sys
from pathlib import Path
from branchline.environment.host import HostMount, describe_host, mounts
from branchline.sandbox.personal import become
from branchline.sandbox.walls import PersonalJob
class Waiting(HostMount):
    def verify(self):
        print("asked", flush=True)
        if sys.stdin.readline() != "right\\n":
            raise SystemExit(77)
become(PersonalJob(Waiting(**vars(mounts(describe_host()))), ["touch", "ran"], Path(sys.argv[1])))
"""


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Give a program that asks whether its environment is right, to run `touch ran` in tmp_path."""
    line = [sys.executable, "-c", WAITING, str(tmp_path)]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "asked\n"
        yield program


@pytest.mark.parametrize(("answer", "code", "left"), [("right\n", 0, ["ran"]), ("no\n", 77, [])])
def test_a_command_begins_once_the_environment_is_verified(
    waiting: subprocess.Popen[str], tmp_path: Path, answer: str, code: int, left: list[str]
) -> None:
    """The walls are put up meanwhile, but nothing runs within them; and nothing at all if it is not."""
    assert waiting.communicate(answer, timeout=60)[0] == ""
    assert waiting.returncode == code
    assert [each.name for each in tmp_path.iterdir()] == left


def test_a_wish_to_end_meanwhile_is_granted(waiting: subprocess.Popen[str], tmp_path: Path) -> None:
    """The end of its output is seen: nothing of it is left that waits or runs."""
    waiting.terminate()
    assert waiting.communicate(timeout=60)[0] == ""
    assert waiting.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_nobody_waits_for_one_who_is_killed(waiting: subprocess.Popen[str], tmp_path: Path) -> None:
    """Killed meanwhile, it opens no gate; and what waited there ends, and is not left behind."""
    waiting.kill()
    waiting.wait()
    assert waiting.stdout is not None
    assert waiting.stdout.read() == ""  # the end of its output: nobody has it any more
    line, deadline = str(tmp_path).encode(), time.monotonic() + 60
    while (left := processes(line)) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert left == []
    assert list(tmp_path.iterdir()) == []


def processes(word: bytes) -> list[int]:
    """Return the processes that have a word on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def test_ctrl_c_ends_a_command_and_is_seen_to_have_done_so() -> None:
    """A shell that called it learns that a signal came, as of any program."""
    line = command("sh", "-c", "echo here; sleep 60")
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "here\n"
        os.killpg(program.pid, signal.SIGINT)
        assert program.stdout.read() == ""
    assert program.returncode == -signal.SIGINT


def test_a_broken_pipe_ends_a_command_as_everywhere() -> None:
    """What Python ignores for itself is not ignored for the command."""
    done = run("bash", "-c", "yes | head -1; echo ${PIPESTATUS[0]}")
    assert done.stdout == "y\n141\n"


def test_a_shell_keeps_the_persons_terminal() -> None:
    """The terminal stays the command's own, so that a shell can stop jobs and go on with them."""
    # Field 8 of stat is the terminal's foreground group: -1 for whom there is no terminal.
    ask = command("bash", "-c", "tty -s && read -a stat </proc/self/stat && echo =${stat[7]}=")
    terminal = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", terminal, *ask],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "=" in done.stdout
    assert "=-1=" not in done.stdout


def test_filters_that_are_kept_are_those_that_are_made(tmp_path: Path) -> None:
    """Made once and read from then on; a file that was damaged, or is of other rules, is not used."""
    made = {network: seccomp.filters(network=network) for network in (False, True)}
    for network, expected in made.items():
        for _ in range(2):
            assert seccomp.kept_filters(tmp_path / "kept", network=network) == expected
    first, second = (tmp_path / "kept").iterdir()
    for file in (first, second):
        whole = file.read_bytes()
        for damaged in (b"", whole[:40], whole[:-1] + bytes([whole[-1] ^ 1])):
            file.write_bytes(damaged)
            for network, expected in made.items():
                assert seccomp.kept_filters(tmp_path / "kept", network=network) == expected
    assert len(list((tmp_path / "kept").iterdir())) == 2
