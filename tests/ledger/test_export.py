"""The export, and a verifier in another language that has nothing of ours."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ledger.disk import SimulatedDisk
from tests.ledger.gotools import Missing, build_verifier
from tests.ledger.histories import History
from tests.ledger.parties import LOG_KEY, NewWitness, gather, name_of, policy_of
from tests.ledger.vectors import LOG_VKEY, ORIGIN, ROOTS, entries, identity_of, log_identity

from branchline.foundation.database import open_database, writing
from branchline.foundation.errors import Corrupt
from branchline.ledger.audit import audit
from branchline.ledger.export import export_ledger
from branchline.ledger.files import FolderFiles
from branchline.ledger.log import Log
from branchline.ledger.proof.cosignature import cosigner_key
from branchline.ledger.proof.policy import parse_policy
from branchline.ledger.tiles import encode_bundle

Exported = Callable[[int], Path]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Export logs of the vectors' sizes, each once."""
    done: dict[int, Path] = {}

    def export(size: int) -> Path:
        if size not in done:
            place = tmp_path_factory.mktemp(f"log-{size}")
            engine, disk = open_database(place / "log.db"), SimulatedDisk()
            log = Log(engine, disk, ORIGIN, log_identity())
            with writing(engine) as connection:
                log.append_many(connection, entries(size))
            log.integrate()
            engine.dispose()
            export_ledger(disk.read, place / "out", LOG_KEY)
            done[size] = place / "out"
        return done[size]

    return export


def test_an_export_is_a_whole_ledger(logs: Exported) -> None:
    """Checkpoint, tiles, entries and the key, and nothing else."""
    folder = logs(1000)
    assert (folder / "vkey").read_text() == LOG_VKEY + "\n"
    files = FolderFiles(folder)
    found = audit(files.read, files.paths(), LOG_KEY)
    assert found.checkpoint == History(entries(1000)).checkpoint(1000)
    others = {path for path in files.paths() if not path.startswith("tile/")}
    assert others == {"checkpoint", "vkey"}


def test_what_is_cosigned_is_exported_with_its_cosignatures_and_policy(
    append: Callable[..., object],
    open_log: Callable[[], Log],
    disk: SimulatedDisk,
    new_witness: NewWitness,
    tmp_path: Path,
) -> None:
    """The latest cosigned checkpoint is shown, even where the log has grown on since."""
    log, policy = open_log(), policy_of(4)
    append(log, entries(250))
    log.integrate()
    gather(log, [new_witness(number) for number in range(4)])
    append(log, entries(10, 250))
    log.integrate()
    told: list[tuple[int, int]] = []
    folder = tmp_path / "out"
    export_ledger(
        disk.read, folder, LOG_KEY, policy=policy, progress=lambda *each: told.append(each)
    )
    assert told == [(0, 250), (250, 250)]
    assert policy.open((folder / "checkpoint").read_bytes()).checkpoint.size == 250
    assert parse_policy((folder / "policy").read_bytes()) == policy
    files = FolderFiles(folder)
    assert audit(files.read, files.paths(), LOG_KEY).checkpoint.size == 250


def test_an_export_is_brought_further_and_never_back(
    append: Callable[..., object], open_log: Callable[[], Log], disk: SimulatedDisk, tmp_path: Path
) -> None:
    """A folder that is there already gets what it lacks; another history stops it."""
    log = open_log()
    for first in (0, 300):
        append(log, entries(300, first))
        log.integrate()
        assert export_ledger(disk.read, tmp_path / "out", LOG_KEY).size == first + 300
    other = SimulatedDisk()
    other.edit("checkpoint", History([b"forged"] * 600).note(600).encode())
    with pytest.raises(Corrupt, match="signed other 600 entries"):
        export_ledger(other.read, tmp_path / "out", LOG_KEY)


def test_a_damaged_source_is_not_exported(logs: Exported, tmp_path: Path) -> None:
    """An entry that was changed at the source does not come to stand in an export."""
    files = FolderFiles(logs(257))

    def read(path: str) -> bytes:
        data = files.read(path)
        return data.replace(b"entry 3", b"entry 4") if "entries" in path else data

    with pytest.raises(Corrupt, match="do not give the root"):
        export_ledger(read, tmp_path / "out", LOG_KEY)
    assert not (tmp_path / "out/checkpoint").exists()


# --- the verifier in Go

Verify = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """Build the Go verifier once."""
    try:
        binary = build_verifier(tmp_path_factory.mktemp("go"))
    except Missing as missing:
        pytest.skip(f"not verified by Go: {missing}")

    def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
        command = [str(binary), str(folder), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.mark.parametrize("size", [1, 5, 256, 257, 1000, 70_000])
def test_go_accepts_our_logs(size: int, logs: Exported, verify: Verify) -> None:
    """Go's note and tlog packages accept checkpoint, every tile, every entry, and our growth."""
    grown = [f"-grown {old}:{ROOTS[old]}" for old in sorted(ROOTS) if old < size]
    done = verify(logs(size), *" ".join(grown).split())
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ORIGIN} {size} {ROOTS[size]}\n"


