"""Real kernels are listened to: what they run is on record, signed, without anybody's doing."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.project.conftest import Scene

from branchline.foundation.clock import rfc3339
from branchline.project.activity.chain import verify_records
from branchline.project.activity.feed import read_all
from branchline.project.activity.files import read_blob, record_files, value_of
from branchline.project.activity.record import Record
from branchline.project.notebook.cells import Message, Watcher
from branchline.project.notebook.recording import HOST, Recording
from branchline.project.notebook.tap import Tap

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FIGURE = f"""
import base64
from IPython.display import Image, display
print("drawn")
display(Image(base64.b64decode("{PNG}")))
6 * 7
"""


@pytest.fixture
def kernels() -> Iterator[Path]:
    """Give a folder for kernels' sockets; their names have to be short."""
    folder = Path(f"/tmp/k-{uuid.uuid4().hex[:8]}")
    folder.mkdir(mode=0o700)
    yield folder
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


PROGRAM = """
import json, os, sys, time, uuid
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
folder, cells, dies = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
file = f"{folder}/kernel-{uuid.uuid4()}.json"
kernel = KernelManager(transport="ipc", connection_file=file, kernel_name="python3")
notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
client = NotebookClient(notebook, km=kernel, allow_errors=True, timeout=60)
kernel.start_kernel()
if dies:
    talk = kernel.blocking_client()
    talk.start_channels()
    talk.wait_for_ready(timeout=60)
    talk.execute(cells[0])
    while kernel.is_alive():
        time.sleep(0.02)
    os.unlink(file)
else:
    client.execute()
    kernel.shutdown_kernel()
os._exit(0)
"""
"""Runs a notebook as others do; a cell that fails does not stop it."""


def run(kernels: Path, *cells: str, dies: bool = False) -> None:
    """Run cells in a kernel of their own, with its connection file in the folder."""
    words = [str(kernels), json.dumps(cells), *(["dies"] if dies else [])]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *words],
        check=True,
        timeout=120,
    )


def recording(scene: Scene, kernels: Path) -> Recording:
    """Return a recording of the scene's project."""
    return Recording(scene.root, scene.identity, kernels, notebook=lambda kernel: "code/n.ipynb")


def executions(scene: Scene) -> list[Record]:
    """Return what is on record of kernels."""
    records = [signed.record for signed in read_all(scene.project)]
    return [record for record in records if record.type == "execution"]


def faults(scene: Scene) -> list[str]:
    """Return what verification finds."""
    project = scene.project
    verdict = verify_records(record_files(project), project.described.id, {})
    return [fault.sentence for fault in verdict.faults]


def test_every_cell_is_on_record_errors_and_figures_too(scene: Scene, kernels: Path) -> None:
    """Code, text, values, pictures and exceptions, chained and signed, and in the next commit."""
    with recording(scene, kernels):
        run(kernels, FIGURE, "# nothing a person writes keeps it out\n1/0", "'after'")
    found = executions(scene)
    assert [record.action for record in found[:3]] == ["run", "fail", "run"]
    first, second, third = found[:3]
    project = scene.project
    assert first.message == "[1] import base64"
    assert value_of(project, first, "code") == FIGURE
    assert first.detail("stdout") == "drawn\n"
    assert first.detail("environment") == HOST
    figure = next(d for d in first.details if d.kind == "figure" and d.media == "image/png")
    assert figure.digest is not None
    assert read_blob(project, figure.digest).startswith(b"\x89PNG")
    assert [d.value for d in first.details if d.media == "text/plain"][-1] == "42"
    facts = first.detail("metadata")
    assert (facts["notebook"], facts["prompt"]) == ("code/n.ipynb", 1)
    assert second.outcome == "failed"
    assert second.detail("error")["name"] == "ZeroDivisionError"
    assert "1/0" in second.detail("error")["traceback"]
    assert third.outcome == "done"
    assert found[3].message == "The kernel of code/n.ipynb ended"
    assert faults(scene) == []
    assert scene.git("status", "--porcelain") == ""


def test_the_same_figure_is_kept_once_and_named_twice(scene: Scene, kernels: Path) -> None:
    """The first one is saved, and a link into git-annex, by the time it is drawn again."""
    for _ in range(2):
        with recording(scene, kernels):
            run(kernels, FIGURE)
    drawn = [r for r in executions(scene) if r.action == "run"]
    assert len(drawn) == 2
    first, second = ([d.digest for d in r.details if d.kind == "figure"] for r in drawn)
    assert first == second
    assert read_blob(scene.project, first[0] or "").startswith(b"\x89PNG")  # type: ignore[arg-type]
    assert faults(scene) == []


def test_a_kernel_that_dies_leaves_its_cell(scene: Scene, kernels: Path) -> None:
    """With what the cell had put out."""
    with recording(scene, kernels):
        cell = "import os, time; print('so far', flush=True); time.sleep(.3); os._exit(7)"
        run(kernels, cell, dies=True)
    lost, ended = executions(scene)
    assert (lost.action, lost.outcome, lost.detail("stdout")) == (
        "interrupt",
        "interrupted",
        "so far\n",
    )
    assert lost.detail("metadata")["lost"] is True
    assert ended.message == "The kernel of code/n.ipynb ended"


