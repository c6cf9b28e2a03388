"""Wrong and old tokens, pushes at once, connections that break, disks that are full, a killed central."""

from __future__ import annotations

import base64
import contextlib
import faulthandler
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from tests.central.hub.world import (
    BIN,
    World,
    bearing,
    call,
    project_in,
    quiet,
    refused,
    run,
    saved,
)

from branchline.central.founding import initialise
from branchline.central.hub import annex_http
from branchline.central.hub.tokens import LIFE, Tokens
from branchline.foundation.clock import SystemClock
from branchline.foundation.http.api import Caller
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity


class Later(SystemClock):
    """A clock that can be set ahead."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self.ahead


def basic(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": "Basic " + base64.b64encode(f"token:{token}".encode()).decode()}


def answered(url: str, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    """Return status, text and the challenge of an answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    text = response.read().decode(errors="replace")
    connection.close()
    return response.status, text, response.headers.get("WWW-Authenticate", "")


def arrived(repository: Path, least: int) -> None:
    """Wait until so many bytes of a content that is not whole yet are in a repository."""
    folder = repository / "annex" / "tmp"
    while sum(file.stat().st_size for file in folder.glob("*")) < least:
        time.sleep(0.01)


def test_a_token_is_good_for_its_person_its_project_and_a_while() -> None:
    """It ends by itself, is none elsewhere, and one that was made up is none at all."""
    clock = Later()
    tokens, who = Tokens(clock), Caller("clara", "person", Identity.create().public)
    here, there = new_id("hosted"), new_id("hosted")
    token = tokens.make(who, here, "read")
    found = tokens.find(token, here)
    assert found is not None
    assert (found.caller, found.right) == (who, "read")
    assert tokens.find(token, there) is None
    assert tokens.find("x" * 43, here) is None
    clock.ahead = LIFE
    assert tokens.find(token, here) is None


def test_who_comes_without_a_good_token_learns_nothing(world: World, tmp_path: Path) -> None:
    """No token, a wrong one, another project's and that of a role that ended are turned away."""
    with world.client("clara") as clara, world.client("ben") as ben:
        for name in ("tokens", "others"):
            project = project_in(tmp_path / name, clara, {"code/a.py": "1\n"})
            clara.publish_project(project.root)
        clara.share_project("clara/tokens", "ben", "write")
        token, other = ben.hub_token("clara/tokens").token, clara.hub_token("clara/others").token
        path = "/hub/clara/tokens/info/refs?service=git-upload-pack"
        for headers in ({}, basic("wrong"), basic(other), {"Authorization": "Bearer x"}):
            status, said, challenge = answered(world.url, path, **headers)
            assert status == 401
            assert challenge.startswith("Basic")
            assert "main" not in said
        # One that is not there answers as one that may not be seen.
        nothing = "/hub/clara/nothing/info/refs?service=git-upload-pack"
        assert answered(world.url, nothing)[0] == 401
        assert answered(world.url, path, **basic(token))[0] == 200
        clara.unshare_project("clara/tokens", "ben")
        assert answered(world.url, path, **basic(token))[0] == 404
        # Of a public one everybody reads the branches; content is for those who say who they are.
        found = clara.show_project_to("clara/tokens", "public")
        assert answered(world.url, path)[0] == 200
        assert answered(world.url, path.replace("upload", "receive"))[0] == 401
        content = f"/hub/clara/tokens/git-annex/{found.annex}/key/SHA256E-s1--{'a' * 64}"
        assert answered(world.url, content)[0] == 401


