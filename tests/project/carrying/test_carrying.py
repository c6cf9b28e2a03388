"""A project goes into one file and comes back whole; a file that is not what it says is refused."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.project.conftest import Scene, quiet

from branchline.foundation.errors import BranchlineError, Conflict, Corrupt, NotFound, Refused
from branchline.project.activity.verify import verify
from branchline.project.carrying.bring import Brought, bring
from branchline.project.carrying.export import Exported, export
from branchline.project.carrying.form import BUNDLE, MANIFEST
from branchline.project.carrying.judging import judged
from branchline.project.carrying.reading import opened

RULE = """
[places.north]
address = "https://north.example.org"

[[data]]
paths = ["data/inner"]
confidentiality = "internal"
allowed = ["north"]
"""


def exported(scene: Scene, name: str = "wear.zip", **options: object) -> Exported:
    """Export."""
    with scene.project.working() as project:
        file = scene.root.parent / name
        return export(project, scene.identity, file, quiet, **options)  # type: ignore[arg-type]


@pytest.fixture
def full(scene: Scene) -> Scene:
    """A project with code, data in several versions, a branch, and something not saved yet."""
    scene.write("code/fit.py", "print(1)\n")
    scene.write("data/wear.csv", "one\n")
    scene.write("data/scan.bin", bytes(range(256)) * 20)
    scene.save("first")
    scene.git("branch", "aside")
    scene.write("data/wear.csv", "two\n")
    scene.save("second")
    scene.write("code/new.py", "not saved yet\n")
    return scene


def again(scene: Scene, name: str = "wear.zip") -> Brought:
    """Import what was exported."""
    return bring(scene.root.parent / name, scene.root.parent / "again", quiet)


def test_there_and_back_without_loss(full: Scene) -> None:
    """Same commits, same records, same contents of every version; git-annex agrees."""
    done = exported(full)
    assert done.saved
    back = again(full)
    new = Scene(back.project.root, full.identity)
    for ref in ("HEAD", "main", "aside"):
        assert new.git("rev-parse", ref) == full.git("rev-parse", ref)
    assert back.checked.faults == []
    assert back.checked.records == verify(full.project).records == done.manifest.records
    assert (new.root / "data/wear.csv").read_text() == "two\n"
    assert (new.root / "data/scan.bin").read_bytes() == bytes(range(256)) * 20
    assert (new.root / "code/new.py").read_text() == "not saved yet\n"
    new.git("checkout", "-q", "aside")
    assert (new.root / "data/wear.csv").read_text() == "one\n"
    new.annex("fsck", "--quiet")
    assert str(new.project.annex.uuid) in new.annex("whereis", "--json", "data/wear.csv")
    assert new.git("status", "--porcelain") == ""
    assert new.git("remote") == ""


def test_a_crate_holds_the_files_too_and_comes_back(full: Scene) -> None:
    """Other programs see files; import takes the project out again."""
    exported(full, crate=True)
    with zipfile.ZipFile(full.root.parent / "wear.zip") as archive:
        text = json.loads(archive.read("ro-crate-metadata.json"))
        assert archive.read("files/code/fit.py") == b"print(1)\n"
        names = set(archive.namelist())
    graph = {each["@id"]: each for each in text["@graph"]}
    assert graph["ro-crate-metadata.json"]["conformsTo"]["@id"] == "https://w3id.org/ro/crate/1.2"
    assert {part["@id"] for part in graph["./"]["hasPart"]} <= names
    assert graph["files/code/fit.py"]["contentSize"] == "9"
    assert again(full).checked.faults == []


def test_what_is_missing_or_may_not_leave_is_named(full: Scene) -> None:
    """A rule counts unless somebody says otherwise; an unknown place may not have it."""
    full.write("data/inner/list.csv", "inner\n")
    text = (full.root / "branchline.toml").read_text()
    full.write("branchline.toml", text + RULE)
    full.save()
    full.annex("drop", "--force", "--quiet", "data/scan.bin")
    held = exported(full).manifest
    assert [each.paths for each in held.left_out] == [("data/inner/list.csv",)]
    assert "no rule says what this place is" in held.left_out[0].why
    assert [each.paths for each in held.missing] == [("data/scan.bin",)]
    back = again(full)
    assert not (back.project.root / "data/inner/list.csv").exists()
    assert (back.project.root / "data/inner/list.csv").is_symlink()
    assert exported(full, "to.zip", to="north").manifest.left_out == ()
    assert exported(full, "all.zip", everything=True).manifest.left_out == ()
    with pytest.raises(NotFound, match=r"scan\.bin"):
        exported(full, "complete.zip", complete=True)
    with pytest.raises(NotFound, match="No rule knows"):
        exported(full, "nowhere.zip", to="nowhere")
    with pytest.raises(Conflict, match="There is something at"):
        exported(full)
    with pytest.raises(Refused, match="cannot lie in the project"):
        exported(full, "project/inside.zip")
    assert sorted(p.name for p in full.root.parent.glob("*.zip")) == [
        "all.zip",
        "to.zip",
        "wear.zip",
    ]


def test_names_that_other_systems_cannot_hold_are_refused_now_and_spelled_out_if_they_are_past(
    full: Scene,
) -> None:
    """An export that nobody could take in again is none; what was renamed since stands in no way."""
    odd = os.fsdecode(b"data/caf\xe9.bin")
    full.save()
    full.git("mv", "data/scan.bin", odd)
    full.git("commit", "-q", "-m", "as others did it")
    with pytest.raises(Refused, match="data/caf"):
        exported(full, crate=True)
    full.git("mv", odd, "data/coffee.bin")
    full.git("commit", "-q", "-m", "renamed")
    full.annex("drop", "--force", "--quiet", "data/wear.csv")
    held = exported(full, crate=True).manifest
    assert [each.paths for each in held.missing] == [("data/wear.csv",)]
    with judged(full.root.parent / "wear.zip", quiet) as (found, _):
        assert found.good, found.judgements
    assert again(full).checked.faults == []


def test_damaged_content_is_not_exported(full: Scene) -> None:
    """It would be taken for what it is not."""
    place = (full.root / "data/wear.csv").resolve()
    place.chmod(0o644)
    place.write_text("TWO\n")
    with pytest.raises(Corrupt, match="is damaged"):
        exported(full)
    assert not list(full.root.parent.glob("*.zip"))
    assert not list(full.root.parent.glob(".*.tmp"))


def changed(
    file: Path,
    *,
    replace: dict[str, bytes] | None = None,
    remove: str = "",
    add: dict[str, bytes] | None = None,
    manifest: Callable[[dict[str, object]], None] | None = None,
    mode: int = 0o100644,
) -> None:
    """Write a zip anew, with something else in it."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts |= replace or {}
    parts.pop(remove, None)
    if manifest is not None:
        said = json.loads(parts[MANIFEST])
        manifest(said)
        parts[MANIFEST] = json.dumps(said).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        for name, content in (add or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    file.write_bytes(out.getvalue())


def test_a_hostile_or_damaged_file_is_refused_by_name(full: Scene, tmp_path: Path) -> None:
    """Nothing is left at the folder, nor beside it, nor anywhere else."""
    good = exported(full).file.read_bytes()
    file = full.root.parent / "wear.zip"
    key = next(n for n in zipfile.ZipFile(io.BytesIO(good)).namelist() if n.startswith("annex/"))
    size = zipfile.ZipFile(io.BytesIO(good)).getinfo(key).file_size

    def named(**what: object) -> Callable[[dict[str, object]], None]:
        return lambda said: said.update(what)

    def bigger(said: dict[str, object]) -> None:
        said["contents"][0]["size"] = 5  # type: ignore[index]

    cases: list[tuple[dict[str, object], str]] = [
        ({"add": {"../evil": b"x"}}, r"\.\./evil.*'\.\.'"),
        ({"add": {"/etc/evil": b"x"}}, "does not begin in the project"),
        ({"add": {"annex\\evil": b"x"}}, "none of an export"),
        ({"add": {"annex/link": b"/etc/passwd"}, "mode": 0o120777}, "is a link"),
        ({"add": {"annex/more": b"x"}}, "does not name"),
        ({"add": {"setup.py": b"x"}}, "no export has such a file"),
        ({"add": {key.upper(): b"x"}}, "there twice"),
        ({"replace": {key: b"y" * size}}, "is not what"),
        ({"replace": {key: bytes(50 << 20)}}, "another size"),
        ({"remove": key}, "lacks"),
        ({"remove": MANIFEST}, "no export of a project"),
        ({"replace": {BUNDLE: b"# v2 git bundle\n"}}, "another size"),
        ({"manifest": named(head="0" * 40)}, "names branches that no project has"),
        ({"manifest": named(extra=1)}, "unknown field"),
        ({"manifest": named(project="project-aebagbafaydqqcikbmga2dqpca")}, "another project"),
        ({"manifest": bigger}, "another size"),
    ]
    for change, sentence in cases:
        file.write_bytes(good)
        changed(file, **change)  # type: ignore[arg-type]
        with pytest.raises(BranchlineError, match=sentence):
            again(full)
    for text, sentence in ((b"", "no zip"), (good[: len(good) // 2], "no zip"), (b"PK", "no zip")):
        file.write_bytes(text)
        with pytest.raises(Corrupt, match=sentence):
            again(full)
    with pytest.raises(NotFound):
        bring(tmp_path / "none.zip", None, quiet)
    left = sorted(path.name for path in full.root.parent.iterdir())
    assert left == ["gitconfig", "home", "project", "wear.zip"] or "again" not in left
    assert not [name for name in left if name.endswith(".import") or name == "evil"]
    file.write_bytes(good)
    assert again(full).checked.faults == []


def test_a_flipped_bit_in_what_is_read_first_is_refused_or_means_nothing(full: Scene) -> None:
    """Whatever Python's reader raises of the list of files and of the manifest."""
    good = exported(full).file.read_bytes()
    archive, manifest = opened(io.BytesIO(good), "wear.zip")
    first = archive.getinfo(MANIFEST)
    begin = first.header_offset
    places = [*range(begin, begin + 44 + first.compress_size), *range(archive.start_dir, len(good))]
    refused = 0
    for at in places:
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        try:
            _, found = opened(io.BytesIO(bytes(bad)), "wear.zip")
        except (Corrupt, Refused):
            refused += 1
        else:
            assert found == manifest
    assert refused > len(places) // 3


def test_any_flipped_byte_is_noticed_or_means_nothing(full: Scene) -> None:
    """A changed byte is refused, unless it stands where nothing is read from."""
    good = bytearray(exported(full).file.read_bytes())
    file = full.root.parent / "wear.zip"
    head = full.git("rev-parse", "HEAD")
    for number in range(12):
        at = (number * 7919 + 101) % len(good)
        bad = bytearray(good)
        bad[at] ^= 0x10
        file.write_bytes(bytes(bad))
        folder = full.root.parent / f"again-{number}"
        try:
            back = bring(file, folder, quiet)
        except (Corrupt, Refused):
            assert not folder.exists()
        else:
            new = Scene(back.project.root, full.identity)
            assert (new.git("rev-parse", "HEAD"), back.checked.faults) == (head, [])
            new.annex("fsck", "--quiet")
