"""The list of an environment's parts as CycloneDX 1.6 has it (ECMA-424).

It follows from the lock and from texts inside the packages that the lock names, and from nothing
else, because it is a part of the image, whose digest must come out the same for ever. So it is
written here, member by member; tests hold it against CycloneDX's own schema and libraries.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from branchline.environment.lock.debian.versions import without_rebuild
from branchline.environment.lock.licences import (
    Licence,
    conda_licences,
    debian_licences,
    python_licences,
)
from branchline.environment.lock.model import CondaPackage, DebianPackage, Lock, Wheel, source_of

SBOM_NAME = "sbom.cdx.json"

_UNKNOWN = uuid.UUID("7f1f6a52-6f0a-5c55-9a67-6a4f7b0f2c11")
"""The namespace of serial numbers (RFC 9562 §5.5); chosen once."""


@dataclass(frozen=True)
class Texts:
    """What packages say of themselves.

    Args:
        copyrights: Debian's copyright files, by package.
        metadata: Wheels' METADATA, by normalised name.
    """

    copyrights: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def list_of_parts(lock: Lock, texts: Texts) -> bytes:
    """Return the list of a lock's parts: JSON, the same bytes for the same lock and texts."""
    root = f"lock:{lock.digest}"
    parts = [*_debian(lock, texts), *_conda(lock), *_python(lock, texts)]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_UNKNOWN, lock.digest)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(lock.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "container",
                "bom-ref": root,
                "name": "branchline-environment",
                "version": lock.digest,
            },
            "properties": _properties(
                {
                    "lock": lock.digest,
                    "recipe": str(lock.recipe),
                    "suite": lock.debian.suite,
                    "architecture": lock.debian.architecture,
                }
            ),
        },
        "components": parts,
        "dependencies": [{"ref": root, "dependsOn": sorted(part["bom-ref"] for part in parts)}],
    }
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def deb_url(package: DebianPackage, suite: str) -> str:
    """Return a Debian package's URL (purl), ``pkg:deb/debian/…``."""
    said = {"arch": package.architecture, "distro": suite}
    return _purl("deb/debian", package.name, package.version, said)


def source_url(package: DebianPackage, suite: str) -> str:
    """Return the URL of the source that a Debian package was built from."""
    version = package.source_version or without_rebuild(package.version)
    return _purl("deb/debian", source_of(package), version, {"arch": "source", "distro": suite})


def wheel_url(wheel: Wheel) -> str:
    """Return a Python distribution's URL (purl), ``pkg:pypi/…``."""
    return _purl("pypi", wheel.name, wheel.version, {"file_name": wheel.file})


def conda_url(package: CondaPackage) -> str:
    """Return a conda package's URL (purl), ``pkg:conda/…``."""
    said = {"build": package.build, "channel": package.channel, "subdir": package.subdir}
    kind = "conda" if package.file.endswith(".conda") else "tar.bz2"
    return _purl("conda", package.name, package.version, said | {"type": kind})


def _conda(lock: Lock) -> Iterator[dict[str, Any]]:
    for package in sorted(lock.conda.packages if lock.conda else (), key=lambda p: p.name):
        said = {
            "requested": "yes" if package.requested else "no",
            "file": package.file,
            "channel": package.channel,
            "subdir": package.subdir,
            "build": package.build,
        }
        yield _part(package, conda_url(package), conda_licences(package.licence), said)


def _debian(lock: Lock, texts: Texts) -> Iterator[dict[str, Any]]:
    suite = lock.debian.suite
    for package in sorted(lock.debian.packages, key=lambda p: (p.name, p.architecture)):
        licences = debian_licences(texts.copyrights.get(package.name, ""))
        said = {
            "licence-file": f"/usr/share/doc/{package.name}/copyright",
            "part": package.part,
            "requested": "yes" if package.requested else "no",
            "suite": package.suite,
            "path": package.path,
            "source": source_url(package, suite),
        }
        yield _part(package, deb_url(package, suite), licences, said)


def _python(lock: Lock, texts: Texts) -> Iterator[dict[str, Any]]:
    for wheel in sorted(lock.python.wheels if lock.python else (), key=lambda w: w.name):
        licences = python_licences(texts.metadata.get(wheel.name, ""))
        said = {"requested": "yes" if wheel.requested else "no", "file": wheel.file}
        yield _part(wheel, wheel_url(wheel), licences, said)


def _part(
    package: DebianPackage | Wheel | CondaPackage,
    url: str,
    licences: Iterable[Licence],
    said: Mapping[str, str],
) -> dict[str, Any]:
    part: dict[str, Any] = {
        "type": "library",
        "bom-ref": url,
        "name": package.name,
        "version": package.version,
        "purl": url,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
        "properties": _properties({**said, "size": str(package.size)}),
    }
    if found := list(licences):
        part["licenses"] = [_licence(licence) for licence in found]
    return part


def _licence(licence: Licence) -> dict[str, Any]:
    if licence.expression:
        return {"expression": licence.expression}
    return {"license": {"id": licence.id} if licence.id else {"name": licence.name}}


def _properties(said: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"branchline:{name}", "value": said[name]} for name in sorted(said)]


def _purl(kind: str, name: str, version: str, said: Mapping[str, str]) -> str:
    """Write a package URL: everything but letters, digits and ``.-_~`` is escaped, ``:`` is not."""
    qualifiers = "&".join(f"{key}={_escaped(said[key])}" for key in sorted(said))
    return f"pkg:{kind}/{_escaped(name)}@{_escaped(version)}?{qualifiers}"


def _escaped(text: str) -> str:
    return quote(text, safe=":")