POLICIES = {
    "quorum w2\n": 0,
    "group q all w0 w1 w2 w3\nquorum q\n": 0,
    "group q 3 w0 w1 w2 w3\nquorum q\n": 0,
    "group s 2 w0 w1\ngroup q all s w3\nquorum q\n": 0,
    "quorum none\n": 0,
    "quorum w7\n": 1,
    "group q all w0 w7\nquorum q\n": 1,
    "group s any w6 w7\ngroup q all s w3\nquorum q\n": 1,
    "group q any w0 w7\nquorum q\n": 0,
    "group q 2 w0 w6 w7\nquorum q\n": 1,
    "group q 3 w0 w1\nquorum q\n": 1,
    "group q any w0 w9\nquorum q\n": 1,
    "group q any w0\ngroup r any w0\nquorum r\n": 1,
    "quorum w0\nquorum w1\n": 1,
    "": 1,
}
"""What a policy asks of the witnesses w0 to w7, of whom the first four cosigned; and Go's exit code."""


def asked_policy(asked: str) -> str:
    """Return a policy that asks this of eight witnesses."""
    keys = [cosigner_key(name_of(n), identity_of(100 + n).public).text for n in range(8)]
    lines = "".join(f"witness w{n} {key} https://w{n}.example\n" for n, key in enumerate(keys))
    return f"# made up\nlog {LOG_VKEY}\n{lines}{asked}"


def test_go_accepts_cosignatures_and_receipts(
    append: Callable[..., object],
    open_log: Callable[[], Log],
    disk: SimulatedDisk,
    new_witness: NewWitness,
    tmp_path: Path,
    verify: Verify,
) -> None:
    """What four witnesses cosigned holds, and a receipt refers to it."""
    log = open_log()
    append(log, entries(300))
    log.integrate()
    gather(log, [new_witness(number) for number in range(4)])
    export_ledger(disk.read, tmp_path / "out", LOG_KEY)
    options = []
    for number in range(4):
        key = cosigner_key(name_of(number), identity_of(100 + number).public)
        options += ["-witness", key.text]
    for position, (receipt,) in ((at, log.prove_many([at], cosigned=True)) for at in (0, 299)):
        (tmp_path / f"{position}.tlog-proof").write_text(receipt.text)
        (tmp_path / f"{position}.leaf").write_bytes(b"entry %d" % position)
        name = tmp_path / str(position)
        options += ["-receipt", f"{name}.tlog-proof:{name}.leaf"]
    done = verify(tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    for asked, code in POLICIES.items():
        policy = tmp_path / "policy"
        policy.write_text(asked_policy(asked))
        done = verify(tmp_path / "out", "-policy", str(policy), *options[8:])
        assert done.returncode == code, (asked, done.stderr)
    # The ledger's own checkpoint has four cosignatures; that of a receipt may have fewer.
    policy.write_text(asked_policy("group q 3 w0 w1 w2 w3\nquorum q\n"))
    file = tmp_path / "0.tlog-proof"
    whole = file.read_text()
    lines = whole.splitlines(keepends=True)
    for left, code in ((len(lines), 0), (len(lines) - 1, 0), (len(lines) - 2, 1)):
        file.write_text("".join(lines[:left]))
        done = verify(tmp_path / "out", "-policy", str(policy), *options[8:])
        assert done.returncode == code, (left, done.stderr)
    file.write_text(whole)
    stranger = cosigner_key(name_of(7), identity_of(107).public).text
    assert verify(tmp_path / "out", "-witness", stranger).returncode == 1
    (tmp_path / "0.leaf").write_bytes(b"entry 1")
    assert verify(tmp_path / "out", *options).returncode == 1


def test_go_refuses_what_was_changed(logs: Exported, tmp_path: Path, verify: Verify) -> None:
    """A changed entry, tile, checkpoint or key, and a history that never was, are refused."""
    source = FolderFiles(logs(1000))

    def changed(path: str, change: Callable[[bytes], bytes]) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        files = FolderFiles(folder)
        for each in source.paths():
            files.write(each, source.read(each))
        files.write(path, change(source.read(path)))
        return folder

    forged = encode_bundle([b"forged", *entries(255, 1)])
    for path, change in [
        ("tile/entries/000", lambda _: forged),
        ("tile/entries/003.p/232", lambda data: data[:-1]),
        ("tile/0/002", lambda data: bytes([data[0] ^ 1]) + data[1:]),
        ("tile/1/000.p/3", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        ("checkpoint", lambda data: data.replace(b"\n1000\n", b"\n1001\n")),
        ("checkpoint", lambda _: History(entries(999)).note(999).encode()),
        ("vkey", lambda data: data.replace(b"d5d7c810", b"d5d7c811")),
        ("vkey", lambda _: (cosigner_key(ORIGIN, identity_of(9).public).text + "\n").encode()),
    ]:
        done = verify(changed(path, change))
        assert done.returncode == 1, path
        assert done.stderr
    assert verify(logs(1000)).returncode == 0
    assert verify(logs(1000), "-grown", f"257:{ROOTS[256]}").returncode == 1
