"""Fetch wheels into a pool, several at once, by the lock's hashes."""

from __future__ import annotations

import base64
import netrc
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.response import addinfourl

from branchline.environment.lock.model import Sha256
from branchline.environment.lock.pool import Pool
from branchline.environment.lock.python.pylock import NamedWheel, Target, every_url
from branchline.environment.lock.python.uv import Question, compile_pylock, variables
from branchline.foundation.disk import is_full
from branchline.foundation.errors import BranchlineError, Corrupt, NotFound, Unavailable

OFFERS = (
    "Bring the files from a store that has them ('environment export' and 'import'), or take what "
    "the index has now with 'lock --upgrade'"
)
"""What can be done about an index that moved on."""

_AGAIN = "Try again with the network, or set the index in pip's configuration"
_AT_ONCE = 8
_SECONDS = 120
_PIECE = 1 << 18
_SCHEMES = ("http", "https", "file")
_GONE = (404, 410)
_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")


def fetch_wheels(
    wheels: Sequence[NamedWheel], pool: Pool, target: Target, *, offline: bool = False
) -> None:
    """Fetch wheels: from where they were just found, else from where this machine's index has them.

    Args:
        wheels: What to fetch; a size that is None is not checked, the hash always is.
        pool: Takes the files.
        target: The Python they are for.
        offline: Ask nobody.

    Raises:
        NotFound: A wheel is no longer where it was, and no index at hand has it.
        Corrupt: What came has another hash, or was cut short.
        Unavailable: No index can be reached.
    """
    wanted = [wheel for wheel in wheels if not pool.has(wheel.sha256)]
    if not wanted:
        return
    if offline:
        raise NotFound(f"{wanted[0].file} is not in the store", advice="Lock once with the network")
    placed = [wheel for wheel in wanted if wheel.url]
    failed = _fetch_all(placed, pool)
    failed |= {w: NotFound(f"The index no longer has {w.file}") for w in wanted if not w.url}
    if failed:
        failed = _search(failed, pool, target)
    if failed:
        absent = sorted(wheel.file for wheel in failed)
        error = failed[min(failed, key=lambda wheel: wheel.file)]
        advice = _AGAIN if isinstance(error, Unavailable) else OFFERS
        raise type(error)(error.refused, advice=advice, detail={"absent": absent}) from error


def _fetch_all(wheels: Sequence[NamedWheel], pool: Pool) -> dict[NamedWheel, BranchlineError]:
    """Fetch what can be fetched; return the rest, each with its reason."""
    opener = Opener()
    failed: dict[NamedWheel, BranchlineError] = {}
    with pool.scratch() as folder, ThreadPoolExecutor(_AT_ONCE) as threads:
        jobs = {
            wheel: threads.submit(_fetch_one, wheel, opener, folder / wheel.file, pool)
            for wheel in wheels
        }
        for wheel, job in jobs.items():
            try:
                job.result()
            except (NotFound, Corrupt, Unavailable) as error:
                failed[wheel] = error
    return failed


def _fetch_one(wheel: NamedWheel, opener: Opener, file: Path, pool: Pool) -> None:
    try:
        with opener.open(wheel.url) as answer, file.open("wb") as out:
            while piece := answer.read(_PIECE):
                out.write(piece)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _GONE:
            raise NotFound(f"The index no longer has {wheel.file}") from error
        raise Unavailable(f"{wheel.file} cannot be fetched: the index says {error.code}") from error
    except FileNotFoundError as error:
        raise NotFound(f"The index no longer has {wheel.file}") from error
    except (OSError, ValueError, HTTPException) as error:
        if isinstance(error, OSError) and is_full(error):
            raise
        if isinstance(getattr(error, "reason", None), FileNotFoundError):
            raise NotFound(f"The index no longer has {wheel.file}") from error
        raise Unavailable(f"{wheel.file} cannot be fetched: {error}") from error
    size = wheel.size if wheel.size is not None else file.stat().st_size
    pool.adopt(file, wheel.sha256, size, wheel.file)


def _search(
    wheels: Mapping[NamedWheel, BranchlineError], pool: Pool, target: Target
) -> dict[NamedWheel, BranchlineError]:
    """Fetch wheels from where this machine's own index has them; return the rest with reasons.

    Args:
        wheels: Each with why it was not had without asking.
        pool: Takes the files.
        target: The Python they are for.
    """
    places, unreachable = _places(list(wheels), target)
    found = [replace(w, url=places[w.sha256]) for w in wheels if w.sha256 in places]
    failed = _fetch_all(found, pool)
    for wheel, why in wheels.items():
        if wheel.sha256 not in places:
            failed[wheel] = unreachable if isinstance(why, NotFound) and unreachable else why
    return failed


def _places(
    wheels: Sequence[NamedWheel], target: Target
) -> tuple[Mapping[Sha256, str], Unavailable | None]:
    """Ask the index where the very same wheels are: all at once, or one by one if some are gone."""
    question = Question(
        requirements=[f"{wheel.name}=={wheel.version}" for wheel in wheels],
        constraints=(),
        python=target.python,
        platform=target.uv_platform,
        alone=True,
    )
    try:
        return every_url(compile_pylock(question)), None
    except Unavailable as error:
        return {}, error
    except BranchlineError:
        if len(wheels) == 1:
            return {}, None
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = list(threads.map(lambda wheel: _places([wheel], target), wheels))
    places = {sha256: place for found, _ in answers for sha256, place in found.items()}
    return places, next((error for _, error in answers if error), None)


class Opener:
    """Opens URLs with the machine's certificates, proxies and credentials."""

    def __init__(self) -> None:
        said = variables()
        self._context = ssl.create_default_context(cafile=said.get("SSL_CERT_FILE"))
        self._credentials = credentials(said)

    def open(self, place: str) -> addinfourl:
        url = Path(place).as_uri() if place.startswith("/") else place
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES:
            raise FileNotFoundError(place)
        request = urllib.request.Request(url)
        if credentials := self._credentials.get(parts.hostname or ""):
            request.add_unredirected_header("Authorization", f"Basic {credentials}")
        handlers = [urllib.request.HTTPSHandler(context=self._context)]
        found: addinfourl = urllib.request.build_opener(*handlers).open(request, timeout=_SECONDS)
        return found


def credentials(said: Mapping[str, str]) -> dict[str, str]:
    """Return what hosts want to know of us: from the indexes' own URLs, and from netrc files."""
    found: dict[str, str] = {}
    try:
        for host, (login, _, password) in netrc.netrc(os.environ.get("NETRC")).hosts.items():
            found[host] = _basic(login, password or "")
    except (OSError, netrc.NetrcParseError):
        pass  # no such file, or one that its owner must mend: the index will say so
    for name in _INDEXES:
        for url in said.get(name, "").split():
            parts = urlsplit(url)
            if parts.hostname and parts.username:
                found[parts.hostname] = _basic(
                    unquote(parts.username), unquote(parts.password or "")
                )
    return found


def _basic(login: str, password: str) -> str:
    return base64.b64encode(f"{login}:{password}".encode()).decode()
