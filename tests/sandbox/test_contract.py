"""What every engine must do. A further engine adds itself to ENGINES and runs the same suite."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.sandbox.trains import (
    GOOD,
    SMALL,
    Bench,
    bubblewrap,
    footprint,
    left_since,
    run_once,
    skip_unless_counted,
)

from branchline.environment.host import HostMount
from branchline.foundation.digest import Bytes
from branchline.foundation.encoding import to_bech32
from branchline.foundation.errors import Corrupt
from branchline.foundation.sealing import Opening, seal_named
from branchline.sandbox.engine import (
    Completed,
    Engine,
    EngineRefused,
    Failed,
    FailureReason,
    RoundOutcome,
    RoundRequest,
)
from branchline.sandbox.inside.values import Payload, decode_payload, encode_payload
from branchline.sandbox.limits import MIB, Limits

ENGINES: dict[str, Callable[[], Engine]] = {"bubblewrap": bubblewrap}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Return each engine in turn."""
    return ENGINES[request.param]()


def payload(data: Bytes | None) -> Payload:
    """Decode what a round gave."""
    assert data is not None
    return decode_payload(data, max_bytes=1 << 30)


def outputs(outcome: RoundOutcome) -> Payload:
    """Return a station's outputs, or show why there are none."""
    assert isinstance(outcome, Completed), outcome
    return payload(outcome.outputs)


def reason(outcome: RoundOutcome) -> str:
    """Return why a round failed."""
    assert isinstance(outcome, Failed), outcome
    return outcome.reason


def limited(**limits: float) -> Limits:
    """Return the small limits with some changed."""
    import msgspec

    return msgspec.structs.replace(SMALL, **limits)


async def test_a_round_sees_data_state_and_parameters(engine: Engine, bench: Bench) -> None:
    """A function gets its tables, the state and the parameters, and its dict comes back."""
    source = """
    def station(data, state, parameters):
        table = data["visits"]
        return {"ages": sum(table["age"].to_pylist()), "k": parameters["k"], "s": state["s"] * 2}
    """
    request = RoundRequest(1, {"k": 3}, encode_payload({"s": np.arange(4.0)}))
    found = outputs(await run_once(engine, bench.job(source), request))
    assert (found["ages"], found["k"]) == (780, 3)
    assert np.array_equal(found["s"], [0, 2, 4, 6])  # type: ignore[arg-type]


async def test_a_part_of_the_environment_may_lie_below_tmp(engine: Engine, bench: Bench) -> None:
    """Scratch space hides nothing of the environment, wherever on the host that lies."""
    source = """
    def station(data, state, parameters):
        return {"said": open("/tmp/below/word").read()}
    """
    job = bench.job(source)
    (bench.folder / "below").mkdir()
    (bench.folder / "below" / "word").write_text("here")
    more = [*job.environment.root, (bench.folder / "below", "/tmp/below")]
    mount = dataclasses.replace(job.environment, root=more)  # type: ignore[type-var]
    found = outputs(await run_once(engine, dataclasses.replace(job, environment=mount)))
    assert found["said"] == "here"


async def test_a_file_may_hide_one_of_the_environment(engine: Engine, bench: Bench) -> None:
    """A session's own file is seen where a read-only folder of the environment has another."""
    source = """
    def station(data, state, parameters):
        return {"said": open("/somewhere/word").read()}
    """
    job = bench.job(source)
    (bench.folder / "somewhere").mkdir()
    (bench.folder / "somewhere" / "word").write_text("there")
    mount = dataclasses.replace(
        job.environment,  # type: ignore[type-var]
        root=[*job.environment.root, (bench.folder / "somewhere", "/somewhere")],
        files=[*job.environment.files, ("/somewhere/word", "here")],
    )
    found = outputs(await run_once(engine, dataclasses.replace(job, environment=mount)))
    assert found["said"] == "here"
    assert (bench.folder / "somewhere" / "word").read_text() == "there"


