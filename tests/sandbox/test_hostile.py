"""Trains that attack: each is stopped by its own wall, and the engine works on as before."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.sandbox.trains import GOOD, SMALL, WEAKER, Bench, run_once, skip_unless_counted

from branchline.sandbox import walls
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.sandbox.engine import (
    Completed,
    EngineRefused,
    Failed,
    JobSpec,
    RoundRequest,
)
from branchline.sandbox.inside.values import decode_payload
from branchline.sandbox.limits import MIB

TOOLS = '''
import ctypes, errno, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def call(number, *arguments):
    """Make a raw system call; say how it ended."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *words)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "done"

def attempt(act, *arguments):
    """Call a function; say how it ended."""
    try:
        act(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, "resolver")
    return "done"

def link(kind=socket.SOCK_SEQPACKET):
    """Find a connection to the host among the open descriptors."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                end = socket.socket(fileno=os.dup(int(name)))
                if end.type == kind:
                    return end
        except OSError:
            pass

def stream():
    """Find the one for large outputs."""
    return link(socket.SOCK_STREAM)

def frame(header, body=b""):
    import json
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body

def answer(parts, inline, number=1):
    return frame({"round": number, "status": "completed", "parts": parts, "inline": inline})

'''


def stopped(bench: Bench, body: str) -> JobSpec:
    """Return a job whose function has this body, after the tools above."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    return bench.job(f"{TOOLS}\ndef station(data, state, parameters):\n{lines}")


def attempts(outcome: object) -> dict[str, object]:
    """Return what the train says became of its attempts."""
    assert isinstance(outcome, Completed), outcome
    return dict(decode_payload(outcome.outputs or b"", max_bytes=1 << 20))


async def works(engine: Bubblewrap, bench: Bench) -> bool:
    """Run a good train."""
    return attempts(await run_once(engine, bench.job(GOOD))) == {"rows": 40, "before": 0}


# What is tried, and how the kernel must answer. Numbers are x86-64 system calls.
CALLS = {
    "ptrace-traceme": ("101, 0, 0, 0, 0", "EPERM"),
    "ptrace-attach": ("101, 16, 1, 0, 0", "EPERM"),
    "mount": ("165, b'none', b'/tmp', b'tmpfs', 0, None", "EPERM"),
    "umount": ("166, b'/tmp', 2", "EPERM"),
    "pivot-root": ("155, b'/tmp', b'/tmp'", "EPERM"),
    "chroot": ("161, b'/tmp'", "EPERM"),
    "new-mount": ("430, b'tmpfs', 0", "EPERM"),
    "open-tree": ("428, -100, b'/', 1", "EPERM"),
    "unshare-user": ("272, 0x10000000", "EPERM"),
    "clone-user": ("56, 0x10000011, 0, 0, 0, 0", "EPERM"),
    "clone-net": ("56, 0x40000011, 0, 0, 0, 0", "EPERM"),
    "clone3": ("435, 0, 0", "ENOSYS"),
    "setns": ("308, 0, 0", "EPERM"),
    "keyctl": ("250, 0, -3, 1", "EPERM"),
    "add-key": ("248, b'user', b'k', b'v', 1, -3", "EPERM"),
    "bpf": ("321, 0, 0, 0", "EPERM"),
    "perf": ("298, 0, 0, -1, -1, 0", "EPERM"),
    "userfaultfd": ("323, 1", "EPERM"),
    "io-uring": ("425, 8, 0", "EPERM"),
    "kexec": ("246, 0, 0, 0, 0", "EPERM"),
    "process-vm": ("310, 1, 0, 0, 0, 0, 0", "EPERM"),
    "handle": ("304, 0, 0, 0", "EPERM"),
    "device": ("133, b'/tmp/disk', 0o60600, 0xfe00", "EPERM"),
    "personality": ("135, 8", "EPERM"),
    "swap": ("167, b'/tmp/x', 0", "EPERM"),
    "unknown": ("499, 0", "ENOSYS"),
    "inject": ("16, 0, 0x5412, b'x'", "EPERM"),
    "inject-high-bit": ("16, 0, 0x100005412, b'x'", "EPERM"),
    "inject-console": ("16, 0, 0x541C, b'x'", "EPERM"),
    "tcp": ("41, 2, 1, 0", "ENOSYS"),
    "raw-network": ("41, 17, 3, 0", "ENOSYS"),
    "vsock": ("41, 40, 1, 0", "ENOSYS"),
    "netlink": ("41, 16, 3, 0", "ENOSYS"),
    "setuid": ("105, 0", "ENOSYS"),
    "setgroups": ("116, 0, 0", "ENOSYS"),
    "host-name": ("170, b'x', 1", "EPERM"),
}


