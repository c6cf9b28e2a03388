"""Any bytes: every parser refuses in our own words, or gives back what it read."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.fuzzing import TARGETS, promised

SCRIPT = Path(__file__).with_name("fuzzing.py")
SECONDS = os.environ.get("BRANCHLINE_FUZZ_SECONDS", "60")
"""How long each target is fuzzed in the soak."""


@pytest.mark.parametrize("name", TARGETS)
def test_the_samples_are_right(name: str) -> None:
    """What the fuzzing begins from is accepted."""
    target, sample = TARGETS[name]
    target(sample)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_refused_or_read(name: str) -> None:
    """Noise, and the sample with something cut, doubled, exchanged or flipped."""
    target, sample = TARGETS[name]

    @given(st.binary(max_size=400))
    def noise(data: bytes) -> None:
        promised(target, data)

    @given(st.randoms(use_true_random=False), st.integers(1, 6))
    def mangled(chance: random.Random, times: int) -> None:
        data = bytearray(sample)
        for _ in range(times):
            _mangle(data, chance)
        promised(target, bytes(data))

    noise()
    mangled()


def _mangle(data: bytearray, chance: random.Random) -> None:
    """Change something, somewhere."""
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    end = min(end, start + chance.choice([1, 2, 8, 64]))
    match chance.randrange(5):
        case 0:
            del data[start:end]
        case 1:
            data[start:start] = data[start:end]
        case 2:
            data[start:end] = chance.randbytes(end - start)
        case 3:
            other = chance.randrange(len(data) + 1)
            data[start:start] = data[other : other + chance.choice([1, 4, 45])]
        case _ if start < len(data):
            data[start] ^= 1 << chance.randrange(8)


@pytest.fixture(scope="module")
def atheris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install atheris for this run, if it can be had for this Python."""
    folder = tmp_path_factory.mktemp("atheris")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    done = subprocess.run(
        [*command, str(folder), "atheris"], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        pytest.skip(f"not fuzzed by coverage: atheris cannot be installed ({done.stderr[-200:]})")
    return folder


@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
def test_coverage_finds_nothing_either(name: str, atheris: Path, tmp_path: Path) -> None:
    """A minute of atheris each, which looks for bytes that reach new branches."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), name, SECONDS, str(tmp_path / "corpus")],
        env=os.environ | {"PYTHONPATH": str(atheris)},
        capture_output=True,
        text=True,
        timeout=240 + int(SECONDS),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