def test_a_token_that_only_reads_pushes_nothing(world: World, tmp_path: Path) -> None:
    """The token's right counts, not its bearer's; and no token stands in the clone's settings."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "reads", clara, {"code/a.py": "1\n"})
        clara.publish_project(project.root)
        words = bearing(clara.hub_token("clara/reads", "read").token)
        saved(project.root, clara, {"code/a.py": "2\n"})
        said = refused(project.root, "git", *words, "push", "--no-verify", "hub", "main")
        assert "good to read, not to write" in said
        run(project.root, "git", *words, "fetch", "hub")
        settings = (project.root / ".git" / "config").read_text()
        assert "token" not in settings
        assert "Authorization" not in settings


def test_strange_requests_are_refused(world: World, tmp_path: Path) -> None:
    """Of git-annex's protocol only what is known is passed on, for the hub's own repository."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "strange", clara, {"data/scan.bin": b"\1" * 3000})
        found = clara.publish_project(project.root)
        good = basic(clara.hub_token("clara/strange").token)
        key, mine = (
            f"SHA256E-s3000--{'a' * 64}.bin",
            run(project.root, "git", "config", "annex.uuid").strip(),
        )
        base, me = f"/hub/clara/strange/git-annex/{found.annex}", f"clientuuid={mine}"
        cases = {
            ("GET", f"{base}/v4/key/{key}?{me}"): 409,  # no branch has such a file
            ("GET", f"{base}/v9/key/{key}?{me}"): 404,
            ("GET", f"{base}/v4/checkpresent?key={key}&{me}"): 404,
            ("POST", f"{base}/v4/checkpresent?key=../../config&{me}"): 400,
            ("POST", f"{base}/v4/checkpresent?key={key}"): 400,
            ("POST", f"{base}/v4/put?key={key}&{me}"): 400,
            ("POST", f"{base}/v4/remove?key={key}&{me}&offset=x"): 400,
            ("POST", f"{base.replace(found.annex, mine)}/v4/checkpresent?key={key}&{me}"): 404,
            ("GET", "/hub/clara/strange/info/refs?service=git-upload-archive"): 400,
        }
        for (method, path), status in cases.items():
            assert (path, answered(world.url, path, method, **good)[0]) == (path, status)


def test_content_that_a_branch_names_is_not_removed(world: World, tmp_path: Path) -> None:
    """Not even its owner has the hub drop what a file still needs."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "stays", clara, {"data/scan.bin": b"\2" * 3000})
        clara.publish_project(project.root)
        run(project.root, "git", "annex", "copy", "--quiet", "--to", "hub", ".")
        done = call(project.root, "git", "annex", "drop", "--force", "--from", "hub", ".")
        assert done.returncode != 0
        run(project.root, "git", "annex", "drop", "--quiet", ".")
        run(project.root, "git", "annex", "get", "--quiet", ".")


def test_names_that_other_content_can_bear_are_refused(world: World, tmp_path: Path) -> None:
    """By time and size, by address, by broken digests; after git-annex renamed it, it comes in."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "weak", clara, {"code/a.py": "1\n"})
        (project.root / "data/w.csv").write_text("w\n")
        run(project.root, "git", "annex", "add", "--quiet", "--backend=WORM", "data/w.csv")
        saved(project.root, clara, {})
        found = clara.publish_project(project.root)
        key = (project.root / "data/w.csv").readlink().name
        mine = run(project.root, "git", "config", "annex.uuid").strip()
        base = f"/hub/clara/weak/git-annex/{found.annex}/v4"
        length = {"X-git-annex-data-length": "2"}
        good = basic(clara.hub_token("clara/weak").token)
        asked = f"{base}/put?key={quote(key)}&clientuuid={mine}"
        status, said, _ = answered(world.url, asked, "POST", **length, **good)
        assert (status, key[:5]) == (403, "WORM-")
        assert "is of the kind WORM, which other content can bear, too" in said
        refused(project.root, "git", "annex", "copy", "--to", "hub", "data/w.csv")
        run(project.root, "git", "annex", "migrate", "--quiet", "--backend=SHA256E", "data/w.csv")
        saved(project.root, clara, {})
        run(project.root, "git", "push", "--quiet", "hub", "main")
        run(project.root, "git", "annex", "copy", "--quiet", "--to", "hub", "data/w.csv")


