"""Conda's packages where they are used: by a person, on a stick, and by trains at stations."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from tests.environment.built import Built, clone
from tests.environment.conda.channel import PACKAGES, Package, Server, write_channel
from tests.system import world as w
from tests.system.trains import MEAN

from branchline.cli.root import root
from branchline.environment.activation import variables
from branchline.environment.image.build import build_image
from branchline.environment.image.image import Image
from branchline.environment.image.intake import missing_layers
from branchline.environment.image.store import Store
from branchline.environment.lock.fetch import fetch
from branchline.environment.lock.folder import write_locked
from branchline.environment.lock.locking import lock_environment
from branchline.environment.lock.wanted import Options
from branchline.environment.service import ImageService
from branchline.environment.spec import Tree, detect
from branchline.foundation.errors import Refused
from branchline.journey import acts
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.train.template import new_train, write_train
from branchline.workbench.trial import try_train

SPEC = b"""
channels: [lab]
dependencies:
  - active
  - pure-thing >=1
  - pip: [numpy, pyarrow]
"""
ACTIVE = Package(
    "active",
    "1.0",
    {
        "etc/conda/env_vars.d/active.json": b'{"ACTIVE_DATA": "said"}',
        "etc/conda/activate.d/10-first.sh": b'export FIRST="$CONDA_PREFIX $ACTIVE_DATA $#"; shift 9\n',
        "etc/conda/activate.d/20-second.sh": b'export SECOND="after $FIRST"\nset -- lost\n',
        "etc/conda/activate.d/30-other.fish": b"set -x FIRST wrong\n",
    },
)
ACTIVATED = "after /opt/conda said 0"
CODE = """\
import os
import pure_thing

def station(data, state, parameters):
    assert os.environ["SECOND"] == "after /opt/conda said 0", os.environ
    assert pure_thing.__file__.startswith("/opt/conda/lib/"), pure_thing.__file__
    return {"sums": {"n": [data["patients"].num_rows], "sum": [1.0]}}

def combine(updates, state, parameters):
    assert os.environ["CONDA_PREFIX"] == "/opt/conda"
    return None, {"n": sum(u["sums"].to_pylist()[0]["n"] for u in updates), "mean": 1.0}
"""


@dataclass(frozen=True)
class Made:
    """A train in whose environment conda's packages are, and the store that has its image."""

    train: Path
    store: Store
    image: Image


