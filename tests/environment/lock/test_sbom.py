"""The list of parts: CycloneDX by its own schema, and the same bytes for ever."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cyclonedx.schema._res as schemas
from cyclonedx.model.bom import Bom
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from packageurl import PackageURL
from referencing import Registry, Resource
from tests.environment.lock.debian.mirror import COPYRIGHT
from tests.environment.lock.python.index import make_wheel
from tests.environment.lock.samples import LOCKS, SMALL

from branchline.environment.lock.licences import Licence, debian_licences, python_licences
from branchline.environment.lock.model import Lock
from branchline.environment.lock.sbom import Texts, list_of_parts

TEXTS = Texts({"jq": COPYRIGHT}, {"six": "Name: six\nLicense-Expression: MIT OR Apache-2.0\n\n"})


def _validator() -> Draft7Validator:
    folder = Path(schemas.__file__).parent

    def read(name: str) -> Any:
        return json.loads((folder / name).read_text(encoding="utf-8"))

    near = {
        "spdx.schema.json": "spdx.SNAPSHOT.schema.json",
        "jsf-0.82.schema.json": "jsf-0.82.SNAPSHOT.schema.json",
    }
    pairs = [
        (f"http://cyclonedx.org/schema/{at}", Resource.from_contents(read(name)))
        for at, name in near.items()
    ]
    return Draft7Validator(
        read("bom-1.6.SNAPSHOT.schema.json"), registry=Registry().with_resources(pairs)
    )


VALIDATOR = _validator()


@given(LOCKS)
def test_any_list_is_cyclonedx(lock: Lock) -> None:
    """Every list is valid by the published schema, and its package URLs by the library."""
    document = json.loads(list_of_parts(lock, TEXTS))
    VALIDATOR.validate(document)
    for part in document["components"]:
        assert PackageURL.from_string(part["purl"]).to_string() == part["purl"]
        assert PackageURL.from_string(part["purl"]).version == part["version"]


def test_the_library_reads_the_list() -> None:
    """Parts, hashes and licences arrive as they were meant."""
    document = json.loads(list_of_parts(SMALL, TEXTS))
    bom: Bom = Bom.from_json(document)  # type: ignore[attr-defined]
    parts = {part.name: part for part in bom.components}
    assert set(parts) == {"jq", "libc6", "six"}
    assert [h.content for h in parts["jq"].hashes] == ["d" * 64]
    assert {getattr(licence, "id", None) for licence in parts["jq"].licenses} == {
        "MIT",
        "GPL-2.0-or-later",
    }
    assert [getattr(licence, "value", None) for licence in parts["six"].licenses] == [
        "MIT OR Apache-2.0"
    ]
    said = {item["name"]: item["value"] for item in document["components"][1]["properties"]}
    assert said["branchline:source"].startswith("pkg:deb/debian/glibc@2.36-9")
    assert document["metadata"]["timestamp"] == "2025-11-13T02:13:20Z"


def test_a_known_list_stays_as_it_is() -> None:
    """The list is in the image, so its bytes are part of the image's digest, for ever."""
    digest = hashlib.sha256(list_of_parts(SMALL, TEXTS)).hexdigest()
    assert digest == GOLDEN
    assert list_of_parts(SMALL, TEXTS) == list_of_parts(SMALL, TEXTS)
    assert list_of_parts(SMALL, Texts()) != list_of_parts(SMALL, TEXTS)


def test_licences_of_debian_are_read_where_a_machine_can() -> None:
    """Short names become SPDX's where they surely mean the same; free text is left alone."""
    assert debian_licences(COPYRIGHT) == (Licence(id="GPL-2.0-or-later"), Licence(id="MIT"))
    odd = "Format: x\n\nFiles: *\nLicense: GPL-2 or Artistic\n\nLicense: public-domain\n"
    assert debian_licences(odd) == (
        Licence(name="GPL-2 or Artistic"),
        Licence(name="public-domain"),
    )
    assert debian_licences("This is the Debian package of\nsomething free.\n") == ()
    assert debian_licences("") == ()


def test_licences_of_wheels_are_read_in_their_order_of_trust() -> None:
    """The expression, then a short licence, then classifiers."""
    classifiers = "Classifier: License :: OSI Approved :: BSD License\nClassifier: Topic :: X\n"
    assert python_licences(f"Name: x\nLicense-Expression: ISC\nLicense: old\n{classifiers}\n") == (
        Licence(expression="ISC"),
    )
    assert python_licences(f"Name: x\nLicense: MIT\n{classifiers}\n") == (Licence(id="MIT"),)
    assert python_licences(f"Name: x\n{classifiers}\nLicense: in the text\n") == (
        Licence(name="BSD License"),
    )
    assert python_licences("Name: x\n") == ()
    assert make_wheel("x", "1", licence="MIT")


@given(st.text(max_size=300))
def test_any_text_has_some_licences_or_none(text: str) -> None:
    """A package may say anything of itself; the list stays valid."""
    texts = Texts({"jq": "Format: x\n\n" + text}, {"six": text})
    VALIDATOR.validate(json.loads(list_of_parts(SMALL, texts)))


GOLDEN = "8ddbf38b7e369b79d395464ec13f5f484789dfcac1dfdef2e1e46a549887f074"