def test_a_full_disk_is_said_before_anything_is_taken_in(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that would fill the hub's disk is refused, and goes there once there is room."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "full", clara, {"data/scan.bin": b"\3" * 3000})
        clara.publish_project(project.root)
        with monkeypatch.context() as patch:
            patch.setattr(annex_http, "SPARE", 1 << 60)
            done = call(project.root, "git", "annex", "copy", "--to", "hub", ".")
            assert done.returncode != 0
        run(project.root, "git", "annex", "copy", "--quiet", "--to", "hub", ".")


def test_two_pushes_at_once_and_neither_is_lost(world: World, tmp_path: Path) -> None:
    """Pushes to different branches both come in; of two to one branch, one is told to pull."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "twice", clara, {"code/a.py": "1\n"})
        clara.publish_project(project.root)
        words = bearing(clara.hub_token("clara/twice").token)
        main = run(project.root, "git", "rev-parse", "main").strip()
        tips = [
            run(project.root, "git", "commit-tree", "main^{tree}", "-p", main, "-m", str(n)).strip()
            for n in range(4)
        ]

        def push(ref: str, outcome: list[int]) -> None:
            outcome.append(
                call(project.root, "git", *words, "push", "--no-verify", "hub", ref).returncode
            )

        def at_once(refs: list[str]) -> list[int]:
            outcome: list[int] = []
            threads = [threading.Thread(target=push, args=(ref, outcome)) for ref in refs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return sorted(outcome)

        assert at_once([f"{tip}:refs/heads/b{n}" for n, tip in enumerate(tips[:2])]) == [0, 0]
        assert at_once([f"{tip}:refs/heads/main" for tip in tips[2:]]) == [0, 1]
        heads = clara.hosted_project("clara/twice").heads
        assert (heads["b0"], heads["b1"]) == (tips[0], tips[1])
        assert heads["main"] in tips[2:]


def test_a_push_that_breaks_off_leaves_nothing(world: World, tmp_path: Path) -> None:
    """A connection that ends in the middle of a push moves no branch, and the next push comes in."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "broken", clara, {"code/a.py": "1\n"})
        before = clara.publish_project(project.root)
        token = clara.hub_token("clara/broken").token
        old = before.heads["main"]
        line = f"{old} {'1' * 40} refs/heads/main\0report-status"
        body = f"{len(line) + 4:04x}{line}0000".encode() + b"PACK\0\0\0\2\0\0\0\5half"
        parts = urlsplit(world.url)
        header = basic(token)["Authorization"]
        head = (
            f"POST /hub/clara/broken/git-receive-pack HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: {header}\r\nContent-Type: application/x-git-receive-pack-request\r\n"
            "Content-Length: 100000\r\n\r\n"
        )
        for _ in range(3):
            with socket.create_connection((parts.hostname, parts.port)) as line_to_hub:
                line_to_hub.sendall(head.encode() + body)
        saved(project.root, clara, {"code/a.py": "2\n"})
        run(project.root, "git", "push", "--quiet", "hub", "main")
        repository = world.repository(clara, "clara/broken")
        assert "main" in clara.hosted_project("clara/broken").heads
        run(repository, "git", "fsck", "--strict")


def test_content_goes_on_where_it_broke_off(world: World, tmp_path: Path) -> None:
    """What came before a connection broke is not sent again, either way."""
    size = 3 << 20
    with world.client("clara") as clara:
        project = project_in(tmp_path / "resumed", clara, {"data/big.bin": os.urandom(size)})
        found = clara.publish_project(project.root)
        key = (project.root / "data/big.bin").readlink().name
        mine = run(project.root, "git", "config", "annex.uuid").strip()
        good, content = basic(clara.hub_token("clara/resumed").token), project.root / "data/big.bin"
        parts, half = urlsplit(world.url), size // 2
        base = f"/hub/clara/resumed/git-annex/{found.annex}/v4"
        head = (
            f"POST {base}/put?key={key}&clientuuid={mine} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: {good['Authorization']}\r\nContent-Type: application/octet-stream\r\n"
            f"X-git-annex-data-length: {size}\r\nContent-Length: {size}\r\n\r\n"
        )
        with socket.create_connection((parts.hostname, parts.port)) as line_to_hub:
            line_to_hub.sendall(head.encode() + content.read_bytes()[:half])
            arrived(world.repository(clara, "clara/resumed"), half // 2)
        run(project.root, "git", "annex", "copy", "--quiet", "--to", "hub", ".")
        run(project.root, "git", "annex", "drop", "--quiet", ".")
        run(project.root, "git", "annex", "get", "--quiet", ".")
        assert content.stat().st_size == size
        began = [act.offset for act in world.moved("project.content-received", found.hosted)]
        assert began[0] == 0
        assert 0 < began[-1] <= half


@pytest.mark.slow
def test_central_is_killed_in_a_push_and_loses_nothing(tmp_path: Path) -> None:
    """Killed at any moment of a push, the hub is whole afterwards, and the same push comes in."""
    with killable(tmp_path) as hub, hub.world.client("clara") as clara:
        project = project_in(tmp_path / "killed", clara, {"code/a.py": "1\n"})
        clara.publish_project(project.root)
        for number in range(0, 6, 2):
            saved(project.root, clara, {"code/a.py": f"{number}\n" + "x" * 300_000 * number})
            words = bearing(clara.hub_token("clara/killed").token)
            pushing = subprocess.Popen(
                ["git", *words, "push", "--no-verify", "--quiet", "hub", "main"],
                cwd=project.root,
                stderr=subprocess.DEVNULL,
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                pushing.wait(0.02 + 0.06 * number)
            hub.kill()
            pushing.wait(60)
            hub.start()
            run(project.root, "git", "push", "--quiet", "--no-verify", "hub", "main")
            head = run(project.root, "git", "rev-parse", "main").strip()
            assert clara.hosted_project("clara/killed").heads["main"] == head
        repository = hub.world.repository(clara, "clara/killed")
        run(repository, "git", "fsck", "--strict")
        clone = clara.clone_project("clara/killed", tmp_path / "again", progress=quiet)
        assert not clone.faults


@pytest.mark.slow
def test_central_is_killed_while_content_comes_and_serves_nothing_half(tmp_path: Path) -> None:
    """What came is not given to anybody; the same copy goes on, and what comes back is whole."""
    size = 3 << 20
    with killable(tmp_path) as hub, hub.world.client("clara") as clara:
        project = project_in(tmp_path / "cut", clara, {"data/big.bin": os.urandom(size)})
        found = clara.publish_project(project.root)
        repository, file = hub.world.repository(clara, "clara/cut"), project.root / "data/big.bin"
        key, whole = file.readlink().name, file.read_bytes()
        mine = run(project.root, "git", "config", "annex.uuid").strip()
        good = basic(clara.hub_token("clara/cut").token)
        parts, base = urlsplit(hub.world.url), f"/hub/clara/cut/git-annex/{found.annex}/v4"
        head = (
            f"POST {base}/put?key={key}&clientuuid={mine} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: {good['Authorization']}\r\nContent-Type: application/octet-stream\r\n"
            f"X-git-annex-data-length: {size}\r\nContent-Length: {size}\r\n\r\n"
        )
        with socket.create_connection((parts.hostname, parts.port)) as line_to_hub:
            line_to_hub.sendall(head.encode() + whole[: size // 2])
            arrived(repository, size // 4)
            hub.kill()
        hub.start()
        good = basic(clara.hub_token("clara/cut").token)
        _, text, _ = answered(hub.world.url, f"{base}/key/{key}?clientuuid={mine}", **good)
        assert text == ""
        assert list((repository / "annex" / "objects").rglob(key)) == []
        run(project.root, "git", "annex", "copy", "--quiet", "--to", "hub", ".")
        run(project.root, "git", "annex", "drop", "--quiet", ".")
        run(project.root, "git", "annex", "get", "--quiet", ".")
        assert file.read_bytes() == whole


@pytest.mark.soak
def test_four_gibibytes_there_and_back_with_the_line_cut_on_the_way(
    world: World, tmp_path: Path
) -> None:
    """Whoever is killed in the middle of a large file goes on from there, in both directions."""
    size, piece = 4 << 30, os.urandom(1 << 24)
    # It takes minutes, and ends by itself.
    faulthandler.cancel_dump_traceback_later()
    with world.client("clara") as clara:
        project = project_in(tmp_path / "large", clara, {"code/a.py": "1\n"})
        with (project.root / "data" / "large.bin").open("wb") as file:
            for number in range(size >> 24):
                file.write(number.to_bytes(8) + piece[8:])
        saved(project.root, clara, {})
        found = clara.publish_project(project.root)
        repository = world.repository(clara, "clara/large")
        cut(project.root, ("copy", "--to", "hub", "."), repository, size // 4)
        run(project.root, "git", "annex", "copy", "--quiet", "--to", "hub", ".")
        run(project.root, "git", "annex", "drop", "--quiet", ".")
        cut(project.root, ("get", "."), project.root / ".git", size // 2)
        run(project.root, "git", "annex", "get", "--quiet", ".")
        run(project.root, "git", "annex", "fsck", "--quiet", ".")
        for kind, least in (("received", size // 8), ("sent", size // 4)):
            moved = world.moved(f"project.content-{kind}", found.hosted)
            assert moved[0].offset == 0
            assert moved[-1].offset > least


def cut(root: Path, words: tuple[str, ...], repository: Path, least: int) -> None:
    """Kill git-annex once so many bytes have gone over."""
    variables = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    with subprocess.Popen(
        ["git-annex", *words, "--quiet"], cwd=root, env=variables, stderr=subprocess.DEVNULL
    ) as process:
        arrived(repository, least)
        process.kill()


class Killable:
    """A central service in a process of its own, at one port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "central"
        initialise(self.folder, "central.test/branchline")
        self._process: subprocess.Popen[str] | None = None
        self._port = "0"
        self.world = World(folder, self.start())
        self.world.enrol("clara")

    def start(self) -> str:
        """Start it; return its address."""
        words = ("central", "serve", "--listen", f"127.0.0.1:{self._port}", "--home")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "branchline", *words, str(self.folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        url = self._process.stdout.readline().split()[-1]
        self._port = url.rpartition(":")[2]
        return url

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def killable(folder: Path) -> Iterator[Killable]:
    """Give a central service that can be killed and started again."""
    hub = Killable(folder)
    try:
        yield hub
    finally:
        hub.kill()
