"""uv is asked as this machine's pip is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from branchline.environment.lock.python import uv
from branchline.foundation.errors import Refused

VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration file of pip that is the only one there is."""
    for name in (*VARIABLES, "UV_INDEX_STRATEGY", "SSL_CERT_FILE", "PIP_FIND_LINKS", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    uv._pip_settings.cache_clear()
    yield file
    uv._pip_settings.cache_clear()


def test_indexes_links_and_certificates_are_pips(pip: Path) -> None:
    """Whatever pip is told on this machine, uv is told, too."""
    pip.write_text(
        "[global]\nindex-url = https://inside.example/simple\ncert = /etc/inside.pem\n"
        "extra-index-url =\n    https://more.example/simple\n    https://yet.example/simple\n"
        "find-links = /srv/wheels\n"
    )
    found = uv.variables()
    assert found["UV_DEFAULT_INDEX"] == "https://inside.example/simple"
    assert found["UV_INDEX"] == "https://more.example/simple https://yet.example/simple"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert found["UV_FIND_LINKS"] == "/srv/wheels"
    assert found["SSL_CERT_FILE"] == "/etc/inside.pem"
    assert "VIRTUAL_ENV" not in found


def test_uvs_own_variables_go_before(pip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has set up uv is left alone with that; pip's variables go before its files."""
    pip.write_text("[global]\nindex-url = https://inside.example/simple\nfind-links = /file\n")
    monkeypatch.setenv("UV_INDEX", "https://mine.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/variable")
    found = uv.variables()
    assert found["UV_INDEX"] == "https://mine.example/simple"
    assert "UV_DEFAULT_INDEX" not in found
    assert found["UV_FIND_LINKS"] == "/variable"


def test_uv_is_found_beside_our_own_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not just any uv of the path; where there is none at all, a sentence says how to get it."""
    done = subprocess.run([uv.find_uv(), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"uv {uv.uv_version()}")
    assert Path(uv.find_uv()).parent == Path(sys.executable).parent
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match=r"uv, which resolves Python packages, is not installed"):
        uv.find_uv()
