"""The pages without scripts: every one stands, every form does its work."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import aiohttp
import pytest
from tests.project.conftest import Scene
from tests.workbench.pages.conftest import Served
from tests.workbench.pages.test_entrance import form_token

from branchline.project.activity.feed import feed, read_all, write_note
from branchline.project.activity.record import Signed
from branchline.project.data.listing import Wish, make_list
from branchline.project.runs.places import Place
from branchline.project.runs.run import Order, run
from branchline.workbench.pages.views import feed as views


def ran(scene: Scene, *words: str, outputs: tuple[str, ...] = ()) -> Signed:
    """Run a command on this machine, on record."""
    order = Order(words, (), outputs, "", 7)
    return run(scene.root, scene.identity, order, Place(None), lambda _: None, (None, None)).record


async def act(
    visitor: aiohttp.ClientSession, served: Served, which: str, /, **form: str
) -> tuple[str, list[str]]:
    """Press a button as a browser without scripts does; return what came of it."""
    form["form"] = await form_token(visitor, served)
    headers = {"Origin": served.pages.entrance.origin}
    async with visitor.post(f"{served.base}/act/{which}", data=form, headers=headers) as answer:
        assert answer.status == 200
        number = int(answer.url.path.rpartition("/")[2])
        assert "http-equiv" in await answer.text() or served.opened.jobs.find(number)
    job = served.opened.jobs.find(number)
    assert job is not None
    await asyncio.wait_for(job.ended.wait(), 60)
    assert job.done is not None
    async with visitor.get(f"{served.base}/jobs/{number}") as answer:
        assert job.done.sentence.replace("'", "&#39;") in await answer.text()
    return job.done.sentence, list(job.done.lines)


async def test_every_page_stands(served: Served, visitor: aiohttp.ClientSession) -> None:
    """With what a project has after a little work."""
    scene = served.scene
    scene.write("data/wear.csv", "age,wear\n20,0.4\n35,0.9\n")
    scene.write("code/mean.py", "print('teeth')\n")
    scene.write("README.md", "# Wear\n\nOf *molars*.\n")
    scene.save("Two teeth")
    ran(scene, sys.executable, "-c", "print('ran well')")
    ran(scene, sys.executable, "-c", "raise SystemExit('did not')")
    expected = {
        "feed": ("Two teeth", "ran well", "did not", "data/wear.csv"),
        "feed?show=failed": ("did not",),
        "feed?show=data": ("data/wear.csv",),
        "files": ("README.md", "<em>molars</em>", "git"),
        "files/data": ("wear.csv", "git-annex"),
        "file/data/wear.csv": ("0.9", "<th"),
        "file/code/mean.py": ("teeth",),
        "file/README.md": ("<h1>Wear</h1>",),
        "environment": ("No lock yet",),
        "branches": ("main", "here"),
        "search?q=molars": ("README.md", "<mark>"),
        "search?q=nowhere": ("Nothing has all of these words",),
        "state": ("All is saved",),
    }
    for path, words in expected.items():
        async with visitor.get(f"{served.base}/{path}") as answer:
            said = await answer.text()
            assert answer.status == 200, path
            for word in words:
                assert word in said, (path, word)
    async with visitor.get(f"{served.base}/feed?show=failed") as answer:
        assert "ran well" not in await answer.text()
    async with visitor.get(served.pages.entrance.origin) as answer:
        assert scene.project.described.name in await answer.text()
    for signed in read_all(scene.project):
        async with visitor.get(f"{served.base}/record/{signed.name[:-5]}") as answer:
            assert answer.status == 200
            said = await answer.text()
            assert signed.digest in said
            assert "Its signature holds" in said


async def test_a_record_that_was_changed_is_shown_as_such(
    served: Served, visitor: aiohttp.ClientSession
) -> None:
    """Its page says so; the list leaves it out, and goes on."""
    with served.scene.project.working() as project:
        signed = write_note(project, served.scene.identity, "as it was", milestone=False)
    file = served.scene.root / "activity" / signed.name
    file.write_bytes(file.read_bytes().replace(b"as it was", b"as it is!"))
    async with visitor.get(f"{served.base}/record/{signed.name[:-5]}") as answer:
        assert "it was changed after it was signed" in await answer.text()


async def test_what_is_older_is_a_page_away(
    served: Served, visitor: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every record once, over all pages."""
    monkeypatch.setattr(views, "_PAGE", 4)
    with served.scene.project.working() as project:
        made = [
            write_note(project, served.scene.identity, f"note number {n}.", milestone=False)
            for n in range(9)
        ]
    seen, address = [], f"{served.opened.base}/feed"
    while address:
        async with visitor.get(served.pages.entrance.origin + address) as answer:
            said = await answer.text()
        seen += [each.split('"')[0] for each in said.split('data-record="')[1:]]
        _, _, rest = said.partition('class="older"><a class="button" href="')
        address = rest.split('"')[0].replace("&amp;", "&")
    assert len(seen) == len(set(seen))
    assert seen == [s.digest[7:19] for s in reversed(feed(served.scene.project, most=100))]
    assert {s.digest[7:19] for s in made} <= set(seen)


