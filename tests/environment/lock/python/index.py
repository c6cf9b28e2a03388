"""An index of Python packages on loopback (PEP 691), with wheels made for the test."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_JSON = "application/vnd.pypi.simple.v1+json"


def make_wheel(name: str, version: str, *requires: str, licence: str = "MIT") -> bytes:
    """Return the bytes of a wheel with one module; equal for equal arguments."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
    metadata += f"License-Expression: {licence}\n" + "".join(
        f"Requires-Dist: {r}\n" for r in requires
    )
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return out.getvalue()


@dataclass
class Index:
    """What an index has: `sent` may differ from what it announces.

    Args:
        tells_sizes: Whether it announces sizes; not every index does.
    """

    url: str = ""
    tells_sizes: bool = True
    announced: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        version: str,
        *requires: str,
        tag: str = "py3-none-any",
        uploaded: str = "2024-01-01T00:00:00Z",
    ) -> str:
        """Publish a wheel; return its SHA-256."""
        data = make_wheel(name, version, *requires)
        file = f"{name}-{version}-{tag}.whl"
        sha256 = hashlib.sha256(data).hexdigest()
        said: dict[str, Any] = {"filename": file, "url": f"{self.url}/files/{file}"}
        said |= {"hashes": {"sha256": sha256}, "upload-time": uploaded}
        said |= {"size": len(data)} if self.tells_sizes else {}
        self.announced.setdefault(name, {})[file] = said
        self.sent[file] = data
        return sha256

    def add_source(self, name: str, version: str) -> None:
        """Publish a source distribution alone."""
        file = f"{name}-{version}.tar.gz"
        said = {"filename": file, "url": f"{self.url}/files/{file}", "hashes": {"sha256": "0" * 64}}
        self.announced.setdefault(name, {})[file] = said


@contextmanager
def serving(index: Index) -> Iterator[Index]:
    """Serve an index on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            index.asked.append(self.path)
            place, _, name = self.path.strip("/").partition("/")
            if place == "simple" and name in index.announced:
                files = list(index.announced[name].values())
                meta = {"meta": {"api-version": "1.1"}, "name": name, "files": files}
                self._send(_JSON, json.dumps(meta | {"versions": []}).encode())
            elif place == "files" and name in index.sent:
                self._send("application/octet-stream", index.sent[name])
            else:
                self.send_error(404)

        def _send(self, kind: str, data: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
