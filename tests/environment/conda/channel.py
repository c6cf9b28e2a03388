"""A conda channel made by the test, and served on loopback."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa

PLACEHOLDER = "/opt/placeholder_" + "_" * 60
"""What stands for the prefix in packages as they are built, long as conda-build's."""


@dataclass
class Package:
    """A package before it is packed.

    Args:
        files: Contents by path; one that begins with "-> " is a link.
        relocated: The paths in which the prefix stands, as ``text`` or ``binary``.
        entry_points: Programs of a package that is for any Python.
        old: In the form from before there were ``.conda`` files, and ``paths.json``.
    """

    name: str
    version: str
    files: Mapping[str, bytes]
    depends: Sequence[str] = ()
    noarch: str = ""
    relocated: Mapping[str, str] = field(default_factory=dict)
    entry_points: Sequence[str] = ()
    old: bool = False
    executable: Sequence[str] = ()
    build: str = "0"

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}-{self.version}-{self.build}{'.tar.bz2' if self.old else '.conda'}"

    @property
    def subdir(self) -> str:
        """Where it stands in a channel."""
        return "noarch" if self.noarch else "linux-64"

    def index(self) -> dict[str, Any]:
        """Return its index entry."""
        said: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": 0,
            "depends": list(self.depends),
            "license": "MIT",
            "subdir": self.subdir,
            "timestamp": 1_600_000_000_000,
        }
        return said | ({"noarch": self.noarch} if self.noarch else {})

    def pack(self) -> bytes:
        """Return the package's bytes."""
        info = {"info/index.json": json.dumps(self.index()).encode()}
        if self.old:
            lines = [f'"{PLACEHOLDER}" {mode} "{path}"' for path, mode in self.relocated.items()]
            info["info/files"] = "\n".join(self.files).encode()
            info["info/has_prefix"] = "\n".join(lines).encode()
        else:
            info["info/paths.json"] = json.dumps(self._paths()).encode()
        if self.entry_points:
            link = {"noarch": {"type": "python", "entry_points": list(self.entry_points)}}
            info["info/link.json"] = json.dumps(link).encode()
        if self.old:
            return bz2.compress(self._tar({**info, **self.files}))
        made = io.BytesIO()
        stem = self.file.removesuffix(".conda")
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
            for part, files in (("info", info), ("pkg", self.files)):
                packed = pa.compress(self._tar(files), "zstd", asbytes=True)
                archive.writestr(f"{part}-{stem}.tar.zst", packed)
        return made.getvalue()

    def _paths(self) -> dict[str, Any]:
        paths = []
        for path, content in self.files.items():
            link = content.startswith(b"-> ")
            said = {"_path": path, "path_type": "softlink" if link else "hardlink"}
            said["sha256"] = hashlib.sha256(b"" if link else content).hexdigest()
            if path in self.relocated:
                said |= {"prefix_placeholder": PLACEHOLDER, "file_mode": self.relocated[path]}
            paths.append(said)
        return {"paths": paths, "paths_version": 1}

    def _tar(self, files: Mapping[str, bytes]) -> bytes:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                if content.startswith(b"-> "):
                    member.type, member.linkname = tarfile.SYMTYPE, content[3:].decode()
                    archive.addfile(member)
                    continue
                member.size, member.mtime = len(content), 1_600_000_000
                member.mode = 0o755 if name in self.executable else 0o644
                archive.addfile(member, io.BytesIO(content))
        return made.getvalue()


def write_channel(folder: Path, packages: Sequence[Package]) -> None:
    """Write a channel: packages, and the lists of both its parts."""
    listed: dict[str, dict[str, Any]] = {}
    for subdir in ("linux-64", "noarch"):
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        listed[subdir] = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}}
    for package in packages:
        data = package.pack()
        (folder / package.subdir / package.file).write_bytes(data)
        said = package.index() | {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        said["md5"] = hashlib.md5(data, usedforsecurity=False).hexdigest()
        kind = "packages" if package.old else "packages.conda"
        listed[package.subdir][kind][package.file] = said
    for subdir, said in listed.items():
        (folder / subdir / "repodata.json").write_text(json.dumps(said))


class Server:
    """Serves a folder of channels over HTTP."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        handler = partial(_Quiet, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


PYTHON = Package(
    "python",
    "3.11.2",
    {
        "bin/python3.11": b"-> /usr/bin/python3.11",
        "bin/python": b"-> python3.11",
        "pyvenv.cfg": b"home = /usr/bin\ninclude-system-site-packages = false\n",
        "lib/python3.11/site-packages/README.txt": b"packages of conda's\n",
        "lib/python3.11/__pycache__/old.cpython-311.pyc": b"with the time of a file",
    },
)
"""Conda's Python as far as a test needs one: the image's own, at home in the prefix."""
TOOL = Package(
    "tool",
    "1.2",
    {
        "bin/tool": f"#!/bin/sh\necho {PLACEHOLDER}/share\n".encode(),
        "lib/tool.bin": b"\x7fELF\0"
        + PLACEHOLDER.encode()
        + b"/lib:"
        + PLACEHOLDER.encode()
        + b"/lib64\0after\0",
        "bin/.tool-post-link.sh": b"echo linked > $PREFIX/messages\n",
    },
    relocated={"bin/tool": "text", "lib/tool.bin": "binary"},
    executable=["bin/tool"],
    old=True,
)
PURE = Package(
    "pure-thing",
    "2.0",
    {
        "site-packages/pure_thing/__init__.py": b"def main():\n    print('pure', __file__)\n",
        "site-packages/pure_thing-2.0.dist-info/METADATA": b"Name: pure-thing\nVersion: 2.0\n",
        "python-scripts/also-pure": b"#!/bin/sh\necho also\n",
    },
    depends=["python >=3.9", "tool"],
    noarch="python",
    entry_points=["pure = pure_thing:main"],
    executable=["python-scripts/also-pure"],
)
PACKAGES = (PYTHON, TOOL, PURE)
