"""What a push brings: activity, rules of data, names and links; over real HTTP with real git."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from tests.central.hub.world import World, bearing, call, project_in, quiet, refused, run, saved

from branchline import Client
from branchline.foundation.errors import NotAllowed
from branchline.foundation.keys import Identity
from branchline.project.activity.record import Signed, read_record, sign
from branchline.project.data.keys import make

TOML = """
[places.hub]
annex = ["{annex}"]

[places.clinic]
annex = ["{clinic}"]

[[data]]
paths = ["data/patients"]
confidentiality = "confidential"
allowed = ["clinic"]

[[data]]
paths = ["data/shared"]
confidentiality = "confidential"
allowed = ["clinic", "hub"]
"""


@dataclass
class Scene:
    """A project at the hub, a writer's clone of it, and ways to push what no program of ours would."""

    owner: Path
    other: Path
    clara: Client
    ben: Client
    annex: str
    words: tuple[str, str]

    def pushed(self, root: Path, ref: str = "HEAD:refs/heads/main") -> str:
        """Return what the hub said to a push that it must refuse."""
        return refused(root, "git", *self.words, "push", "--no-verify", "hub", ref)

    def committed(self, files: dict[str, bytes | None]) -> str:
        """Commit files by git alone, as any program could, on what the writer has; return the commit."""
        for path, content in files.items():
            file = self.other / path
            if content is None:
                run(self.other, "git", "rm", "--quiet", "--force", path)
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_bytes(content)
            run(self.other, "git", "-c", "annex.largefiles=nothing", "add", "--force", path)
        run(self.other, "git", "commit", "--quiet", "--no-verify", "-m", "Forged")
        return run(self.other, "git", "rev-parse", "HEAD").strip()

    def forget(self) -> None:
        """Have the writer's clone stand where the hub does."""
        run(self.other, "git", "reset", "--quiet", "--hard", "hub/main")


