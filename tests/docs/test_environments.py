"""The pages on environments are followed as a reader would: files laid down, blocks run in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
from tests.docs.pages import DOCS, blocks_of, files_of
from tests.environment.built import Built, clone

from branchline.datasets.synthetic import make_tables
from branchline.train.manifest import parse_manifest

PATIENCE_SECONDS = 340


def follow(page: Path, folder: Path, store: Path, programs: Path | None = None) -> str:
    """Run a page's shell blocks in one shell, in a folder with its files; return what it printed.

    Args:
        page: The page.
        folder: Where.
        store: The store of environments to use.
        programs: A folder of programs that are found before all others.
    """
    for name, text in files_of(page):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    steps = [
        block
        for block in blocks_of(page)
        if block.kind == "bash" and not block.note.startswith(("not run: ", "file: "))
    ]
    script = "set -euo pipefail\n" + "".join(f"echo '--- {s}'\n{s.text}" for s in steps)
    environment = {name: value for name, value in os.environ.items() if "BRANCHLINE" not in name}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    if programs is not None:
        environment["PATH"] = f"{programs}:{environment['PATH']}"
    environment["BRANCHLINE_STORE"] = str(store)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"the last block shown failed:\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.mark.slow
def test_a_binder_repository_becomes_a_running_train(
    tmp_path: Path, built_environment: Built
) -> None:
    """From its spec files to a trial of the train in its own image, and on to a change."""
    # What the tests' own environment needed is at hand; all else is fetched and built here.
    store = clone(built_environment.store, tmp_path / "store")
    said = follow(DOCS / "how-to" / "from-binder-to-a-train.md", tmp_path, store.folder)
    assert "medicine 2" in " ".join(said.split())
    assert "medicine,6.5" in said
    images = [line.split()[-1] for line in said.splitlines() if line.startswith("sha256:")]
    assert len(set(images)) >= 2, "an added package makes another image"
    assert "can be built again from its lock" in said


@pytest.mark.slow
def test_a_train_brings_its_tools(tmp_path: Path, built_environment: Built) -> None:
    """Compiled programs of Debian's compute at the stations and combine what they gave."""
    store = clone(built_environment.store, tmp_path / "store")
    said = follow(DOCS / "how-to" / "command-train.md", tmp_path, store.folder)
    tables = _invented(tmp_path / "wards", stations=2, rows=200)
    stays = pa.concat_tables(table["stays"] for table in tables).to_pandas()
    expected = stays.groupby("ward")["days"].agg(n="count", mean="mean")
    found = _result(said)["means"]
    assert [row["ward"] for row in found] == list(expected.index)
    assert [row["n"] for row in found] == list(expected["n"])
    assert [row["mean"] for row in found] == pytest.approx(list(expected["mean"]), rel=1e-12)


@pytest.mark.slow
def test_a_train_is_written_in_r(tmp_path: Path, built_environment: Built) -> None:
    """What the stations released adds up to what R's own stratified fit to all of their data gives."""
    store = clone(built_environment.store, tmp_path / "store")
    said = follow(DOCS / "how-to" / "train-in-r.md", tmp_path, store.folder)
    tables = _invented(tmp_path / "risk", stations=2, rows=300)
    for number, table in enumerate(tables):
        pyarrow.csv.write_csv(table["patients"], tmp_path / f"{number}.csv")
    pooled = (
        "library(survival); a <- rbind(cbind(read.csv('0.csv'), at=0), cbind(read.csv('1.csv'), at=1));"
        "f <- coxph(Surv(days, died) ~ age + treated + strata(at), a, control=coxph.control(eps=1e-12));"
        "cat(sprintf('%.17g', c(coef(f), sqrt(diag(vcov(f))))))"
    )
    program = str(Path(sys.executable).with_name("branchline"))
    command = [program, "environment", "run", "risk"]
    done = subprocess.run(
        [*command, "--store", str(store.folder), "--", "Rscript", "-e", pooled],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = _result(said)["coefficients"]
    numbers = [row[key] for key in ("estimate", "error") for row in found]
    assert [row["term"] for row in found] == ["age", "treated"]
    assert numbers == pytest.approx([float(text) for text in done.stdout.split()], rel=1e-8)


def _invented(train: Path, *, stations: int, rows: int) -> list[dict[str, pa.Table]]:
    """Return what the stations of a trial had, by table."""
    manifest = parse_manifest((train / "train.toml").read_bytes())
    return [dict(make_tables(manifest.needs, rows, 1000 + n + 1)) for n in range(stations)]


def _result(said: str) -> dict[str, list[dict[str, Any]]]:
    """Return the result that the last trial printed."""
    found = said.rpartition("\nresult\n")[2].partition("\nenforced\n")[0]
    return dict(json.loads(found))


@pytest.mark.slow
def test_an_image_goes_on_a_stick(tmp_path: Path, built_environment: Built) -> None:
    """The file is written, and shown is the digest to hand over."""
    train = tmp_path / "my-train"
    train.mkdir()
    (train / "branchline.lock").write_text(built_environment.lock.text)
    page = DOCS / "how-to" / "stations-without-internet.md"
    said = follow(page, tmp_path, built_environment.store.folder)
    assert built_environment.image.digest in said
    assert (tmp_path / "analysis.branchline").stat().st_size > 1 << 20
