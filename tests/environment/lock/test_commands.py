"""``environment lock``, ``diff``, ``audit`` and ``sbom``, as a person calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.environment.lock.debian.mirror import NEXT_DAY, Mirror
from tests.environment.lock.python.index import Index

from branchline.environment.lock.debian.machine import read_machine

COMMAND = (sys.executable, "-m", "branchline", "environment")


class Desk:
    """A person's machine: its apt has one mirror, its Python one index."""

    def __init__(self, folder: Path, mirror: Mirror, index: Index) -> None:
        self.mirror, self.index, self.folder = mirror, index, folder / "project"
        self.folder.mkdir()
        self.etc = folder / "etc"
        (self.etc / "sources.list.d").mkdir(parents=True)
        (self.etc / "apt.conf").write_text(
            f'Dir::Etc "{self.etc}/";\nDir::Etc::main "none";\nDir::Etc::parts "none.d";\n'
            'Acquire::Retries "1";\nAcquire::AllowInsecureRepositories "true";\n'
        )
        (self.etc / "sources.list").write_text(
            f"deb [signed-by={mirror.key.public}] copy:{mirror.folder} bookworm main\n"
        )
        (self.etc / "sources.list.d/more.sources").write_text(
            f"Types: deb\nURIs: copy:{mirror.folder}\nSuites: bookworm-updates bookworm-security\n"
            f"Components: main\nSigned-By: {mirror.key.public}\n"
        )
        self.env = os.environ | {
            "APT_CONFIG": str(self.etc / "apt.conf"),
            "BRANCHLINE_STORE": str(folder / "store"),
        }
        for name in ("numpy", "pyarrow", "tiny"):
            index.add(name, "1.0")

    def call(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout if code in (0, 1) else done.stderr

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.call(*words, "--json", code=code))
        return answer


@pytest.fixture
def desk(tmp_path: Path, mirror: Mirror, index: Index) -> Desk:
    """What a test starts from."""
    return Desk(tmp_path, mirror, index)


def test_the_machines_apt_is_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources of both forms, how mirrors are reached, and nothing that would lower the guard."""
    monkeypatch.setenv("APT_CONFIG", desk.env["APT_CONFIG"])
    machine = read_machine()
    assert [source.suite for source in machine.sources] == [
        "bookworm",
        "bookworm-updates",
        "bookworm-security",
    ]
    assert machine.settings == ('Acquire::Retries "1";',)
    assert machine.checks_dates
    assert machine.trusted == (desk.etc / "trusted.gpg", desk.etc / "trusted.gpg.d")


def test_a_project_is_locked_and_upgraded(desk: Desk) -> None:
    """From spec files to a lock; then security updates, shown as such."""
    (desk.folder / "apt.txt").write_text("tool\n")
    (desk.folder / "requirements.txt").write_text("tiny\n")
    made = desk.json("lock")
    assert (made["suite"], made["python"]) == ("bookworm", 3)
    assert made["lock"].startswith("sha256:")
    assert "Nothing changed" in desk.call("lock", "--offline")
    desk.mirror.add("tool", "1.1-1", suite="bookworm-security", fields="Depends: libtool-data\n")
    desk.mirror.publish(NEXT_DAY)
    audited = desk.json("audit", code=1)
    assert [(u["name"], u["security"]) for u in audited["updates"]] == [("tool", True)]
    told = desk.call("audit", code=1)
    assert "security update  tool  1.0-1 → 1.1-1" in told
    assert "NOT AT HAND  the Debian security tracker's data" in told
    before = (desk.folder / "branchline.lock").read_text()
    assert "↑  tool  1.0-1 → 1.1-1  security" in desk.call("lock", "--upgrade", "tool")
    (desk.folder / "old.lock").write_text(before)
    changes = desk.json("diff", "old.lock", ".", code=1)["changes"]
    assert [(c["name"], c["kind"]) for c in changes] == [("tool", "upgraded")]
    assert "Both hold the same packages" in desk.call("diff", ".", ".")


def test_a_lock_is_made_by_hand_and_remembers_it(desk: Desk) -> None:
    """Without spec files the lock alone says what was asked for; broken, it is not guessed at."""
    desk.call("lock", "--deb", "one", "--with", "tiny", "--no-runtime")
    desk.call("lock", "--deb", "two", "--no-runtime")
    lock = desk.folder / "branchline.lock"
    assert 'debian = ["one", "two"]\npython = ["tiny"]' in lock.read_text()
    lock.write_text(lock.read_text().replace("recipe = 1", "recipe = 2"))
    assert "was changed since it was written" in desk.call("lock", code=6)
    (desk.folder / "requirements.txt").write_text("tiny\n")
    assert "Nothing of the earlier lock was kept" in desk.call("lock")


def test_parts_are_listed(desk: Desk) -> None:
    """As JSON on standard output, or in a file; what could not be read is said."""
    desk.call("lock", "--deb", "tool", "--no-runtime")
    document = desk.json("sbom")
    assert {part["name"] for part in document["components"]} >= {"tool", "libtool-data"}
    answer = desk.json("sbom", "--output", "parts.json")
    assert json.loads((desk.folder / "parts.json").read_text()) == document
    assert len(answer["not_read"]) == len(document["components"])


def test_mistakes_get_a_sentence_and_a_code(desk: Desk) -> None:
    """Refused input is 2, what is missing 4, what is another's 5."""
    assert "has no package nothing" in desk.call("lock", "--deb", "nothing", code=2)
    assert "has no branchline.lock" in desk.call("audit", code=4)
    (desk.folder / "pylock.toml").write_text("mine")
    assert "locking did not make it" in desk.call("lock", "--deb", "one", code=5)
    assert not (desk.folder / "branchline.lock").exists()