@pytest.mark.usefixtures("untouched")
async def test_forbidden_calls_are_refused(engine: Bubblewrap, bench: Bench) -> None:
    """Every call that could lead out is answered by the filter, each with its error."""
    body = "\n".join(f"r[{name!r}] = call({call})" for name, (call, _) in CALLS.items())
    outcome = await run_once(engine, stopped(bench, f"r = {{}}\n{body}\nreturn r"))
    assert attempts(outcome) == {name: expected for name, (_, expected) in CALLS.items()}
    assert await works(engine, bench)


@pytest.mark.usefixtures("untouched")
async def test_the_other_numbering_of_calls_kills(engine: Bubblewrap, bench: Bench) -> None:
    """A call numbered for the x32 ABI does not slip past the filter."""
    outcome = await run_once(engine, stopped(bench, "call(0x40000000 | 39)\nreturn {}"))
    assert isinstance(outcome, Failed)
    assert outcome.reason == "killed"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen on the host's loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.mark.usefixtures("untouched")
async def test_nothing_reaches_the_network(
    engine: Bubblewrap, bench: Bench, listener: socket.socket
) -> None:
    """Neither the host's loopback, a name server nor the host's abstract sockets answer."""
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0branchline-test-{os.getpid()}")
        abstract.listen()
        body = f"""
r = {{}}
r["tcp"] = attempt(socket.create_connection, ("127.0.0.1", {listener.getsockname()[1]}), 1)
r["dns"] = attempt(socket.getaddrinfo, "example.org", 80)
r["abstract"] = attempt(socket.socket(socket.AF_UNIX).connect, {abstract.getsockname()!r})
r["interfaces"] = open("/proc/net/dev").read().count(":")
return r
"""
        found = attempts(await run_once(engine, stopped(bench, body)))
    expected = {"tcp": "ENOSYS", "dns": "resolver", "abstract": "ECONNREFUSED", "interfaces": 1}
    assert found == expected
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert await works(engine, bench)


@pytest.mark.usefixtures("untouched")
async def test_only_the_jobs_own_files_are_visible(engine: Bubblewrap, bench: Bench) -> None:
    """No other dataset, no host file, no home, no other process, no environment variable."""
    os.environ["BRANCHLINE_TEST_SECRET"] = "secret"
    secret = bench.folder / "secret"
    secret.write_text("secret")
    body = f"""
files = [{str(bench.foreign)!r}, {str(secret)!r}, "/etc/shadow", "/etc/hostname", "/root" "/.bashrc",
         "/data/foreign.arrow", "/proc/1/root/etc/shadow", "/sys/kernel", "/dev/vda", "/dev/sda"]
shown = set(os.listdir("/")) - set(parameters["root"])
return {{
    "files": ",".join(f for f in files if os.path.exists(f) and os.path.getsize(f)),
    "data": ",".join(os.listdir("/data")), "shown": ",".join(shown),
    "processes": ",".join(sorted(p for p in os.listdir("/proc") if p.isdigit()))[:2],
    "secret": os.environ.get("BRANCHLINE_TEST_SECRET"),
    "told": ",".join(n for n in ("cmdline", "version", "uptime")
                     if attempt(open, f"/proc/{{n}}") != "EACCES"),
    "host": os.uname().nodename,
}}
"""
    job = stopped(bench, body)
    tops = {Path(inside).parts[1] for _, inside in job.environment.root}
    tops |= {Path(inside).parts[1] for _, inside in job.environment.links}
    own = {"proc", "dev", "tmp", "in", "out", "branchline", "train", "data", "etc"}
    request = RoundRequest(1, {"root": sorted(tops | own)})
    try:
        found = attempts(await run_once(engine, job, request))
    finally:
        del os.environ["BRANCHLINE_TEST_SECRET"]
    assert found == {
        "files": "",
        "data": "visits.arrow",
        "shown": "",
        "processes": "1,",
        "secret": None,
        "told": "",
        "host": "train",
    }


