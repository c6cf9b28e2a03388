"""A witness that is no station, over real HTTP: posted to by programs that have nothing of ours."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.ledger.gotools import Missing, build_verifier
from tests.ledger.histories import History, fork
from tests.ledger.ledgers import Ledger
from tests.ledger.vectors import LOG_VKEY, ORIGIN, entries, log_identity

from branchline.cli.root import root
from branchline.ledger.export import export_ledger
from branchline.ledger.proof.checkpoint import sign_checkpoint
from branchline.ledger.proof.cosignature import parse_cosigner_key
from branchline.ledger.proof.note import parse_key
from branchline.ledger.witness.wire import MAX_REQUEST, parse_answer

NAME = "auditor.example/witness"
TRUE, FORGED = fork(shared=3, size=9)


def run(*words: str, code: int = 0) -> dict[str, Any]:
    """Run a command with --json."""
    done = CliRunner().invoke(root, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@dataclass
class Running:
    """A witness as a process of its own."""

    process: subprocess.Popen[str]
    address: str

    def post(self, body: bytes) -> tuple[int, str, bytes]:
        """Post a request; return status, content type and body."""
        request = urllib.request.Request(f"{self.address}/add-checkpoint", body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read()

    def get(self, path: str) -> bytes:
        """Fetch something."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=20) as answer:
            return bytes(answer.read())


@contextlib.contextmanager
def serving(home: Path) -> Iterator[Running]:
    """Run the command, until the block ends; killed, not asked to end."""
    command = [sys.executable, "-m", "branchline", "ledger", "witness", "serve"]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--home", str(home), "--json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        try:
            yield Running(process, ready["address"])
        finally:
            process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a witness of the vectors' log."""
    made = run("ledger", "witness", "init", NAME, "--log", LOG_VKEY, "--home", str(tmp_path / "w"))
    assert made["logs"] == [ORIGIN]
    return tmp_path / "w"


def status(home: Path, code: int = 0) -> dict[str, Any]:
    """Return how the witness stands."""
    return run("ledger", "witness", "status", "--home", str(home), code=code)


def test_it_cosigns_growth_and_remembers_it_when_killed(home: Path) -> None:
    """What was answered is durable: after kill -9 it knows its size, and shows what it cosigned."""
    with serving(home) as witness:
        code, kind, lines = witness.post(TRUE.request(0, 5).body)
        assert (code, kind) == (200, "text/plain; charset=utf-8")
    key = parse_cosigner_key(status(home)["vkey"])
    (found,) = parse_answer(lines, TRUE.checkpoint(5).text, [key])
    assert found.key == key
    with serving(home) as witness:
        assert witness.post(TRUE.request(0, 9).body) == (409, "text/x.tlog.size", b"5\n")
        assert witness.post(TRUE.request(5, 9).body)[0] == 200
        shown = witness.get(f"/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint").decode()
        witness.process.send_signal(signal.SIGTERM)
        assert witness.process.wait(20) == 0
    assert shown.startswith(TRUE.note(9))
    (log,) = status(home)["logs"]
    assert (log["origin"], log["size"]) == (ORIGIN, 9)


def test_a_fork_is_refused_and_kept_as_evidence(home: Path) -> None:
    """The status says what the ledger did, and exits with 6."""
    with serving(home) as witness:
        assert witness.post(TRUE.request(0, 5).body)[0] == 200
        assert witness.post(FORGED.request(5, 9).body)[0] == 422
        assert witness.post(TRUE.request(5, 9).body)[0] == 200
    (alarm,) = status(home, code=6)["alarms"]
    assert alarm["says"] == f"{ORIGIN} signed 9 entries that do not begin with the 5 it had signed"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 400),
        (b"old 0\n\nnoise", 400),
        (bytes(MAX_REQUEST + 1), 400),
        (History(entries(3), origin="other.example/log").request(0, 3).body, 404),
        (TRUE.request(0, 5).body.replace(b"\n5\n", b"\n6\n"), 403),
    ],
    ids=["nothing", "noise", "too large", "unknown log", "not signed"],
)
def test_what_is_wrong_is_refused_with_its_status(home: Path, body: bytes, code: int) -> None:
    """And the witness goes on."""
    with serving(home) as witness:
        assert witness.post(body)[0] == code
        assert witness.post(TRUE.request(0, 5).body)[0] == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):
            witness.get(f"/{'0' * 64}/checkpoint")


def test_a_witness_is_made_once_and_watches_more_logs(home: Path, tmp_path: Path) -> None:
    """The key stays; another name is another witness; a key from a file is as good."""
    other = History(entries(3), origin="other.example/log")
    file = tmp_path / "vkey"
    words = ("ledger", "witness", "init", "--log", str(file), "--home", str(home))
    key = parse_key(LOG_VKEY)
    file.write_text(type(key)(other.origin, key.key).text + "\n")
    before = status(home)["vkey"]
    assert run(*words, NAME)["vkey"] == before
    assert [each["origin"] for each in status(home)["logs"]] == [ORIGIN, other.origin]
    assert "belongs to the witness" in run(*words, "another.example/witness", code=5)["refused"]
    with serving(home) as witness:
        assert witness.post(other.request(0, 3).body)[0] == 200


def test_without_tls_it_listens_on_loopback_only(home: Path) -> None:
    """As the other programs."""
    words = ("ledger", "witness", "serve", "--listen", "0.0.0.0:0", "--home", str(home))
    assert "loopback only" in run(*words, code=2)["refused"]
    nobody = ("ledger", "witness", "serve", "--home", str(home / "none"))
    assert "There is no witness" in run(*nobody, code=4)["refused"]


def test_a_log_run_by_others_is_cosigned(home: Path, tmp_path: Path) -> None:
    """Go's own packages prove the growth and open the cosigned note; we only answer."""
    try:
        go = build_verifier(_folder(tmp_path / "go"))
    except Missing as missing:
        pytest.skip(f"not posted to by another program: {missing}")
    vkey = status(home)["vkey"]
    with serving(home) as witness:
        address = witness.address.removeprefix("http://")
        for size in (3, 300):
            ledger = _folder(tmp_path / str(size))
            _export(size, ledger)
            command = [str(go), "post", str(ledger), address, vkey]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.split()[:2] == [ORIGIN, str(size)]
    assert status(home)["logs"][0]["size"] == 300


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _export(size: int, folder: Path) -> None:
    """Write a log of the vectors' entries as static files."""
    made = Ledger(entries(size))
    made.files["checkpoint"] = sign_checkpoint(made.checkpoint, log_identity()).full_text.encode()
    export_ledger(made.read, folder, parse_key(LOG_VKEY))
