"""Bring images to an OCI registry and fetch them from one (OCI distribution-spec, version 1.1).

Layers that the other side has do not travel. What is fetched is believed for its digest only, so a
registry needs no trust; the connection is verified TLS all the same, or plain HTTP on loopback.
"""

from __future__ import annotations

import ipaddress
import json
import netrc
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

from branchline.environment.image import images
from branchline.environment.image.image import (
    MANIFEST_TYPE,
    Documents,
    Image,
    config_digest,
    read_image,
)
from branchline.environment.image.intake import missing_layers, take_image, take_layer
from branchline.environment.image.oci import layer_tar
from branchline.environment.image.store import Store
from branchline.environment.lock.room import room_in
from branchline.foundation.digest import Digest, digest_of, parse_digest, short
from branchline.foundation.errors import Corrupt, NotAllowed, NotFound, Refused, Unavailable

Progress = Callable[[str], None]

_PIECE = 1 << 20
_MOST_DOCUMENT = 16 << 20
_SECONDS = 60
# Names and tags as the specification writes them; a host is a name or address, and a port.
_REFERENCE = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?P<port>:[0-9]{1,5})?"
    r"/(?P<name>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_CHALLENGE = re.compile(r'([a-z]+)="([^"]*)"')


@dataclass(frozen=True)
class Reference:
    """A repository in a registry.

    Args:
        base: Scheme, host and port.
        name: The repository's name.
        tag: A tag, if one was given.
        digest: An image's digest, if one was given.
    """

    base: str
    name: str
    tag: str | None = None
    digest: Digest | None = None


def parse_reference(text: str) -> Reference:
    """Read `[https://]HOST[:PORT]/NAME[:TAG][@DIGEST]`; on loopback also `http://`.

    Raises:
        Refused: It is none, or plain HTTP to another machine.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise Refused(
            f"{text[:120]!r} is not a repository in a registry",
            advice="Write HOST[:PORT]/NAME[:TAG], such as registry.example/team/analysis:v1",
        )
    scheme, host = match["scheme"] or "https", match["host"]
    if scheme == "http" and not _is_loopback(host):
        raise Refused(
            f"{text[:120]!r} is plain HTTP to another machine", advice="Use https:// there"
        )
    digest = parse_digest(match["digest"]) if match["digest"] else None
    return Reference(f"{scheme}://{host}{match['port'] or ''}", match["name"], match["tag"], digest)


def push(
    store: Store, image: Image, to: Reference, *, progress: Progress = lambda sentence: None
) -> int:
    """Bring an image to a registry; return how many of its blobs travelled.

    Raises:
        NotAllowed: The registry wants other credentials.
        Unavailable: It cannot be reached, or refuses.
        Corrupt: A content in the store has changed; the registry was given nothing by that name.
    """
    client = _Client(to)
    found = images.documents_of(store, image.digest)
    travelled = 0
    for number, layer in enumerate(image.layers, 1):
        progress(f"pushing layer {number} of {len(image.layers)}, {layer.title}")
        if not client.has_blob(layer.digest):
            client.put_blob(layer.digest, layer.size, layer_tar(store, layer.digest))
            travelled += 1
    config = digest_of(found.config)
    if not client.has_blob(config):
        client.put_blob(config, len(found.config), [found.config])
        travelled += 1
    client.put_manifest(to.tag or image.digest, found.manifest)
    return travelled


def pull(
    store: Store,
    source: Reference,
    digest: Digest | None = None,
    *,
    progress: Progress = lambda sentence: None,
) -> Image:
    """Fetch an image from a registry; layers the store has are not fetched.

    Args:
        store: Where it goes.
        source: The repository; its tag or digest says which image where `digest` does not.
        digest: The image wanted, as a lock names it.
        progress: Told what is done.

    Raises:
        NotFound: The registry has no such image.
        NotAllowed: It wants other credentials.
        Unavailable: It cannot be reached, or refuses; or the store's disk is full.
        Corrupt: What came is not what the digest says.
        Refused: The image was not built by Branchline.
    """
    client = _Client(source)
    wanted = digest or source.digest
    manifest = client.manifest(wanted or source.tag or "latest")
    if wanted is not None and digest_of(manifest) != wanted:
        raise Corrupt(f"The registry gave another manifest than that of {wanted}")
    config_name = config_digest(manifest)
    config = b"".join(client.blob(config_name, _MOST_DOCUMENT))
    documents = Documents(manifest, config)
    image = read_image(documents, documents.digest)
    with room_in(store.folder), store.building():
        sizes = {layer.digest: layer for layer in image.layers}
        for name in missing_layers(store, image):
            layer = sizes[name]
            progress(f"fetching {layer.title}")
            take_layer(store, name, layer.title, client.blob(name, layer.size))
        return take_image(store, documents, image.digest)


class _Client:
    """Speak with one repository."""

    def __init__(self, to: Reference) -> None:
        self._to = to
        self._authorization: str | None = None
        handlers: list[urllib.request.BaseHandler] = [
            urllib.request.HTTPSHandler(context=ssl.create_default_context()),
            _SafeRedirects(),
        ]
        if _is_loopback(urllib.parse.urlsplit(to.base).hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def has_blob(self, digest: Digest) -> bool:
        """Tell whether the repository has a blob."""
        try:
            with self._ask("HEAD", f"blobs/{digest}"):
                return True
        except NotFound:
            return False

    def put_blob(self, digest: Digest, size: int, pieces: Iterable[bytes]) -> None:
        """Upload a blob in one piece (distribution-spec, "POST then PUT")."""
        with self._ask("POST", "blobs/uploads/", headers={"Content-Length": "0"}) as answer:
            where = urllib.parse.urljoin(answer.url, answer.headers["Location"])
        joined = f"{where}{'&' if '?' in where else '?'}digest={urllib.parse.quote(digest)}"
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        with self._ask("PUT", joined, headers=headers, body=pieces):
            pass

    def put_manifest(self, name: str, manifest: bytes) -> None:
        """Upload a manifest under a tag or its digest."""
        headers = {"Content-Length": str(len(manifest)), "Content-Type": MANIFEST_TYPE}
        with self._ask("PUT", f"manifests/{name}", headers=headers, body=[manifest]):
            pass

    def manifest(self, name: str) -> bytes:
        """Fetch a manifest by tag or digest."""
        with self._ask("GET", f"manifests/{name}", headers={"Accept": MANIFEST_TYPE}) as answer:
            data: bytes = answer.read(_MOST_DOCUMENT + 1)
        if len(data) > _MOST_DOCUMENT:
            raise Corrupt(f"The registry's manifest {name} is too large")
        return data

    def blob(self, digest: Digest, limit: int) -> Iterator[bytes]:
        """Fetch a blob in pieces; whoever takes them checks the digest."""
        left = limit
        with self._ask("GET", f"blobs/{digest}") as answer:
            while piece := answer.read(_PIECE):
                left -= len(piece)
                if left < 0:
                    raise Corrupt(f"The registry's blob {short(digest)} is larger than it must be")
                yield piece

    @contextmanager
    def _ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes] | None = None,
    ) -> Iterator[HTTPResponse]:
        url = path if "://" in path else f"{self._to.base}/v2/{self._to.name}/{path}"
        try:
            with self._open(method, url, headers or {}, body) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from error
        except (OSError, HTTPException) as error:
            raise Unavailable(
                f"The registry {self._to.base} cannot be reached: {error}",
                advice="Try again later",
            ) from error

    def _open(
        self, method: str, url: str, headers: Mapping[str, str], body: Iterable[bytes] | None
    ) -> Any:
        # A body can be given once only, so whoever wants credentials is asked without one first.
        for attempt in range(2):
            request = urllib.request.Request(url, data=body, method=method, headers=dict(headers))
            if self._authorization and url.startswith(self._to.base + "/"):
                request.add_unredirected_header("Authorization", self._authorization)
            try:
                return self._opener.open(request, timeout=_SECONDS)
            except urllib.error.HTTPError as error:
                if error.code != 401 or attempt or body is not None:
                    raise
                self._authorization = self._authorize(error.headers.get("WWW-Authenticate", ""))
        raise AssertionError("the second attempt returns or raises")

    def _authorize(self, challenge: str) -> str:
        """Answer a registry's challenge (RFC 6750, RFC 7617) from the person's .netrc."""
        host = urllib.parse.urlsplit(self._to.base).hostname or ""
        basic = _basic(host)
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and basic:
            return basic
        said = dict(_CHALLENGE.findall(rest))
        realm = said.pop("realm", "")
        if scheme.lower() != "bearer" or not realm.startswith(("https://", self._to.base)):
            raise NotAllowed(
                f"The registry {self._to.base} wants a name and password",
                advice=f"Write them into ~/.netrc, for the machine {host}",
            )
        said["scope"] = f"repository:{self._to.name}:pull,push" if basic else said.get("scope", "")
        request = urllib.request.Request(f"{realm}?{urllib.parse.urlencode(said)}")
        if basic:
            request.add_unredirected_header("Authorization", basic)
        with self._opener.open(request, timeout=_SECONDS) as answer:
            try:
                given = json.loads(answer.read(_MOST_DOCUMENT))
                return f"Bearer {given.get('token') or given['access_token']}"
            except (ValueError, KeyError, AttributeError) as error:
                raise Unavailable(f"The registry {self._to.base} gave no token") from error

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        where = f"The registry {self._to.base}"
        if error.code == 404:
            return NotFound(f"{where} has no such image in {self._to.name}")
        if error.code in (401, 403):
            return NotAllowed(
                f"{where} does not allow this in {self._to.name}",
                advice="It takes its name and password from ~/.netrc",
            )
        return Unavailable(f"{where} answered {error.code}", advice="Try again later")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow a redirection to HTTPS, and on loopback to HTTP; never with a body or credentials."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        parts = urllib.parse.urlsplit(newurl)
        plain_here = parts.scheme == "http" and _is_loopback(parts.hostname or "")
        if parts.scheme != "https" and not plain_here:
            raise Refused(f"The registry leads to {parts.scheme}://{parts.hostname}, unprotected")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _basic(host: str) -> str | None:
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    if found is None:
        return None
    return "Basic " + b64encode(f"{found[0]}:{found[2]}".encode()).decode()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
