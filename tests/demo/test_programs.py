"""The demo's programs: real children, none of which is left behind."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from branchline.demo.programs import LINES, ProgramFailed, Programs

SERVING = """
import os, signal
print("serving as", os.getpid(), flush=True)
signal.pause()
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + SERVING
FALLING = "import sys; print('ready', flush=True); sys.stdin.read(); raise SystemExit('it fell')"


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Programs]:
    """Return programs that are ended after the test."""
    made = Programs(tmp_path / "logs")
    yield made
    await made.close()


def python(code: str) -> tuple[str, ...]:
    """Return the command line of a small program."""
    return sys.executable, "-c", code


def runs(pid: str) -> bool:
    """Tell whether a process exists."""
    return Path(f"/proc/{pid}").exists()


async def test_a_command_gives_what_it_printed(programs: Programs, tmp_path: Path) -> None:
    """Output comes back and stands in the log, whose earlier lines are not mixed in."""
    assert await programs.run("hello", *python("print('one')")) == "one\n"
    assert await programs.run("hello", *python("print('two')")) == "two\n"
    assert (tmp_path / "logs" / "hello.log").read_text() == "one\ntwo\n"


async def test_a_command_that_fails_is_quoted(programs: Programs) -> None:
    """The error names the program, its exit code and its last lines only."""
    code = f"[print('line', n) for n in range({LINES + 5})]; raise SystemExit(3)"
    with pytest.raises(ProgramFailed, match="'many' ended with exit code 3") as caught:
        await programs.run("many", *python(code))
    assert f"line {LINES + 4}" in str(caught.value)
    assert "line 4\n" not in str(caught.value)


@pytest.mark.parametrize("code", [SERVING, STUBBORN])
async def test_what_serves_is_ended(
    programs: Programs, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program ends with the demo, also one that does not want to."""
    monkeypatch.setattr("branchline.demo.programs._GRACE", 0.2)
    pid = await programs.serve("one", *python(code), ready=r"serving as (\d+)")
    assert runs(pid)
    await programs.close()
    assert not runs(pid)
    await programs.close()


async def test_what_does_not_begin_is_quoted(programs: Programs) -> None:
    """A program that ends before it is ready fails at once, with its word."""
    with pytest.raises(ProgramFailed, match="no port left"):
        await programs.serve("one", *python("print('no port left')"), ready="serving")


async def test_work_stops_when_a_program_falls(programs: Programs) -> None:
    """Nobody waits for an answer of a program that is gone; others are ended all the same."""
    pid = await programs.serve("other", *python(SERVING), ready=r"serving as (\d+)")
    await programs.serve("falling", *python(FALLING), ready="ready")
    left_off = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left_off.set()

    with pytest.raises(ProgramFailed, match=r"'falling' ended with exit code 1.*\n.*\n.*it fell"):
        await programs.during(work())
    assert left_off.is_set()
    await programs.close()
    assert not runs(pid)


async def test_work_gives_its_result_and_its_errors(programs: Programs) -> None:
    """As long as all programs run, work is as if done alone."""

    async def good() -> int:
        return 5

    async def bad() -> None:
        raise KeyError("mine")

    assert await programs.during(good()) == 5
    with pytest.raises(KeyError, match="mine"):
        await programs.during(bad())


async def test_a_cancelled_command_is_ended(programs: Programs, tmp_path: Path) -> None:
    """Leaving off in the middle of a command leaves no process behind."""
    file = tmp_path / "pid"
    os.mkfifo(file)
    code = f"import os, signal; open({str(file)!r}, 'w').write(str(os.getpid())); signal.pause()"
    task = asyncio.create_task(programs.run("long", *python(code)))
    pid = await asyncio.to_thread(file.read_text)
    assert runs(pid)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not runs(pid)