def test_several_kernels_at_once_do_not_mix(scene: Scene, kernels: Path) -> None:
    """Each cell's record names its kernel; none is missing."""
    with recording(scene, kernels):
        threads = [
            threading.Thread(target=run, args=(kernels, *[f"print('{word}{n}')" for n in range(8)]))
            for word in "ab"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    by_kernel: dict[str, list[str]] = {}
    for record in executions(scene):
        if (said := record.detail("stdout")) is not None:
            by_kernel.setdefault(record.detail("metadata")["kernel"], []).append(said)
    expected = [[f"{word}{n}\n" for n in range(8)] for word in "ab"]
    assert sorted(by_kernel.values()) == expected
    assert faults(scene) == []


def test_records_wait_for_a_save_and_none_is_lost(scene: Scene, kernels: Path) -> None:
    """Whoever holds the project holds up records, not the kernel."""
    with recording(scene, kernels):
        with scene.project.working():
            run(kernels, "1", "2")
            assert executions(scene) == []
        eventually(lambda: len(executions(scene)) == 3)
    assert faults(scene) == []


def _listen_and_wait(scene: Scene, kernels: Path, ready: Callable[[], None]) -> None:
    with recording(scene, kernels):
        ready()
        time.sleep(60)


def test_a_recording_that_was_killed_leaves_a_gap_on_record(scene: Scene, kernels: Path) -> None:
    """The next one says from when to when nobody listened."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_listen_and_wait, args=(scene, kernels, ready.set))
    process.start()
    assert ready.wait(30)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    run(kernels, "'nobody hears this'")
    with recording(scene, kernels):
        run(kernels, "'this is heard'")
    records = [signed.record for signed in read_all(scene.project)]
    (gap,) = [record for record in records if record.type == "gap"]
    said = gap.detail("metadata")
    assert said["since"] <= said["from"] <= said["to"]
    assert "not recorded from" in gap.message
    assert [r.detail("code") for r in executions(scene) if r.detail("code")] == ["'this is heard'"]
    with recording(scene, kernels):
        pass
    assert sum(s.record.type == "gap" for s in read_all(scene.project)) == 1


STRANGERS: dict[str, dict[str, object]] = {
    "network": {"transport": "tcp", "ip": "127.0.0.1", "iopub_port": 1, "key": "k"},
    "elsewhere": {"transport": "ipc", "ip": "/../../etc/passwd", "iopub_port": 1, "key": "k"},
    "scheme": {"transport": "ipc", "ip": "x", "iopub_port": 1, "key": "k", "signature_scheme": "n"},
    "partial": {"transport": "ipc"},
    "empty": {},
}


def test_a_connection_file_leads_nowhere_else(
    scene: Scene, kernels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What runs in a kernel may write any; other kernels are heard all the same."""
    for name, said in STRANGERS.items():
        (kernels / f"kernel-{name}.json").write_text(json.dumps(said))
    (kernels / "kernel-fifo.json").symlink_to("/dev/zero")
    with recording(scene, kernels):
        run(kernels, "'heard'")
    assert next(r.detail("code") for r in executions(scene)) == "'heard'"
    told = [record.getMessage() for record in caplog.records]
    assert "the kernel network is not listened to: it listens on a network" in told
    assert any(each.startswith("the kernel scheme is not") for each in told)
    assert any(each.startswith("the kernel fifo is not") for each in told)


def test_a_chain_that_cannot_go_on_keeps_its_mark(scene: Scene, kernels: Path) -> None:
    """Where no record can be written, the next recording says that there is a gap."""
    with recording(scene, kernels):
        run(kernels, "1")
    last = max((scene.root / "activity").glob("clone-*/*/*.json"))
    whole = last.read_bytes()
    with recording(scene, kernels):
        last.write_bytes(b"{}")
        run(kernels, "2")
    last.write_bytes(whole)
    with recording(scene, kernels):
        pass
    kinds = [signed.record.type for signed in read_all(scene.project)]
    assert kinds.count("gap") == 1
    assert faults(scene) == []


def test_a_recorder_that_goes_deaf_says_since_when(
    scene: Scene, kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gap begins where it went deaf, not where the lab ended."""

    def broken(self: Watcher, message: Message) -> None:
        time.sleep(0.3)  # meanwhile the kernel says more, which must not be stumbled over again
        raise RuntimeError("a message nobody thought of")

    with monkeypatch.context() as patch:
        patch.setattr(Watcher, "take", broken)
        with recording(scene, kernels):
            run(kernels, "1")
            deaf = rfc3339(datetime.now(UTC))
            time.sleep(1.5)
    with recording(scene, kernels):
        pass
    (gap,) = [s.record for s in read_all(scene.project) if s.record.type == "gap"]
    assert gap.detail("metadata")["from"] <= deaf < gap.detail("metadata")["to"]


def test_listening_to_nobody_costs_nothing(kernels: Path) -> None:
    """A recorder that waits leaves the processor to others."""
    with Tap(kernels, lambda kernel, heard: None):
        time.sleep(0.2)
        before = time.process_time()
        time.sleep(1)
        assert time.process_time() - before < 0.2


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
