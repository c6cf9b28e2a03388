"""An export with a history that nobody's own program made: refused by name, laid out nowhere."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path

import pytest
from tests.project.carrying.test_carrying import changed
from tests.project.conftest import Scene, quiet, run

from branchline.foundation.digest import digest_of
from branchline.foundation.errors import BranchlineError
from branchline.project.carrying.bring import bring
from branchline.project.carrying.form import BUNDLE, MANIFEST
from branchline.project.carrying.judging import judged

EVIL = [
    ("100755", "hooks/post-checkout", ".git", r"\.git"),
    ("120000", "/etc/passwd", "code/out", "leads|absolute|outside|out of"),
    ("120000", "../../elsewhere", "code/up", "leads|outside|out of"),
    ("100644", "x", "code/CON", "Windows|reserved"),
    ("100644", "x", "code/a:b", ":"),
]


def forged(scene: Scene, crate: Path, mode: str, content: str, path: str) -> None:
    """Put another history into an export: one commit more, with a file that no project has."""
    with zipfile.ZipFile(crate) as archive:
        head = json.loads(archive.read(MANIFEST))["head"]
    work = scene.root
    blob = scene.git("hash-object", "-w", str(_file(crate, content))).strip()
    folder, _, name = path.rpartition("/")
    listed = run(work, "git", "ls-tree", f"{head}:{folder}" if folder else head)
    kept = "".join(f"{line}\n" for line in listed.splitlines())
    inner = _mktree(work, kept + f"{mode} blob {blob}\t{name}\n")
    if folder:
        top = run(work, "git", "ls-tree", head)
        lines = [each for each in top.splitlines() if not each.endswith(f"\t{folder}")]
        inner = _mktree(work, "".join(f"{x}\n" for x in [*lines, f"040000 tree {inner}\t{folder}"]))
    commit = scene.git("commit-tree", "-p", head, "-m", "evil", inner).strip()
    scene.git("update-ref", "refs/heads/main", commit)
    bundle = crate.with_name("evil.bundle")
    scene.git("bundle", "create", "-q", str(bundle), "main")
    data = bundle.read_bytes()

    def tell(manifest: dict[str, object]) -> None:
        manifest["head"] = commit
        manifest["refs"] = {"refs/heads/main": commit}
        manifest["history"] = {"size": len(data), "digest": digest_of(data)}

    changed(crate, replace={BUNDLE: data}, manifest=tell)


def _file(crate: Path, content: str) -> Path:
    file = crate.with_name("content")
    file.write_text(content)
    return file


def _mktree(work: Path, listing: str) -> str:
    file = work.parent / "listing"
    file.write_text(listing)
    return run(work, "sh", "-c", f"git mktree < {file}").strip()


@pytest.mark.parametrize(("mode", "content", "path", "sentence"), EVIL)
def test_a_history_that_cannot_be_laid_out_is_refused(
    scene: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    content: str,
    path: str,
    sentence: str,
) -> None:
    """By import and by verify; neither leaves anything behind."""
    from branchline.project.carrying.export import export

    crate = tmp_path / "evil.zip"
    with scene.project.working() as project:
        export(project, scene.identity, crate, quiet)
    forged(scene, crate, mode, content, path)
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with judged(crate, quiet) as (found, laid_out):
        assert laid_out is None
        assert not found.good
        (problem,) = found.judgements[-1].problems
    with pytest.raises(BranchlineError, match=sentence) as refused:
        bring(crate, tmp_path / "new" / "project", quiet)
    assert refused.value.refused == problem
    assert list(folder.iterdir()) == list((tmp_path / "new").iterdir()) == []