@pytest.fixture(scope="module")
def made(built_environment: Built, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Lock and build the environment in the folder of a train, with Debian's packages at hand."""
    folder = tmp_path_factory.mktemp("conda")
    write_channel(folder / "channels" / "lab", (*PACKAGES, ACTIVE))
    train = folder / "train"
    write_train(train, new_train("condas"))
    toml = (train / "train.toml").read_text().replace('frame = "pandas" ', 'frame = "arrow" ')
    toml = re.sub(r"^python = .*", 'lock = "branchline.lock"', toml, flags=re.M)
    (train / "train.toml").write_text(toml)
    (train / "analysis.py").write_text(CODE)
    store = clone(built_environment.store, folder / "store")
    server = Server(folder / "channels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONDA_CHANNEL_ALIAS", server.url)
        patch.setenv("NO_PROXY", "127.0.0.1")
        found = detect(Tree({"environment.yml": SPEC}))
        lock = msgspec.structs.replace(built_environment.lock, image=None)
        before = dataclasses.replace(built_environment.locked, lock=lock)
        locked = lock_environment(found, Options(runtime=False), store, before=before)
        fetch(locked.lock, locked.pylock, store)
    server.stop()
    image = build_image(locked.lock, store)
    write_locked(locked, train)
    (train / "branchline.lock").write_text(locked.lock.with_image(image.digest).text)
    return Made(train, store, image)


def run(store: Store, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Call ``branchline environment`` with a store."""
    program = "import sys; from branchline.cli.root import root; root(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", program, "environment", *words],
        env={**os.environ, "BRANCHLINE_STORE": str(store.folder)},
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_packages_are_activated_before_a_command_and_in_a_shell(made: Made) -> None:
    """Variables and bash's scripts, in their order; the command's words are as they were given."""
    words = ["run", made.image.digest, "--no-work", "--"]
    done = run(made.store, *words, "sh", "-c", 'echo "$SECOND|$1|$2"', "-", "a b", "")
    assert done.stdout == f"{ACTIVATED}|a b|\n", done.stderr
    done = run(made.store, "shell", made.image.digest, "--no-work", typed="echo $SECOND; exit 3\n")
    assert (done.returncode, done.stdout) == (3, f"{ACTIVATED}\n")


@pytest.mark.slow
async def test_a_train_runs_at_stations_in_condas_packages(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the lock to a result: its stations and the aggregator have them, and have them activated."""
    monkeypatch.setenv("BRANCHLINE_STORE", str(made.store.folder))
    trial = await try_train(made.train, Bubblewrap(), stations=2, rows=30)
    assert [r.action for r in trial.rounds] == ["release", "release"]
    assert trial.values["n"] == 60
    shown = trial.as_json()
    assert (shown["environment"], shown["reproducible"]) == (made.image.digest, True)


TRAVELLING = """
import os
import pure_thing

def station(data, state, parameters):
    assert os.environ["SECOND"] == "after /opt/conda said 0"
    assert pure_thing.__file__.startswith("/opt/conda/lib/")
    ages = data["patients"]["age"].to_pylist()
    return {"sums": {"n": [len(ages)], "sum": [float(sum(ages))]}}

def combine(updates, state, parameters):
    assert os.environ["CONDA_PREFIX"] == "/opt/conda"
    sums = [u["sums"].to_pylist()[0] for u in updates]
    return None, {"mean": sum(s["sum"] for s in sums) / sum(s["n"] for s in sums)}
"""


@pytest.mark.slow
async def test_a_journey_runs_in_condas_packages_that_central_has(
    made: Made, built_environment: Built, tmp_path: Path
) -> None:
    """Over HTTP: the station has Debian's part and fetches conda's; the aggregator is in it, too."""
    lock = 'lock = "branchline.lock"'
    train = dataclasses.replace(
        MEAN,
        manifest=re.sub(r"^python = .*", lock, MEAN.manifest, flags=re.M),
        code=TRAVELLING,
        files={n: (made.train / n).read_bytes() for n in ("branchline.lock", "pylock.toml")},
    )
    laid_out = w.here(tmp_path)
    clone(built_environment.store, laid_out.home / "environments")
    async with w.inhabited(laid_out, "north", allow_not_reproducible=False) as world:
        store = clone(built_environment.store, world.homes["north"].images)
        lacking = set(missing_layers(store, made.image))
        absent = {layer.title for layer in made.image.layers if layer.digest in lacking}
        assert absent >= {"active 1.0 (conda)", "pure-thing 2.0 (conda)"}
        await ImageService(world.pi.client).push(made.image.digest, made.store, lambda said: None)
        journey = await world.depart(train)
        result = await world.arrived(journey)
        assert result["mean"] == pytest.approx(w.mean_age(1), rel=1e-12)
        assert not missing_layers(store, made.image)
        done = [act for _, act in world.history(journey=journey)]
        accepted = [act for act in done if isinstance(act, acts.StopAccepted)]
        assert [(a.environment, a.reproducible) for a in accepted] == [(made.image.digest, True)]
        prepared = [act for act in done if isinstance(act, acts.JourneyPrepared)]
        assert [a.environment for a in prepared] == [made.image.digest]


@pytest.mark.slow
def test_condas_packages_travel_on_a_stick(made: Made, tmp_path: Path) -> None:
    """One file holds them; where it is imported, they run as they did."""
    stick, other = tmp_path / "stick.image", Store(tmp_path / "other")
    for words in (
        ["export", made.image.digest, str(stick), "--store", str(made.store.folder)],
        ["import", str(stick), "--image", made.image.digest, "--store", str(other.folder)],
    ):
        done = CliRunner().invoke(root, ["environment", *words])
        assert done.exit_code == 0, done.output
    ran = run(other, "run", made.image.digest, "--no-work", "--", "sh", "-c", "pure; echo $SECOND")
    packages = "/opt/conda/lib/python3.11/site-packages"
    assert ran.stdout == f"pure {packages}/pure_thing/__init__.py\n{ACTIVATED}\n", ran.stderr


@pytest.mark.parametrize("text", [b"[]", b'{"A": 1}', b"\xff"], ids=str)
def test_variables_that_are_none_are_refused(tmp_path: Path, text: bytes) -> None:
    """The sentence names the file, and nothing is run with a part of them."""
    folder = tmp_path / "opt/conda/etc/conda/env_vars.d"
    folder.mkdir(parents=True)
    (folder / "good.json").write_bytes(b'{"A": "1"}')
    assert variables(tmp_path) == {"CONDA_PREFIX": "/opt/conda", "A": "1"}
    (folder / "wrong.json").write_bytes(text)
    with pytest.raises(Refused, match=r"env_vars\.d/wrong\.json"):
        variables(tmp_path)