@pytest.mark.usefixtures("untouched")
async def test_nothing_but_scratch_is_writable(engine: Bubblewrap, bench: Bench) -> None:
    """Data, train, system, root, devices and kernel settings refuse to be written."""
    body = """
places = ["/data/visits.arrow", "/data/x", "/train/train.py", "/train/x", "/usr/x", "/x",
          "/etc/passwd", "/etc/x", "/branchline/branchline_inside/runner.py", "/dev/x",
          "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/mtrr",
          "/proc/self/oom_score_adj"]
r = {p: attempt(os.open, p, os.O_WRONLY | os.O_CREAT) for p in places}
r["chmod"] = attempt(os.chmod, "/data/visits.arrow", 0o777)
r["rename"] = attempt(os.rename, "/train/train.py", "/train/y")
r["nosuid"] = "done" if os.statvfs("/usr").f_flag & os.ST_NOSUID == 0 else "EROFS"
return r
"""
    found = attempts(await run_once(engine, stopped(bench, body)))
    assert {what for what, how in found.items() if how not in ("EROFS", "EACCES", "EPERM")} == set()
    assert await works(engine, bench)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("place", ["/tmp", "/in", "/out", "/dev/shm"])
async def test_a_full_disk_is_full(engine: Bubblewrap, bench: Bench, place: str) -> None:
    """A disk filler gets as much scratch as the job has, and the host's disk is not touched."""
    body = f"""
block, written, how = b"x" * 65536, 0, "done"
with open("{place}/fill", "wb", buffering=0) as file:
    try:
        while written < 64 << 20:
            written += file.write(block)
    except OSError as error:
        how = errno.errorcode[error.errno]
return {{"how": how, "written": written}}
"""
    found = attempts(await run_once(engine, stopped(bench, body)))
    assert found == {"how": "ENOSPC", "written": SMALL.scratch_bytes}


