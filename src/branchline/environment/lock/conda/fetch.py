"""Fetch conda's packages into a pool, several at once, by the lock's hashes."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

from branchline.environment.lock.conda.channels import address_of
from branchline.environment.lock.model import CondaPackage
from branchline.environment.lock.pool import Pool
from branchline.environment.lock.python.fetch import Opener
from branchline.foundation.disk import is_full
from branchline.foundation.errors import NotFound, Unavailable

_AT_ONCE = 8
_PIECE = 1 << 18
_GONE = (404, 410)
_OFFERS = (
    "Bring the files from a store that has them ('environment export' and 'import'), or take what "
    "the channel has now with 'lock --upgrade'"
)


def fetch_conda(packages: Sequence[CondaPackage], pool: Pool) -> None:
    """Fetch packages from where this machine has their channels; what is there is not fetched.

    Raises:
        NotFound: A channel no longer has a package.
        Corrupt: What came has another hash, or was cut short.
        Unavailable: A channel cannot be reached.
    """
    opener = Opener()
    with pool.scratch() as folder, ThreadPoolExecutor(_AT_ONCE) as threads:
        jobs = [
            threads.submit(_fetch_one, package, opener, folder / package.file, pool)
            for package in packages
            if not pool.has(package.sha256)
        ]
        for job in jobs:
            job.result()


def _fetch_one(package: CondaPackage, opener: Opener, file: Path, pool: Pool) -> None:
    what = f"{package.subdir}/{package.file}"
    try:
        with opener.open(f"{address_of(package.channel)}{what}") as answer, file.open("wb") as out:
            while piece := answer.read(_PIECE):
                out.write(piece)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _GONE:
            raise _gone(package, what) from error
        raise Unavailable(
            f"{what} cannot be fetched: the conda channel {package.channel} says {error.code}"
        ) from error
    except FileNotFoundError as error:
        raise _gone(package, what) from error
    except (OSError, ValueError, HTTPException) as error:
        if isinstance(error, OSError) and is_full(error):
            raise
        raise Unavailable(
            f"The conda channel {package.channel} cannot be reached: {error}",
            advice="Try again with the network, or build with --offline where the store has it all",
        ) from error
    pool.adopt(file, package.sha256, package.size, f"The conda package {package.file}")


def _gone(package: CondaPackage, what: str) -> NotFound:
    return NotFound(f"The conda channel {package.channel} no longer has {what}", advice=_OFFERS)