class Damaged(HostMount):
    """An environment of which a file is not what it was."""

    def verify(self) -> None:
        raise Corrupt("'/usr/bin/python3' is not what it was")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("python", ["", "/usr/bin/false"], ids=["starts", "does not even start"])
async def test_a_damaged_environment_is_never_used(
    engine: Engine, bench: Bench, python: str
) -> None:
    """No session starts in it, and the sentence is about the damage."""
    job = bench.job(GOOD)
    fields = {name: getattr(job.environment, name) for name in ("root", "env", "links", "files")}
    damaged = Damaged(python=python or job.environment.python, **fields)
    with pytest.raises(Corrupt, match="python3"):
        await engine.start(dataclasses.replace(job, environment=damaged))


async def test_a_state_made_while_it_is_written_arrives_whole(engine: Engine, bench: Bench) -> None:
    """A parcel is opened straight into the session's memory, and a damaged one stops the round."""
    source = """
    def station(data, state, parameters):
        return {"sum": float(state["model"].sum())}
    """
    key = X25519PrivateKey.generate()
    model = np.arange(300_000.0)
    sealed = seal_named(
        encode_payload({"model": model}), [to_bech32("age", key.public_key().public_bytes_raw())]
    )
    session = await engine.start(bench.job(source))
    try:
        request = RoundRequest(1, state=Opening(sealed.data, key, sealed.digest))
        assert outputs(await session.run(request))["sum"] == model.sum()
        damaged = bytearray(sealed.data)
        damaged[-100] ^= 1
        with pytest.raises(Corrupt, match="changed or cut"):
            await session.run(RoundRequest(2, state=Opening(damaged, key)))
    finally:
        await session.close()


async def test_a_state_that_proves_false_at_its_very_end_reaches_no_train(
    engine: Engine, bench: Bench
) -> None:
    """All of it may be in the session by then; the train does not run on it."""
    source = """
    def station(data, state, parameters):
        print("here it is")
        return {}
    """
    key = X25519PrivateKey.generate()
    to = [to_bech32("age", key.public_key().public_bytes_raw())]
    sealed = seal_named(encode_payload({"model": np.zeros(300_000)}), to)
    session = await engine.start(bench.job(source))
    try:
        with pytest.raises(Corrupt, match="not the one"):
            other = Opening(sealed.data, key, sealed.content)
            await session.run(RoundRequest(1, state=other))
        after = await session.run(RoundRequest(2))
        assert isinstance(after, Failed)
        assert after.reason is FailureReason.KILLED
        assert b"here it is" not in after.logs
    finally:
        await session.close()


async def test_a_state_nobody_takes_ends_with_the_round(engine: Engine, bench: Bench) -> None:
    """A train that has the runner read no more holds up its own round only."""
    source = """
    import sys, time

    def station(data, state, parameters):
        for module in list(sys.modules.values()):
            if hasattr(module, "unpack") and hasattr(module, "_receive"):
                module.unpack = lambda *given, **more: time.sleep(99)
        return {}
    """
    before = footprint()
    session = await engine.start(bench.job(source, limited(wall_seconds=1)))
    try:
        assert isinstance(await session.run(RoundRequest(1)), Completed)
        state = encode_payload({"model": np.zeros(3_000_000)})
        outcome = await session.run(RoundRequest(2, state=state))
        assert isinstance(outcome, Failed)
        assert outcome.reason is FailureReason.WALL_TIME
    finally:
        await session.close()
    assert left_since(before) == {}


async def test_inputs_larger_than_the_trains_share_do_not_count_as_its_memory(
    engine: Engine, bench: Bench
) -> None:
    """Many stations' updates fit beside a modest limit."""
    source = """
    def combine(updates, state, parameters):
        return None, {"sum": float(sum(u["model"].sum() for u in updates))}
    """
    update = encode_payload({"model": np.ones(4_000_000)})
    job = bench.job(source, limited(memory_bytes=192 * MIB), purpose="aggregator")
    outcome = await run_once(engine, job, RoundRequest(1, updates=[update] * 8))
    assert isinstance(outcome, Completed), outcome
    assert payload(outcome.result)["sum"] == 32_000_000