# Attacks that end the round, and the one reason that leaves.
ATTACKS = {
    "fork bomb": ("processes", "while True: os.fork()"),
    "quiet fork bomb": (
        "wall-time",
        "while True:\n    try: os.fork()\n    except OSError: pass",
    ),
    "thread bomb": (
        "processes",
        "import threading, time\n"
        "for _ in range(99): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    ),
    "memory bomb": ("memory", "x = [bytearray(1 << 20) for _ in range(1 << 12)]"),
    "shared memory bomb": (
        "memory",
        "fd = os.memfd_create('x')\nwhile True: os.write(fd, b'x' * (1 << 20))",
    ),
    "huge array": ("memory", "import numpy; return {'x': numpy.ones(1 << 27)}"),
    "large array": ("output-size", "import numpy; return {'x': numpy.zeros(1 << 20)}"),
    "pickle": ("bad-output", "return {'x': (lambda: 0)}"),
    "kill everyone": (
        "killed",
        "os.fork(); os.kill(1, 9); attempt(os.kill, -1, 9); os.kill(os.getpid(), 9)",
    ),
    "endless frame": ("bad-output", "link().send(b'x' * (170 << 10))"),
    "no frame": ("bad-output", "link().send(b'\\0\\0')"),
    "forged header": ("bad-output", "link().send(frame([1]))"),
    "deep header": ("bad-output", "link().send(struct.pack('<I', 90000) + b'[' * 90000)"),
    "forged round": ("bad-output", "link().send(answer([], True, 2))"),
    "forged part": ("bad-output", "link().send(answer([['secrets', 0]], True))"),
    "forged reason": (
        "bad-output",
        "link().send(frame({'round': 1, 'status': 'failed', 'reason': 'row-17', 'parts': [], "
        "'inline': True}))",
    ),
    "forged size": ("output-size", "link().send(answer([['outputs', 1 << 60]], True))"),
    "forged length": ("bad-output", "link().send(answer([['outputs', 64]], True))"),
    "negative size": ("bad-output", "link().send(answer([['outputs', -64]], True))"),
    "memory of its own": (
        "bad-output",
        "fd = os.memfd_create('x'); os.ftruncate(fd, 1 << 20)\n"
        "socket.send_fds(link(), [answer([['outputs', 1 << 20]], False)], [fd])",
    ),
    "memory that is not there": ("bad-output", "link().send(answer([['outputs', 64]], False))"),
    "a stream of its own": (
        "bad-output",
        "host = link(); ours, theirs = socket.socketpair(); ours.sendall(bytes(64) + b'.')\n"
        "message = frame({'round': 1, 'status': 'completed', 'inline': 'flow',\n"
        "    'parts': [['outputs', 64]]})\n"
        "socket.send_fds(host, [message], [theirs.fileno()])",
    ),
    "a stream that is not filled": (
        "wall-time",
        "link().send(answer([['outputs', 1 << 20]], 'flow')); stream().send(b'x' * 999)",
    ),
    "a stream that is closed": (
        "bad-output",
        "link().send(answer([['outputs', 1 << 20]], 'flow')); stream().send(b'x' * 999)\n"
        "stream().shutdown(socket.SHUT_RDWR); import time; time.sleep(9)",
    ),
    "a stream of too much": (
        "output-size",
        "link().send(answer([['outputs', 5 << 20]], 'flow')); stream().sendall(bytes(5 << 20))",
    ),
    "a stream of noise": (
        "bad-output",
        "link().send(answer([['outputs', 1 << 20]], 'flow')); stream().sendall(b'x' * (1 << 20))",
    ),
    "a large header beside a stream": (
        "bad-output",
        "link().send(answer([['outputs', 64], *([['x' * 90, 0]] * 900)], 'flow'))",
    ),
    "many descriptors": (
        "bad-output",
        "socket.send_fds(link(), [answer([], True)], [0] * 9)",
    ),
    "compressed": (
        "bad-output",
        "import pyarrow as pa; sink = pa.BufferOutputStream()\n"
        "schema = pa.schema([('x', pa.string())], metadata={b'branchline': b'payload/1'})\n"
        "options = pa.ipc.IpcWriteOptions(compression='zstd')\n"
        "with pa.ipc.new_stream(sink, schema, options=options) as w:\n"
        "    w.write_batch(pa.record_batch([['0' * (1 << 24)]], schema=schema))\n"
        "body = sink.getvalue().to_pybytes()\n"
        "assert len(body) < 4096\n"
        "link().send(frame({'round': 1, 'status': 'completed', 'inline': True,\n"
        "    'parts': [['outputs', len(body)]]}, body + bytes(-len(body) % 64)))",
    ),
    "closed link": ("killed", "os.closerange(3, 99); import time; time.sleep(9)"),
    "rows in an exit code": ("killed", "os._exit(data['visits']['age'][17].as_py())"),
    "rows in an error": ("train-error", "raise KeyError(data['visits']['age'][17])"),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("expected", "body"), ATTACKS.values(), ids=ATTACKS)
async def test_an_attack_ends_with_its_reason(
    engine: Bubblewrap, bench: Bench, expected: str, body: str
) -> None:
    """The attack is caught as what it is, nothing stays behind, and a good train runs after."""
    skip_unless_counted(expected)
    job = stopped(bench, f"{body}\nreturn {{}}")
    if expected == "wall-time":
        job = _with(job, wall_seconds=1.0)
    outcome = await run_once(engine, job)
    assert isinstance(outcome, Failed), outcome
    assert outcome.reason == expected, outcome
    assert await works(engine, bench)


def _with(job: JobSpec, **limits: float) -> JobSpec:
    changed = msgspec.structs.replace(job.limits, **limits)
    return JobSpec(job.environment, job.code, job.tables, job.entry, changed, job.purpose)


@pytest.mark.usefixtures("untouched")
async def test_endless_printing_costs_the_station_nothing(engine: Bubblewrap, bench: Bench) -> None:
    """Printing without end fills the log to its limit, and the event loop stays free."""
    job = stopped(bench, "while True: os.write(1, b'x' * 65536)")
    session = await engine.start(_with(job, wall_seconds=1.0))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    outcome = await session.run(RoundRequest(1))
    ticking.cancel()
    await session.close()
    assert isinstance(outcome, Failed)
    assert (outcome.reason, len(outcome.logs)) == ("wall-time", SMALL.log_bytes)
    assert session.record.usage.log_bytes_dropped > MIB
    assert ticks > 30


@pytest.mark.usefixtures("untouched")
async def test_printing_beyond_the_limit_does_not_stop_a_train(
    engine: Bubblewrap, bench: Bench
) -> None:
    """A train that prints too much still gives its outputs; the rest of its log is counted."""
    body = "for _ in range(1000): print('x' * 1023)\nreturn {'x': 1}"
    outcome = await run_once(engine, stopped(bench, body))
    assert attempts(outcome) == {"x": 1}
    assert isinstance(outcome, Completed)
    assert len(outcome.logs) == SMALL.log_bytes


@pytest.mark.usefixtures("untouched")
async def test_daemons_end_with_their_session(engine: Bubblewrap, bench: Bench) -> None:
    """A process that left its parent and session behind is gone after close."""
    body = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import time; time.sleep(99)
    os._exit(0)
os.wait()
return {"x": 1}
"""
    assert attempts(await run_once(engine, stopped(bench, body))) == {"x": 1}


@pytest.mark.usefixtures("untouched")
async def test_a_forged_answer_is_not_believed_next_round(engine: Bubblewrap, bench: Bench) -> None:
    """An answer kept back for a later round is noticed, and the session ends."""
    body = "link().send(answer([], True, 2))\nreturn {}"
    session = await engine.start(stopped(bench, body))
    try:
        await session.run(RoundRequest(1))
        second = await session.run(RoundRequest(2))
        assert isinstance(second, Failed)
        assert second.reason in ("bad-output", "killed")
    finally:
        await session.close()


@pytest.mark.usefixtures("untouched")
async def test_what_is_left_in_the_stream_is_not_taken_for_the_next_output(
    engine: Bubblewrap, bench: Bench
) -> None:
    """Bytes that no answer announced are noticed, and the session ends."""
    session = await engine.start(stopped(bench, "stream().send(b'x')\nreturn {}"))
    try:
        assert isinstance(await session.run(RoundRequest(1)), Completed)
        second = await session.run(RoundRequest(2))
        assert isinstance(second, Failed)
        assert second.reason == "bad-output"
    finally:
        await session.close()


@pytest.mark.usefixtures("untouched")
async def test_a_setuid_program_gains_nothing(engine: Bubblewrap, bench: Bench) -> None:
    """A set-user-id file runs as the train's own user, with no capability."""
    job = stopped(
        bench,
        "import subprocess\n"
        "run = lambda *words: subprocess.run(words, capture_output=True, text=True).stdout\n"
        "status = run('/train/tool', '-e', 'CapEff', '-e', 'NoNewPrivs', '-e', 'Uid', "
        "'/proc/self/status')\n"
        "return {'status': ' '.join(status.split())}",
    )
    tool = job.code / "tool"
    shutil.copyfile("/usr/bin/grep", tool)
    tool.chmod(0o6755)
    found = attempts(await run_once(engine, job))
    expected = "Uid: 1000 1000 1000 1000 CapEff: 0000000000000000 NoNewPrivs: 1"
    assert found == {"status": expected}


async def test_limits_cannot_be_raised_again(engine: Bubblewrap, bench: Bench) -> None:
    """Open files end at the limit, and the limit cannot be lifted from inside."""
    body = """
import resource
r = {}
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096)); r["raise"] = "done"
except ValueError:
    r["raise"] = "refused"
files = []
try:
    while True: files.append(open("/dev/null"))
except OSError as error:
    r["open"] = errno.errorcode[error.errno]
r["few"] = len(files) < 128
return r
"""
    found = attempts(await run_once(engine, stopped(bench, body)))
    assert found == {"raise": "refused", "open": "EMFILE", "few": True}


class Unwalled(Bubblewrap):
    """The engine with walls taken down, to show that the tests above can fail."""

    without: frozenset[str] = frozenset()

    def _filters(self) -> tuple[bytes, ...]:
        return () if "filters" in self.without else super()._filters()

    def _command(self, spec: JobSpec, settings: str, inherited: walls.Descriptors) -> list[str]:
        words = super()._command(spec, settings, inherited)
        if "scratch" in self.without:
            words = _cut(_cut(words, "--size", 2), "--remount-ro", 2)
        if "network" in self.without:
            words.insert(1 + words.index("--unshare-all"), "--share-net")
        if "settings" in self.without:
            at = words.index("/proc", words.index("--remount-ro"))
            del words[at - 1 : at + 1]
        if "read-only" in self.without:
            words = ["--bind" if word == "--ro-bind" else word for word in words]
        return words

    def _read_back(self, *given: object) -> dict[str, str]:
        return {}


def _cut(words: list[str], option: str, length: int) -> list[str]:
    kept = list(words)
    while option in kept:
        at = kept.index(option)
        del kept[at : at + length]
    return kept


def unwalled(*layers: str) -> Unwalled:
    """Return the engine without these layers."""
    engine = Unwalled(WEAKER)
    engine.without = frozenset(layers)
    return engine


async def test_without_the_filter_its_calls_get_through(bench: Bench) -> None:
    """The cases that the filter answers do succeed, or fail otherwise, without it."""
    tried = ("keyctl", "tcp", "vsock", "netlink", "inject-high-bit", "clone-user", "personality")
    body = "\n".join(f"r[{name!r}] = call({CALLS[name][0]})" for name in tried)
    outcome = await run_once(unwalled("filters"), stopped(bench, f"r = {{}}\n{body}\nreturn r"))
    found = attempts(outcome)
    assert {name for name in tried if found[name] == CALLS[name][1]} == set()
    assert found["keyctl"] == found["tcp"] == found["personality"] == "done"


async def test_without_filter_and_namespace_the_network_is_reached(
    bench: Bench, listener: socket.socket
) -> None:
    """The host's loopback answers once both layers before it are gone; one alone holds."""
    address = listener.getsockname()
    body = f"return {{'tcp': attempt(socket.create_connection, {address!r}, 1)}}"
    alone = await run_once(unwalled("filters"), stopped(bench, body))
    assert attempts(alone) == {"tcp": "ECONNREFUSED"}
    neither = await run_once(unwalled("filters", "network"), stopped(bench, body))
    assert attempts(neither) == {"tcp": "done"}


async def test_without_sizes_the_disk_never_fills(bench: Bench) -> None:
    """Scratch takes more than its limit, and /dev becomes writable, when the sizes are gone."""
    body = """
with open("/dev/shm/fill", "wb") as file: file.write(b"x" * (12 << 20))
with open("/dev/fill", "wb") as file: file.write(b"x")
return {"x": 1}
"""
    outcome = await run_once(unwalled("scratch"), stopped(bench, body))
    assert attempts(outcome) == {"x": 1}


async def test_without_read_only_binds_the_data_is_writable(bench: Bench) -> None:
    """The bound table can be opened for writing when it is bound writable."""
    body = "return {'data': attempt(os.open, '/data/visits.arrow', os.O_WRONLY)}"
    outcome = await run_once(unwalled("read-only"), stopped(bench, body))
    assert attempts(outcome) == {"data": "done"}


@pytest.mark.skipif(os.getuid() != 0, reason="only a station of root's maps its train to root")
async def test_without_its_own_wall_root_could_change_the_kernels_settings(bench: Bench) -> None:
    """The kernel's settings open for writing when /proc is not bound read-only."""
    body = "return {'x': attempt(os.open, '/proc/sys/kernel/core_pattern', os.O_WRONLY)}"
    outcome = await run_once(unwalled("settings"), stopped(bench, body))
    assert attempts(outcome) == {"x": "done"}


class Leaky(Unwalled):
    """The engine with walls taken down, and the reading back left in."""

    def _read_back(self, *given: object) -> dict[str, str]:
        return Bubblewrap._read_back(self, *given)  # type: ignore[arg-type]


@pytest.mark.usefixtures("untouched")
async def test_a_missing_layer_is_noticed_at_the_start(bench: Bench) -> None:
    """A session that comes up without a layer is refused before any train code runs."""
    engine = Leaky(WEAKER)
    engine.without = frozenset({"network"})
    with pytest.raises(EngineRefused, match="a net namespace"):
        await engine.start(bench.job(GOOD))
