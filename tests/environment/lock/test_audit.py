"""Known weaknesses: which versions have them, and what is said where nobody knows."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.environment.lock.conftest import Shelf
from tests.environment.lock.debian.mirror import NEXT_DAY, Mirror
from tests.environment.lock.samples import SMALL

from branchline.environment.lock.audit.audit import ADVISORIES, TRACKER, audit
from branchline.environment.lock.audit.osv import known_to_advisories, read_advisories
from branchline.environment.lock.audit.tracker import known_to_tracker, read_tracker
from branchline.environment.lock.debian.machine import Machine
from branchline.environment.lock.debian.resolve import lock_debian
from branchline.environment.lock.model import PythonPart
from branchline.environment.lock.suites import SUITES
from branchline.foundation.errors import Refused

NOWHERE = Machine("amd64", ())


def issue(status: str, fixed: str | None = None, **more: str) -> dict[str, Any]:
    """Return one issue as the tracker writes it, with members nobody here reads."""
    release = {"status": status, "repositories": {"bookworm": "1"}, **more}
    release |= {} if fixed is None else {"fixed_version": fixed}
    return {"scope": "remote", "description": "A\n hole.", "releases": {"bookworm": release}}


def advisory(**more: Any) -> dict[str, Any]:
    """Return an advisory about six, of which the lock has 1.17.0."""
    affected = {"package": {"ecosystem": "PyPI", "name": "Six"}} | more
    return {"id": "PYSEC-1", "modified": "x", "summary": "A hole.", "affected": [affected]}


def ranged(*events: dict[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    """Return the part of an advisory that says which versions it is about."""
    return {"ranges": [{"type": kind, "events": list(events)}]}


def python_part() -> PythonPart:
    """Return Python's part of the small lock."""
    assert SMALL.python is not None
    return SMALL.python


def versions() -> dict[str, str]:
    """Return the versions of the wheels of a sample."""
    return {wheel.name: wheel.version for wheel in python_part().wheels}


def test_the_tracker_is_held_against_source_versions() -> None:
    """Mended before, mended later, open, never there, another suite: each is told apart."""
    data = {
        "glibc": {
            "CVE-1": issue("resolved", "2.36-9+deb12u14", urgency="high"),
            "CVE-2": issue("resolved", "2.36-9+deb12u13"),
            "CVE-3": issue("resolved", "0"),
            "CVE-4": issue("open", urgency="low"),
            "CVE-5": {"releases": {"trixie": {"status": "open"}}},
            "CVE-6": issue("undetermined"),
        },
        "jq": {"CVE-7": issue("resolved", "1.6-2.1")},
        "other": {"CVE-8": issue("open")},
    }
    tracker = read_tracker(json.dumps(data).encode())
    found = {weakness.id: weakness for weakness in known_to_tracker(SMALL.debian, tracker)}
    assert set(found) == {"CVE-1", "CVE-4", "CVE-6"}
    assert found["CVE-1"].fixed == "2.36-9+deb12u14"
    assert found["CVE-1"].packages == ("libc6",)
    assert found["CVE-1"].summary == "A hole."
    assert (found["CVE-4"].fixed, found["CVE-4"].urgency) == ("", "low")


@pytest.mark.parametrize("data", [b"", b"[]", b'{"a": 1}', b'{"a": {"b": {"releases": []}}}'])
def test_other_data_are_not_taken_for_the_trackers(data: bytes) -> None:
    """One sentence says what was expected."""
    with pytest.raises(Refused, match="not the Debian security tracker's data"):
        read_tracker(data)


@pytest.mark.parametrize(
    ("affected", "fixed"),
    [
        (ranged({"introduced": "0"}, {"fixed": "1.18"}), "1.18"),
        (ranged({"introduced": "0"}, {"fixed": "1.17"}), None),
        (ranged({"introduced": "1.17.0"}), ""),
        (ranged({"introduced": "1.17.1"}, {"fixed": "2"}), None),
        (ranged({"introduced": "0"}, {"last_affected": "1.17.0"}), ""),
        (ranged({"introduced": "0"}, {"last_affected": "1.16"}), None),
        (
            ranged(
                {"introduced": "1.17"}, {"fixed": "1.19"}, {"introduced": "0"}, {"fixed": "1.2"}
            ),
            "1.19",
        ),
        (ranged({"introduced": "0"}, {"fixed": "abc"}, kind="GIT"), None),
        ({"versions": ["1.16.0", "1.17"]}, ""),
        ({"versions": ["1.17.0"]} | ranged({"fixed": "1.18"}, {"fixed": "1.3"}, kind="X"), "1.18"),
        ({"versions": ["1.16.0", "not a version"]}, None),
    ],
)
def test_advisories_are_held_against_versions(
    tmp_path: Path, affected: dict[str, Any], fixed: str | None
) -> None:
    """From where a weakness came in up to where it went, as the schema says."""
    file = tmp_path / "one.json"
    file.write_text(json.dumps(advisory(**affected)))
    found = list(known_to_advisories(versions(), read_advisories(file)))
    assert [weakness.fixed for weakness in found] == ([] if fixed is None else [fixed])