async def test_large_updates_keep_their_order(engine: Engine, bench: Bench) -> None:
    """Several parcels go into the session's memory, each to its own place."""
    source = """
    def combine(updates, state, parameters):
        return None, {"first": [float(u["model"][0]) for u in updates],
                      "sum": float(sum(u["model"].sum() for u in updates))}
    """
    key = X25519PrivateKey.generate()
    to = [to_bech32("age", key.public_key().public_bytes_raw())]
    models = [np.full(200_000 + k, float(k)) for k in range(5)]
    sealed = [seal_named(encode_payload({"model": model}), to) for model in models]
    request = RoundRequest(1, updates=[Opening(s.data, key, s.digest) for s in sealed])
    outcome = await run_once(engine, bench.job(source, purpose="aggregator"), request)
    assert isinstance(outcome, Completed), outcome
    found = payload(outcome.result)
    assert np.array_equal(found["first"], [0, 1, 2, 3, 4])  # type: ignore[arg-type]
    assert found["sum"] == sum(model.sum() for model in models)


async def test_pandas_frames_in_and_out(engine: Engine, bench: Bench) -> None:
    """A train that asks for pandas gets frames, and a frame it returns is a table."""
    source = """
    def station(data, state, parameters):
        return {"means": data["visits"].groupby("sex")["age"].mean()}
    """
    table = outputs(await run_once(engine, bench.job(source, frame="pandas")))["means"]
    assert isinstance(table, pa.Table)
    assert table.to_pydict() == {"sex": ["f", "m"], "age": [19.0, 20.0]}


async def test_a_session_lives_across_rounds(engine: Engine, bench: Bench) -> None:
    """Module, data and whatever the train keeps stay for the next round."""
    source = """
    seen = []
    def station(data, state, parameters):
        seen.append(parameters["round"])
        return {"seen": seen}
    """
    session = await engine.start(bench.job(source))
    try:
        for number in (1, 2, 3):
            outcome = await session.run(RoundRequest(number, {"round": number}))
        assert np.array_equal(outputs(outcome)["seen"], [1, 2, 3])  # type: ignore[arg-type]
    finally:
        await session.close()


async def test_an_aggregator_combines_until_it_has_a_result(engine: Engine, bench: Bench) -> None:
    """Updates arrive in order, the state comes back, a result of None means go on."""
    source = """
    def combine(updates, state, parameters):
        total = (state or {}).get("total", 0) + sum(u["n"] for u in updates)
        return {"total": total}, ({"total": total} if total > 10 else None)
    """
    session = await engine.start(bench.job(source, purpose="aggregator"))
    updates = [encode_payload({"n": 2}), encode_payload({"n": 4})]
    try:
        first = await session.run(RoundRequest(1, updates=updates))
        assert isinstance(first, Completed)
        assert first.result is None
        second = await session.run(RoundRequest(2, state=first.state, updates=updates))
        assert isinstance(second, Completed)
        assert payload(second.result) == {"total": 12}
    finally:
        await session.close()


async def test_a_large_payload_goes_in_and_out(engine: Engine, bench: Bench) -> None:
    """Megabytes arrive unchanged, and nobody can write to what came out."""
    source = "def station(data, state, parameters): return {'x': state['x'] + 1}"
    given = np.arange(2_000_000, dtype=np.float64)
    job = bench.job(source, limited(output_bytes=32 * MIB))
    request = RoundRequest(1, state=encode_payload({"x": given}))
    outcome = await run_once(engine, job, request)
    assert np.array_equal(outputs(outcome)["x"], given + 1)  # type: ignore[arg-type]
    assert isinstance(outcome, Completed)
    assert memoryview(outcome.outputs or b"").readonly


