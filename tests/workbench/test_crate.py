"""A result as a signed Five Safes RO-Crate: valid for others' tools, whole or refused."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crates import issues
from tests.journey import world

from branchline.cli.root import root
from branchline.foundation.canonical import canonical_json
from branchline.foundation.clock import FixedClock
from branchline.foundation.errors import BranchlineError, Corrupt, Refused
from branchline.workbench.crate.bag import read_bag, write_bag
from branchline.workbench.crate.export import export_crate, verify_crate

ADA = world.IDS["ada"]
CLOCK = FixedClock(world.NOW)
_DONE = "http://schema.org/CompletedActionStatus"
_FAILED = "http://schema.org/FailedActionStatus"


def write_folder(folder: Path, story: world.Story) -> Path:
    """Write a story's result folder."""
    folder.mkdir(parents=True)
    files = {
        "result.arrow": story.payload,
        "evidence.json": canonical_json(world.evidence_of(story)),
        "request.json": canonical_json(story.request),
        "train.tar": story.train.data,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module", params=["parallel", "sequential"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a result's folder."""
    story = world.parallel() if request.param == "parallel" else world.sequential()
    return write_folder(tmp_path_factory.mktemp("results") / request.param, story)


@pytest.fixture(scope="module")
def crate(folder: Path) -> bytes:
    """Give its crate."""
    return export_crate(folder, ADA, CLOCK)


@pytest.fixture(scope="module")
def parallel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a parallel journey in which one station withheld."""
    return write_folder(tmp_path_factory.mktemp("results") / "one", world.parallel())


def graph_of(data: bytes) -> dict[str, dict[str, Any]]:
    """Return the metadata's entities by identifier."""
    _, files = read_bag(data)
    graph = json.loads(files["ro-crate-metadata.json"])["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph), "an identifier is used twice"
    return found


def refs(value: Any) -> Iterator[str]:
    """Yield every identifier that is pointed to."""
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for item in value.values():
            yield from refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from refs(item)


def test_a_crate_verifies_and_names_who_signed_it(crate: bytes) -> None:
    """The same thirteen steps, from the ZIP file alone."""
    signed, report = verify_crate(crate, world.VKEY)
    assert report.verified
    assert signed.keys == ADA.public


def test_the_same_result_gives_the_same_crate(folder: Path, crate: bytes) -> None:
    """Another export at the same moment by the same person has the same bytes."""
    assert export_crate(folder, ADA, CLOCK) == crate


def test_every_file_is_described_and_everything_described_is_there(crate: bytes) -> None:
    """No reference dangles; each payload file but the metadata is an entity."""
    graph, (_, files) = graph_of(crate), read_bag(crate)
    within = {i for e in graph.values() for i in refs(e) if not i.startswith("http")}
    assert within <= set(graph)
    assert set(files) - {"ro-crate-metadata.json"} <= set(graph)


def test_the_phases_of_five_safes_are_there(parallel: Path) -> None:
    """Of each contributor; the station that withheld has a failed check and no execution."""
    graph = graph_of(export_crate(parallel, ADA, CLOCK))
    kinds = {
        (e["agent"]["@id"], e["additionalType"]["@id"].removeprefix("https://w3id.org/shp#"))
        for e in graph.values()
        if e["@type"] == "AssessAction" and e["actionStatus"] == _DONE
    }
    for station in ("north", "south"):
        for phase in ("CheckValue", "ValidationCheck", "SignOff", "DisclosureCheck"):
            assert (f"#station-{station}", phase) in kinds
        assert f"#run-{station}-2" in graph
    assert not [id for id in graph if id.startswith(("#run-west", "#output-west"))]
    failed = [e for e in graph.values() if e.get("actionStatus") == _FAILED]
    assert [e["agent"]["@id"] for e in failed] == ["#station-west"]
    assert graph["./"]["mainEntity"] == {"@id": "workflow/"}


@pytest.mark.slow
def test_a_crate_is_valid_for_the_independent_validator(
    crate: bytes, tmp_path: Path, validator: Path
) -> None:
    """All that RO-Crate 1.2 and Process Run Crate 0.5 demand, by roc-validator.

    What they recommend beyond that, Five Safes settles otherwise: agents are programs, too.
    """
    with zipfile.ZipFile(io.BytesIO(crate)) as archive:
        archive.extractall(tmp_path)
    data = next(tmp_path.iterdir()) / "data"
    text = json.loads((data / "ro-crate-metadata.json").read_text())
    assert text["@context"][0] == "https://w3id.org/ro/crate/1.2/context"
    found = issues(validator, data, "ro-crate-1.2", "process-run-crate-0.5")
    assert [each for each in found if "MUST" in each[1]] == []


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
def test_provenance_is_prov_o_that_other_tools_read(parallel: Path) -> None:
    """The result derives from what was released, and so from the datasets, step by step."""
    from rdflib import RDF, Graph, Namespace, URIRef

    _, files = read_bag(export_crate(parallel, ADA, CLOCK))
    graph = Graph().parse(data=files["provenance.jsonld"].decode(), format="json-ld")
    prov = Namespace("http://www.w3.org/ns/prov#")
    result = URIRef(f"urn:branchline:payload:{world.CONTENT}")
    source = URIRef(f"urn:branchline:dataset:{world.parcel('north', 'data')}")
    assert (source, RDF.type, prov.Entity) in graph
    assert source in set(graph.transitive_objects(result, prov.wasDerivedFrom))
    story = world.parallel()
    acts = [done for done in story.done if done is not None]
    assert len(set(graph.subjects(RDF.type, prov.Activity))) == len(acts)
    assert set(graph.objects(None, prov.wasAssociatedWith)) <= set(
        graph.subjects(RDF.type, prov.Agent)
    )


def test_a_result_that_does_not_verify_is_not_exported(tmp_path: Path) -> None:
    """Neither with other bytes, nor where the evidence lacks something."""
    story = world.parallel()
    folder = write_folder(tmp_path / "r", story)
    (folder / "result.arrow").write_bytes(b"other")
    with pytest.raises(Corrupt, match=r"step 12 \(result\) fails"):
        export_crate(folder, ADA, CLOCK)
    (folder / "evidence.json").unlink()
    with pytest.raises(Refused, match=r"no evidence\.json"):
        export_crate(folder, ADA, CLOCK)


@settings(max_examples=150)
@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed_or_changes_nothing(at: int, bit: int) -> None:
    """Wherever it is: the payload read is the one written, or the crate is refused."""
    files = {"a.txt": b"content " * 9, "b/c.bin": bytes(range(256))}
    whole = write_bag("journey-x", files, "2026-11-21", ADA)
    broken = bytearray(whole)
    broken[at % len(whole)] ^= 1 << bit
    try:
        signed, found = read_bag(bytes(broken))
    except BranchlineError:
        return
    assert found == files
    assert signed.keys == ADA.public


def rewritten(crate: bytes, change: dict[str, bytes | None]) -> bytes:
    """Write a crate anew with other, more or fewer entries."""
    with zipfile.ZipFile(io.BytesIO(crate)) as archive:
        entries: dict[str, bytes | None] = {n: archive.read(n) for n in archive.namelist()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in (entries | change).items():
            if data is not None:
                archive.writestr(name, data)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("j/data/a.txt", b"other", "was changed"),
        ("j/data/a.txt", None, "lacks 'data/a.txt'"),
        ("j/data/more.txt", b"more", "does not list"),
        ("j/bag-info.txt", b"Bagging-Date: 1999-01-01\n", "was changed"),
        ("j/signature.jws", None, "lacks 'signature.jws'"),
        ("j/signature.jws", b"x.y.z", "not a JWS"),
        ("j/../escape", b"x", "not one below"),
        ("/etc/passwd", b"x", "not one below"),
        ("other/data/a.txt", b"x", "not one below"),
    ],
)
def test_what_was_tampered_with_is_named(name: str, data: bytes | None, says: str) -> None:
    """Each in one sentence."""
    crate = rewritten(write_bag("j", {"a.txt": b"a"}, "2026-11-21", ADA), {name: data})
    with pytest.raises(BranchlineError, match=says):
        read_bag(crate)


def test_another_signature_over_another_manifest_is_refused() -> None:
    """A signature cannot be moved from one crate to another."""
    one = write_bag("j", {"a.txt": b"a"}, "2026-11-21", ADA)
    other = write_bag("j", {"a.txt": b"b"}, "2026-11-21", ADA)
    with zipfile.ZipFile(io.BytesIO(other)) as archive:
        signature = archive.read("j/signature.jws")
    with pytest.raises(Corrupt, match="over another manifest"):
        read_bag(rewritten(one, {"j/signature.jws": signature}))


def test_the_commands_export_and_verify(folder: Path, tmp_path: Path) -> None:
    """Offline, from a result's folder to a file and back."""
    file = tmp_path / "crate.zip"
    words = ["journey", "export", str(folder), "--crate", str(file), "--home", str(tmp_path / "h")]
    done = CliRunner().invoke(root, [*words, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["bytes"] == file.stat().st_size
    done = CliRunner().invoke(root, ["verify", str(file), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["verified"] is True
    file.write_bytes(b"PK no zip")
    done = CliRunner().invoke(root, ["verify", str(file)])
    assert done.exit_code != 0
    assert "not a ZIP file" in done.output