async def test_buttons_do_what_commands_do(served: Served, visitor: aiohttp.ClientSession) -> None:
    """Note, save, run again, go back, branch, hide: each on record, each says what came of it."""
    scene = served.scene
    assert await act(visitor, served, "note", text="Seen by hand", milestone="1") == (
        "Milestone set",
        [],
    )
    assert feed(scene.project)[-1].record.type == "milestone"
    scene.write("code/a.py", "1\n")
    assert await act(visitor, served, "save", message="First") == (
        "Saved 1 change",
        ["new  code/a.py"],
    )
    assert await act(visitor, served, "save") == ("Nothing to save: all is saved already", [])
    script = "open('results/n.txt', 'w').write('1\\n')"
    signed = ran(scene, sys.executable, "-c", script, outputs=("results/n.txt",))
    said, lines = await act(visitor, served, "again", record=signed.digest[7:19])
    assert (said, lines) == (
        "Everything came out the same, byte for byte",
        ["identical  results/n.txt"],
    )
    said, _ = await act(visitor, served, "back", record=signed.digest[7:19], branch="before")
    assert said == "Now on the new branch before"
    assert scene.project.git.branch() == "before"
    said, _ = await act(visitor, served, "branch", branch="main")
    assert said == "Now on branch main"
    await act(visitor, served, "hide", record=signed.digest[7:19])
    assert signed.digest not in [s.digest for s in feed(scene.project, most=100)]
    await act(visitor, served, "show", record=signed.digest[7:19])
    assert signed.digest in [s.digest for s in feed(scene.project, most=100)]


async def test_lists_rules_and_checks_are_shown(
    served: Served, visitor: aiohttp.ClientSession
) -> None:
    """A list with its columns, a rule with its class, a check with what did not hold."""
    scene = served.scene
    async with visitor.get(f"{served.base}/data") as answer:
        assert "No lists yet" in await answer.text()
    async with visitor.get(f"{served.base}/checks") as answer:
        assert "No checks yet" in await answer.text()
    rule = (
        '\n[[data]]\npaths = ["data/other.csv"]\nconfidentiality = "internal"\npurpose = "wear"\n'
    )
    file = scene.root / "branchline.toml"
    file.write_text(file.read_text() + rule)
    scene.write("data/wear.csv", "age,wear\n20,0.4\n350,0.9\n")
    check = (
        'columns.age = { type = "integer", maximum = 120 }\ncolumns.wear = { type = "number" }\n'
    )
    scene.write("checks.toml", f'[data.teeth]\nfiles = ["data/wear.csv"]\nrequired = true\n{check}')
    scene.save()
    with scene.project.working() as project:
        wish = Wish("training", ["data/wear.csv"], about="Half of the teeth")
        make_list(project, scene.identity, wish, lambda _: None)
    async with visitor.get(f"{served.base}/data") as answer:
        said = await answer.text()
        for word in ("training@1", "Half of the teeth", "2 rows", "internal", "data/other.csv"):
            assert word in said, word
    said, lines = await act(visitor, served, "checks", name="teeth")
    assert said == "1 of 1 checks failed"
    assert lines[0].startswith("teeth: ")
    async with visitor.get(f"{served.base}/checks") as answer:
        said = await answer.text()
        assert "never run" not in said
        assert lines[0].removeprefix("teeth: ").replace("'", "&#39;") in said
    scene.write("data/wear.csv", "age,wear\n20,0.4\n35,0.9\n")
    assert (await act(visitor, served, "checks"))[0] == "1 check passed"


async def test_what_is_refused_is_said_as_by_the_command(
    served: Served, visitor: aiohttp.ClientSession
) -> None:
    """The very sentence, and nothing is changed."""
    said, _ = await act(visitor, served, "note", text="  ")
    assert said == "A note has 1 to 4000 characters; this one has 0."
    said, _ = await act(visitor, served, "again", record="ffffffffffff")
    assert said == "There is no record 'ffffffffffff'. See 'branchline log'."
    said, _ = await act(visitor, served, "branch", branch="a..b")
    assert said == "'a..b' is no name for a branch."
    said, _ = await act(visitor, served, "sync")
    assert said.startswith("This project is nowhere else yet.")
    said, _ = await act(visitor, served, "lab")
    assert "has no branchline.lock" in said
    served.scene.write("code/con.txt", "x")
    said, _ = await act(visitor, served, "save")
    assert said.startswith("'code/con.txt' cannot be kept: its name is reserved on Windows.")


async def test_projects_are_remembered_and_forgotten(
    served: Served, visitor: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """One whose folder is gone stays in the list, and says so."""
    origin = served.pages.entrance.origin
    form = {"form": await form_token(visitor, served)}
    async with visitor.post(
        f"{origin}/add", data=form | {"folder": str(tmp_path)}, headers={"Origin": origin}
    ) as answer:
        assert answer.status == 404
        assert "is not in a project" in await answer.text()
    inside = {"folder": str(served.scene.root / "code")}
    async with visitor.post(
        f"{origin}/add", data=form | inside, headers={"Origin": origin}
    ) as answer:
        assert answer.url.path == f"{served.opened.base}/feed"
    os.rename(served.scene.root, tmp_path / "moved")
    async with visitor.get(origin) as answer:
        assert "is not there any more" in await answer.text()
    await visitor.post(
        f"{origin}/forget", data=form | {"key": served.opened.key}, headers={"Origin": origin}
    )
    async with visitor.get(origin) as answer:
        assert "No project was opened here yet" in await answer.text()


def test_the_command_serves_until_it_is_told_to_end(scene: Scene) -> None:
    """It prints where the pages are, and ends with 0."""
    words = [sys.executable, "-m", "branchline", "workbench", str(scene.root), "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"{ready['address']}/static/style.css") as answer:
            assert answer.status == 200
        process.terminate()
        assert process.wait(20) == 0