async def test_a_session_that_ended_keeps_no_memory(engine: Engine, bench: Bench) -> None:
    """Not even while somebody still refers to it."""
    source = """
    import numpy as np
    def station(data, state, parameters):
        return {"x": np.ones(10_000_000)}
    """
    limits = limited(memory_bytes=512 * MIB, output_bytes=128 * MIB)
    session = await engine.start(bench.job(source, limits))
    outcome = await session.run(RoundRequest(1))
    assert isinstance(outcome, Completed), outcome
    assert bytes(memoryview(outcome.outputs or b"")[-8:])  # it is there, and was looked at
    del outcome
    before = _resident()
    await session.close()
    assert before - _resident() > 60 * MIB, session.record


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_prints_are_logs_of_their_round(engine: Engine, bench: Bench) -> None:
    """What a train prints comes with the round it was printed in."""
    source = """
    import os, sys
    def station(data, state, parameters):
        print("out", parameters["n"]); print("err", file=sys.stderr); os.system("echo child")
        return {}
    """
    session = await engine.start(bench.job(source))
    try:
        for number in (1, 2):
            outcome = await session.run(RoundRequest(number, {"n": number}))
            assert outcome.logs == f"out {number}\nerr\nchild\n".encode()
    finally:
        await session.close()


FAILURES = {
    "raise": ("train-error", "raise ValueError('row 17: Jane Roe')"),
    "exit code": ("train-error", "import sys; sys.exit(42)"),
    "missing table": ("train-error", "data['nothing']"),
    "no dict": ("bad-output", "return 3"),
    "object": ("bad-output", "return {'x': object()}"),
    "object array": (
        "bad-output",
        "import numpy; return {'x': numpy.array([{}, 1], dtype=object)}",
    ),
    "huge": ("output-size", "import numpy; return {'x': numpy.zeros(10 << 20, 'u1')}"),
    "hard exit": ("killed", "import os; os._exit(17)"),
    "crash": ("killed", "import ctypes; ctypes.string_at(0)"),
    "memory": ("memory", "import numpy; x = [numpy.ones(1 << 20) for _ in range(99)]"),
    "memory error": ("memory", "raise MemoryError"),
    "memory of a child": (
        "memory",
        "import subprocess, sys; c = 'b = bytearray(1 << 29)'; "
        "subprocess.run([sys.executable, '-c', c], check=True)",
    ),
    "forks": (
        "processes",
        "import subprocess; x = [subprocess.Popen(['sleep', '9']) for _ in range(99)]",
    ),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("expected", "line"), FAILURES.values(), ids=FAILURES)
async def test_each_failure_has_its_reason(
    engine: Engine, bench: Bench, expected: str, line: str
) -> None:
    """Whatever goes wrong ends as one reason of the fixed set."""
    skip_unless_counted(expected)
    source = f"def station(data, state, parameters):\n    {line}\n"
    assert reason(await run_once(engine, bench.job(source))) == expected


@pytest.mark.usefixtures("untouched")
async def test_cpu_time_is_bounded(engine: Engine, bench: Bench) -> None:
    """A train that computes without end is stopped by its CPU time, in a child as well."""
    skip_unless_counted("cpu-time")
    source = """
    import subprocess, sys
    def station(data, state, parameters):
        subprocess.run([sys.executable, "-c", "while True: pass"])
    """
    job = bench.job(source, limited(cpu_seconds=1))
    assert reason(await run_once(engine, job)) == "cpu-time"


@pytest.mark.usefixtures("untouched")
async def test_wall_time_is_bounded(engine: Engine, bench: Bench) -> None:
    """A train that waits without end is stopped, and the session is gone."""
    source = "import time\ndef station(data, state, parameters): time.sleep(99)"
    session = await engine.start(bench.job(source, limited(wall_seconds=0.3)))
    try:
        assert reason(await session.run(RoundRequest(1))) == "wall-time"
        assert reason(await session.run(RoundRequest(2))) == "killed"
    finally:
        await session.close()