@pytest.fixture(scope="module")
def _scene(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("pushing")
    with world.client("clara") as clara, world.client("ben") as ben:
        project = project_in(folder / "clara" / "pushing", clara, {"code/a.py": "1\n"})
        hosted = clara.publish_project(project.root)
        clara.share_project("clara/pushing", "ben", "write")
        other = ben.clone_project(
            "clara/pushing", folder / "ben" / "pushing", progress=quiet
        ).project
        words = bearing(ben.hub_token("clara/pushing").token)
        yield Scene(project.root, other.root, clara, ben, hosted.annex, words)


@pytest.fixture
def scene(_scene: Scene) -> Iterator[Scene]:
    """Give the project; the writer's clone stands where the hub does again afterwards."""
    yield _scene
    _scene.forget()


def records(root: Path) -> list[tuple[str, Signed]]:
    """Return a project's records with their paths, in the order of their chains."""
    files = sorted((root / "activity").glob("clone-*/*/*.json"))
    return [(str(f.relative_to(root)), read_record(f.read_bytes(), f.name)) for f in files]


def test_activity_is_only_added_to(scene: Scene) -> None:
    """A record that would be gone or altered is refused, by its name."""
    path, signed = records(scene.other)[-1]
    scene.committed({path: None})
    assert f"The record {path} would be taken out, or changed" in scene.pushed(scene.other)
    scene.forget()
    other = msgspec.structs.replace(signed.record, message="Nothing happened")
    scene.committed({path: Signed(other, signed.signature).text})
    assert "would be taken out, or changed" in scene.pushed(scene.other)


def test_records_that_do_not_hold(scene: Scene) -> None:
    """Forged, misplaced, foreign and contradicting records are refused."""
    _, last = records(scene.other)[-1]
    stranger = Identity.create()
    after = msgspec.structs.replace(
        last.record, seq=last.record.seq + 1, previous=last.digest, message="Forged"
    )

    def said(record: Signed, path: str = "") -> str:
        scene.committed({path or f"activity/{record.name}": record.text})
        try:
            return scene.pushed(scene.other)
        finally:
            scene.forget()

    by = msgspec.structs.replace(last.record.by, key=stranger.public.sign)
    foreign = sign(msgspec.structs.replace(after, by=by), stranger)
    assert "is signed by another key" in said(foreign)
    assert "signature" in said(Signed(after, foreign.signature))
    clara = scene.clara.home.identity
    rival = msgspec.structs.replace(last.record, message="Another past")
    assert "has two records number" in said(sign(rival, clara))
    gap = msgspec.structs.replace(after, seq=last.record.seq + 2)
    assert "lacks its record number" in said(sign(gap, clara))
    wrong = msgspec.structs.replace(after, previous=None)
    assert "does not continue the one before it" in said(sign(wrong, clara))
    elsewhere = f"activity/{last.record.clone}/1999-01/{after.seq:06d}-{'0' * 16}.json"
    assert "in a place that is not its own" in said(sign(after, clara), elsewhere)
    project = msgspec.structs.replace(after, project="project-" + "a" * 26)
    assert "is another project's" in said(sign(project, clara))


def test_another_project_and_what_cannot_be_laid_out(scene: Scene) -> None:
    """Another project's branch, names that are git's elsewhere, and links that lead out are refused."""
    toml = (scene.other / "branchline.toml").read_text()
    known = toml.partition('id = "')[2].partition('"')[0]
    scene.committed({"branchline.toml": toml.replace(known, "project-" + "b" * 26).encode()})
    assert "holds another project than clara/pushing" in scene.pushed(scene.other)
    scene.forget()
    link = scene.other / "code" / "link"
    link.symlink_to("../../outside")
    run(scene.other, "git", "add", "code/link")
    run(scene.other, "git", "commit", "--quiet", "--no-verify", "-m", "Link")
    assert "is a link that leads out of the project" in scene.pushed(scene.other)
    scene.forget()
    blob = run(scene.other, "git", "rev-parse", "HEAD:code/a.py").strip()
    run(scene.other, "git", "update-index", "--add", "--cacheinfo", f"100644,{blob},code/aux.txt")
    run(scene.other, "git", "commit", "--quiet", "--no-verify", "-m", "Name")
    assert "reserved on Windows" in scene.pushed(scene.other)
    # By way of a tag, too.
    run(scene.other, "git", "tag", "evil")
    assert "reserved on Windows" in scene.pushed(scene.other, "refs/tags/evil")
    run(scene.other, "git", "tag", "-d", "evil")


def test_rules_of_data_hold_at_the_hub(world: World, tmp_path: Path) -> None:
    """What may not be here is neither pushed nor annexed here, what may goes to places that may only."""
    with world.client("clara") as clara, world.client("ben") as ben:
        project = project_in(tmp_path / "rules", clara, {"code/a.py": "1\n"})
        with project.working() as held:
            make(held, clara.home.identity, quiet)
        hosted = clara.publish_project(project.root)
        clara.share_project("clara/rules", "ben", "write")
        clinic = run(project.root, "git", "config", "annex.uuid").strip()
        toml = (project.root / "branchline.toml").read_text()
        rules = toml + TOML.format(annex=hosted.annex, clinic=clinic)
        names = ("patients/p", "shared/a")
        files: dict[str, str | bytes] = {f"data/{n}.bin": n.encode() * 500 for n in names}
        saved(project.root, clara, {"branchline.toml": rules})
        saved(project.root, clara, files)
        clara.publish_project(project.root)
        words = bearing(clara.hub_token("clara/rules").token)
        assert call(project.root, "git", "annex", "copy", "--to", "hub", "data/patients").returncode
        run(project.root, "git", "annex", "copy", "--quiet", "--to", "hub", "data/shared")
        repository = world.repository(clara, "clara/rules")
        contents = repository / "annex" / "objects"
        assert [f.read_bytes() for f in contents.rglob("*") if f.is_file()] == [b"shared/a" * 500]

        # Kept in git itself, it would have gone with the push; gone again in a later commit, too.
        patients = project.root / "data/patients/q.txt"
        patients.write_text("text")
        run(project.root, "git", "-c", "annex.largefiles=nothing", "add", "data/patients/q.txt")
        run(project.root, "git", "commit", "--quiet", "--no-verify", "-m", "In git")
        run(project.root, "git", "rm", "--quiet", "data/patients/q.txt")
        run(project.root, "git", "commit", "--quiet", "--no-verify", "-m", "Gone again")
        said = refused(project.root, "git", *words, "push", "--no-verify", "hub", "main")
        assert "'data/patients/q.txt' is kept in git itself, and may not go to hub" in said
        run(project.root, "git", "reset", "--quiet", "--hard", "hub/main")

        # A clone that no rule allows gets nothing of it.
        other = ben.clone_project("clara/rules", tmp_path / "ben" / "rules", progress=quiet).project
        assert call(other.root, "git", "annex", "get", "data/shared").returncode
        assert not (other.root / "data/shared/a.bin").exists()

        # Whoever does not own the project permits nobody more.
        (other.root / "branchline.toml").write_text(toml)
        run(other.root, "git", "commit", "--quiet", "--no-verify", "-am", "No rules")
        words = bearing(ben.hub_token("clara/rules").token)
        said = refused(other.root, "git", *words, "push", "--no-verify", "hub", "main")
        assert "The rules of data would permit more than they do" in said
        # On a branch of his own they hold for nothing else.
        run(other.root, "git", *words, "push", "--quiet", "--no-verify", "hub", "main:loose")
        assert call(other.root, "git", "annex", "get", "data/shared").returncode


def test_nobody_is_shown_what_the_rules_keep_from_him(world: World, tmp_path: Path) -> None:
    """A project with internal files in git stays as closed as they are; so does a copy of it."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "closed", clara, {"code/a.py": "1\n"})
        rule = '\n[[data]]\npaths = ["code"]\nconfidentiality = "internal"\n'
        toml = (project.root / "branchline.toml").read_text()
        saved(project.root, clara, {"branchline.toml": toml + rule})
        clara.publish_project(project.root)
        assert clara.show_project_to("clara/closed", "internal").visibility == "internal"
        with pytest.raises(NotAllowed, match="everybody can read there"):
            clara.show_project_to("clara/closed", "public")
        with pytest.raises(NotAllowed, match="everybody can read there"):
            clara.copy_project("clara/closed", name="open", visibility="public")


def test_what_a_client_has_may_be_long(world: World, tmp_path: Path) -> None:
    """Git compresses what it says of many commits that only it has; the hub reads it."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "long", clara, {"code/a.py": "1\n"})
        clara.publish_project(project.root)
        other = clara.clone_project("clara/long", tmp_path / "other", progress=quiet).project.root
        saved(project.root, clara, {"code/a.py": "2\n"})
        run(project.root, "git", "push", "--quiet", "hub", "main")
        script = "for i in $(seq 80); do git commit -q --no-verify --allow-empty -m $i; done"
        run(other, "sh", "-c", script)
        run(other, "git", "fetch", "--quiet", "hub")
        head = run(project.root, "git", "rev-parse", "main")
        assert run(other, "git", "rev-parse", "hub/main") == head


def test_git_at_the_hub_runs_nothing_of_a_repository(world: World, tmp_path: Path) -> None:
    """Hooks and settings that somebody brought into the hub's folder are not run."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "hooks", clara, {"code/a.py": "1\n"})
        clara.publish_project(project.root)
        repository = world.repository(clara, "clara/hooks")
        hooks = repository / "hooks"
        hooks.mkdir(exist_ok=True)
        for name in ("pre-receive", "update", "post-receive", "post-update"):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
            os.chmod(hooks / name, 0o755)
        saved(project.root, clara, {"code/a.py": "2\n"})
        run(project.root, "git", "push", "--quiet", "hub", "main")
        assert not (tmp_path / "ran").exists()
