"""Whatever two sides did to a tree, and whatever is chosen: nothing that either had is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.project.conftest import Scene, quiet

from branchline.foundation.keys import Identity
from branchline.project.beginning import begin
from branchline.project.merging.building import blob_of, commit_of_tree, tree_with
from branchline.project.merging.clash import Version
from branchline.project.merging.merge import merge, resume
from branchline.project.merging.pending import How
from branchline.project.merging.weighing import versions_at, weigh

PATHS = ("a.py", "b.txt", "dir/a.py", "dir/b.ipynb", "dir", "deep/er/c.md", "link")
TEXTS = ("", "one\n", "one\ntwo\nthree\n", "ONE\ntwo\nthree\n", "one\ntwo\nTHREE\n", "\0\1")

edits = st.dictionaries(st.sampled_from(PATHS), st.sampled_from((*TEXTS, None)), max_size=5)
ways = st.lists(st.sampled_from(["mine", "theirs", "both"]), min_size=8, max_size=8)


def fits(tree: dict[str, str | None]) -> dict[str, str | None]:
    """Leave out what cannot stand beside a folder of its name."""
    there = {path for path, text in tree.items() if text is not None}
    return {p: t for p, t in tree.items() if not any(q.startswith(f"{p}/") for q in there)}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """One project for all examples."""
    folder = tmp_path_factory.mktemp("properties")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        patch.setenv("HOME", str(folder))
        identity = Identity.create()
        begin(folder / "project", identity, quiet)
    return Scene(folder / "project", identity)


@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(before=edits, mine=edits, theirs=edits, chosen=ways)
def test_nothing_that_either_side_had_is_ever_lost(
    shared: Scene,
    before: dict[str, str | None],
    mine: dict[str, str | None],
    theirs: dict[str, str | None],
    chosen: list[How],
) -> None:
    """The merge has every change that only one side made, and of conflicts what was chosen."""
    project = shared.project
    git = project.git
    begun = git.word("rev-list", "--max-parents=0", "--first-parent", "HEAD")
    first = git.word("rev-list", "--first-parent", "--reverse", "HEAD").split()[1]
    assert begun != first
    base = side(shared, first, fits(before))
    ours = side(shared, base, fits({**fits(before), **mine}))
    other = side(shared, base, fits({**fits(before), **theirs}))
    shared.git("reset", "-q", "--hard", ours)
    shared.git("clean", "-fdq")
    shared.git("update-ref", "refs/heads/aside", other)
    with project.working() as held:
        done = merge(held, shared.identity, "aside", {}, quiet)
        clashes = {} if done.state != "waiting" else weigh(git, ours, other).clashes
        wanted = dict(zip(sorted(clashes), chosen, strict=False))
        if wanted:
            done = resume(held, shared.identity, wanted, quiet)
    head = git.head()
    assert head is not None
    assert done.state == ("nothing" if ours == other else "merged")
    assert set(git.word("rev-list", head).split()) >= {ours, other}
    assert shared.git("status", "--porcelain") == ""
    one, two, merged = (git_versions(shared, commit) for commit in (ours, other, head))
    hold(git_versions(shared, base), one, two, merged, wanted)


def hold(
    base: dict[str, Version],
    mine: dict[str, Version],
    theirs: dict[str, Version],
    merged: dict[str, Version],
    wanted: dict[str, How],
) -> None:
    """Hold the merge to what both sides did, path by path."""
    held = {version.name for version in merged.values()}
    for path in {*base, *mine, *theirs}:
        b, m, t = base.get(path), mine.get(path), theirs.get(path)
        how = wanted.get(path)
        if how == "both":
            assert {v.name for v in (m, t) if v is not None} <= held, path
        elif how is not None and all(not p.startswith(f"{path}/") for p in {*mine, *theirs}):
            assert merged.get(path) == (m if how == "mine" else t), path
        elif not wanted and m == b and t is not None and path not in mine:
            assert t.name in held, path
        elif not wanted and t == b and m is not None and path not in theirs:
            assert m.name in held, path


def git_versions(scene: Scene, commit: str) -> dict[str, Version]:
    """Return what a commit has, but for the activity."""
    found = versions_at(scene.project.git, commit)
    return {path: version for path, version in found.items() if not path.startswith("activity/")}


def side(scene: Scene, parent: str, tree: dict[str, str | None]) -> str:
    """Commit a tree, without its records."""
    git = scene.project.git
    there = versions_at(git, parent)
    entries: dict[str, Version | None] = {
        path: None for path in there if path in PATHS or path.split("/")[0] in ("dir", "deep")
    }
    for path, text in tree.items():
        if text is not None:
            # No file is like another at a different path: git would take it for a renamed one.
            lines = [f"{path} {line}" for line in text.splitlines(keepends=True)]
            entries[path] = blob_of(git, "".join(lines).encode())
    return commit_of_tree(git, tree_with(git, f"{parent}^{{tree}}", entries), [parent], "side")


@given(mine=st.sampled_from(TEXTS[1:]), theirs=st.sampled_from(TEXTS[1:]))
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_merge_of_what_is_equal_is_no_conflict(shared: Scene, mine: str, theirs: str) -> None:
    """Two that did the same thing agree; two that did not are asked."""
    git = shared.project.git
    first = git.word("rev-list", "--first-parent", "--reverse", "HEAD").split()[1]
    sides = [side(shared, first, {"a.py": text}) for text in (mine, theirs)]
    assert set(weigh(git, *sides).clashes) == (set() if mine == theirs else {"a.py"})


def test_where_it_is_kept(tmp_path: Path) -> None:
    """The names under which both versions are kept say whose they are."""
    from branchline.project.merging.clash import beside, label_of

    assert beside("data/wear.csv", label_of("hub/main"), ()) == "data/wear.from-hub-main.csv"
    assert beside("Makefile", label_of("x"), {"makefile.FROM-x"}) == "Makefile.from-x-2"
    assert beside("a/.env", label_of("///"), ()) == "a/.env.from-there"