async def test_a_failed_round_may_be_followed_by_a_good_one(engine: Engine, bench: Bench) -> None:
    """An error of the train does not end its session."""
    source = "def station(data, state, parameters): return {'x': 1 / parameters['d']}"
    session = await engine.start(bench.job(source))
    try:
        assert reason(await session.run(RoundRequest(1, {"d": 0}))) == "train-error"
        assert outputs(await session.run(RoundRequest(2, {"d": 2}))) == {"x": 0.5}
    finally:
        await session.close()


async def test_only_the_reason_speaks_of_a_failure(engine: Engine, bench: Bench) -> None:
    """A row in an exception's text or type stays in the trace, which stays at the station."""
    source = """
    def station(data, state, parameters):
        raise type("JaneRoe", (Exception,), {})(data["visits"]["age"][17].as_py())
    """
    outcome = await run_once(engine, bench.job(source))
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailureReason.TRAIN_ERROR
    assert "JaneRoe: 17" in outcome.trace


@pytest.mark.usefixtures("untouched")
async def test_cancelling_a_round_ends_the_session(engine: Engine, bench: Bench) -> None:
    """A cancelled round leaves nothing running, and later rounds fail."""
    source = "import time\ndef station(data, state, parameters): time.sleep(99)"
    session = await engine.start(bench.job(source))
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.run(RoundRequest(1)), 0.2)
        assert reason(await session.run(RoundRequest(2))) == "killed"
    finally:
        await session.close()


@pytest.mark.usefixtures("untouched")
async def test_an_end_that_is_called_off_again_and_again_leaves_nothing(
    engine: Engine, bench: Bench
) -> None:
    """Also where no thread is free to clear away, as on a busy machine."""
    session = await engine.start(bench.job(GOOD))
    loop, free = asyncio.get_running_loop(), threading.Event()
    threads = ThreadPoolExecutor(1)
    loop.set_default_executor(threads)
    busy = loop.run_in_executor(None, free.wait, 30)
    closing = asyncio.create_task(session.close())
    for _ in range(10):
        await asyncio.sleep(0.01)
        closing.cancel()
    assert not closing.done()
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert await busy
    threads.shutdown()


@pytest.mark.usefixtures("untouched")
async def test_sessions_side_by_side_are_strangers(engine: Engine, bench: Bench) -> None:
    """Two sessions run at once, and neither sees the other's files or processes."""
    source = """
    import os, pathlib
    def station(data, state, parameters):
        path = pathlib.Path("/tmp/mark")
        found = path.exists()
        path.write_text("x")
        return {"found": found, "processes": sum(p.isdigit() for p in os.listdir("/proc"))}
    """
    job = bench.job(source)
    both = await asyncio.gather(run_once(engine, job), run_once(engine, job))
    assert [outputs(each) for each in both] == [{"found": False, "processes": 2}] * 2


async def test_the_record_says_what_was_enforced_and_used(engine: Engine, bench: Bench) -> None:
    """Every limit has its mechanism, and usage is there after the end."""
    skip_unless_counted("memory")
    session = await engine.start(bench.job(GOOD))
    assert outputs(await session.run(RoundRequest(1))) == {"rows": 40, "before": 0}
    await session.close()
    await session.close()
    record = session.record
    named = {"memory", "processes", "cpu-time", "wall-time", "scratch", "open-files", "output"}
    assert named | {"logs", "system-calls", "capabilities"} <= set(record.enforced)
    assert 0 < (record.usage.peak_memory_bytes or 0) <= SMALL.memory_bytes
    assert 0 < (record.usage.cpu_seconds or 0) < SMALL.cpu_seconds


async def test_a_missing_file_is_refused_before_anything_starts(
    engine: Engine, bench: Bench
) -> None:
    """A job that names a table file that is not there is refused in one sentence."""
    job = bench.job(GOOD)
    bench.table.unlink()
    before = footprint()
    with pytest.raises(EngineRefused, match="does not exist"):
        await engine.start(job)
    assert left_since(before) == {}


COMMAND = {"kind": "command", "argv": ["/bin/sh", "train.py"]}