def test_other_ecosystems_and_withdrawn_advisories_do_not_count(tmp_path: Path) -> None:
    """A name means another thing elsewhere, and what was taken back is no weakness."""
    weak = ranged({"introduced": "0"})
    elsewhere = advisory(**weak, package={"ecosystem": "npm", "name": "six"})
    withdrawn = advisory(**weak) | {"withdrawn": "2025-01-01T00:00:00Z"}
    (tmp_path / "all.json").write_text(json.dumps([elsewhere, withdrawn]))
    assert not list(known_to_advisories(versions(), read_advisories(tmp_path)))


def test_advisories_come_as_folder_archive_or_file(tmp_path: Path) -> None:
    """However they were brought, they say the same."""
    text = json.dumps(advisory(**ranged({"introduced": "0"})))
    folder = tmp_path / "folder" / "deeper"
    folder.mkdir(parents=True)
    (folder / "one.json").write_text(text)
    (folder / "README").write_text("no advisory")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("one.json", text)
    (tmp_path / "list.json").write_text(f"[{text}]")
    for name in ("folder", "all.zip", "list.json"):
        assert [found.id for found in read_advisories(tmp_path / name)] == ["PYSEC-1"], name
    (folder / "two.json").write_text("{}")
    with pytest.raises(Refused, match=r"two\.json is not an advisory"):
        list(read_advisories(tmp_path / "folder"))


def test_a_damaged_archive_of_advisories_is_refused_by_name(tmp_path: Path) -> None:
    """Wherever the damage is, and never as a crash of the reader."""
    place = tmp_path / "all.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.json", json.dumps(advisory(affected=[])))
    good = place.read_bytes()
    said = []
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        place.write_bytes(bytes(bad))
        try:
            list(read_advisories(place))
        except Refused as error:
            said.append(error.refused)
    assert len(said) > len(good) // 4
    assert [text for text in said if "all.zip" not in text and ".json" not in text] == []


def test_what_was_not_at_hand_is_said(shelf: Shelf) -> None:
    """Silence is not safety: each kind of data that was missing has its line."""
    report = audit(SMALL, shelf, machine=NOWHERE, offline=True)
    assert [data.at_hand for data in report.data] == [False, False, False]
    assert not report.can_be_mended
    assert "no weakness of a wheel can be known" in report.data[1].detail


def test_data_in_the_store_are_found(shelf: Shelf) -> None:
    """Whoever puts data into the store need not name them again."""
    folder = shelf.folder / "audit"
    (folder / ADVISORIES).mkdir(parents=True)
    text = json.dumps(advisory(**ranged({"introduced": "0"}, {"fixed": "1.18"})))
    (folder / ADVISORIES / "one.json").write_text(text)
    (folder / TRACKER).write_text(json.dumps({"jq": {"CVE-7": issue("open")}}))
    report = audit(SMALL, shelf, machine=NOWHERE, offline=True)
    assert [(w.part, w.name, w.fixed) for w in report.weaknesses] == [
        ("debian", "jq", ""),
        ("python", "six", "1.18"),
    ]
    assert report.can_be_mended


def test_security_updates_are_found_in_the_lists(shelf: Shelf, mirror: Mirror) -> None:
    """What the security suite has newer is told apart from other news."""
    machine, suite = mirror.machine(), SUITES["bookworm"]
    part = lock_debian(["one", "two"], suite, machine, shelf.folder / "apt", shelf.debs).part
    lock = msgspec.structs.replace(SMALL, debian=part, python=None)
    mirror.add("one", "1.1-1", suite="bookworm-security")
    mirror.add("one", "1.2-1")
    mirror.add("two", "1.1-1", suite="bookworm-updates")
    mirror.publish(NEXT_DAY)
    assert not audit(lock, shelf, machine=machine, offline=True).updates
    report = audit(lock, shelf, machine=machine)
    assert [(u.name, u.after, u.security) for u in report.updates] == [
        ("one", "1.2-1", True),
        ("two", "1.1-1", False),
    ]
    assert report.can_be_mended
    assert report.data[1].at_hand, "no Python part, nothing to be missing"
    assert report.data[2].detail == "of 2025-01-02 08:00 UTC"