async def test_a_command_reads_in_and_writes_out(engine: Engine, bench: Bench) -> None:
    """A command finds parameters, state and tables as files; its files become a payload."""
    source = """
    import csv, json
    rows = list(csv.DictReader(open("/in/tables/visits.csv")))
    state = json.load(open("/in/state/scalars.json"))
    manifest = json.load(open("/in/manifest.json"))
    k = json.load(open("/in/parameters.json"))["k"]
    json.dump([[len(rows), k], [state["s"], manifest["round"]]], open("/out/a.json", "w"))
    json.dump(2.5, open("/out/s.json", "w"))
    open("/out/t.csv", "w").write("x,y\\n1,u\\n2,v\\n")
    open("/out/note.txt", "w").write("fine")
    open("/out/f.png", "wb").write(b"png")
    files = {"a": ("a.json", "array"), "s": ("s.json", "scalar"), "t": ("t.csv", "table"),
             "note": ("note.txt", "text"), "f": ("f.png", "figure")}
    listed = {name: {"file": file, "as": kind} for name, (file, kind) in files.items()}
    json.dump({"outputs": listed}, open("/out/manifest.json", "w"))
    """
    entry = {"kind": "command", "argv": ["python3", "train.py"], "frame": "csv"}
    request = RoundRequest(5, {"k": 7}, encode_payload({"s": 9, "t": {"a": [1]}}))
    found = outputs(await run_once(engine, bench.job(source, entry=entry), request))
    assert np.array_equal(found["a"], [[40, 7], [9, 5]])  # type: ignore[arg-type]
    assert (found["s"], found["note"], found["f"]) == (2.5, "fine", b"png")
    assert isinstance(found["t"], pa.Table)
    assert found["t"].to_pydict() == {"x": [1, 2], "y": ["u", "v"]}


MANIFEST = """echo '{"outputs": {"x": {"file": "x.csv", "as": "table"}}}' > /out/manifest.json\n"""
COMMAND_FAILURES = {
    "exit code": ("train-error", "exit 3"),
    "no manifest": ("bad-output", "true"),
    "symbolic link": ("bad-output", MANIFEST + "ln -s /data/visits.arrow /out/x.csv"),
    "linked manifest": ("bad-output", "ln -s /in/manifest.json /out/manifest.json"),
    "folder": ("bad-output", MANIFEST + "mkdir /out/x.csv"),
    "too large": ("output-size", MANIFEST + "head -c 5000000 /dev/zero > /out/x.csv"),
    "full": ("train-error", MANIFEST + "head -c 50000000 /dev/zero > /out/x.csv"),
}


@pytest.mark.parametrize(("expected", "line"), COMMAND_FAILURES.values(), ids=COMMAND_FAILURES)
async def test_each_failure_of_a_command_has_its_reason(
    engine: Engine, bench: Bench, expected: str, line: str
) -> None:
    """A command's failures are the same reasons; its exit code goes no further."""
    assert reason(await run_once(engine, bench.job(line, entry=COMMAND))) == expected


async def test_a_command_can_be_an_aggregator(engine: Engine, bench: Bench) -> None:
    """Updates are files, `state` and `outputs` of the manifest are state and result."""
    source = """
    import glob, json
    files = sorted(glob.glob("/in/updates/*/scalars.json"))
    n = sum(json.load(open(f))["n"] for f in files)
    json.dump(n, open("/out/n.json", "w"))
    listed = {"n": {"file": "n.json", "as": "scalar"}}
    json.dump({"state": listed, "outputs": listed}, open("/out/manifest.json", "w"))
    """
    entry = {"kind": "command", "argv": ["python3", "train.py"]}
    job = bench.job(source, purpose="aggregator", entry=entry)
    request = RoundRequest(1, updates=[encode_payload({"n": n}) for n in (1, 2)])
    outcome = await run_once(engine, job, request)
    assert isinstance(outcome, Completed)
    assert payload(outcome.state) == payload(outcome.result) == {"n": 3}
