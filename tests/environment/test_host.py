"""This machine's own environment: described by versions, shown by mounts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from branchline.environment.host import (
    EnvironmentRefused,
    HostEnvironment,
    describe_host,
    missing,
    mounts,
)


@pytest.fixture(scope="module")
def here() -> HostEnvironment:
    """Return the environment that runs the tests."""
    return describe_host()


def test_it_names_what_is_installed(here: HostEnvironment) -> None:
    """Python and the distributions are listed, and the description is stable."""
    names = dict(here.distributions)
    assert here.python == sys.version.split()[0]
    assert {"numpy", "pyarrow"} <= set(names)
    assert here.reproducible is False
    assert "not reproducible" in here.label
    assert describe_host().digest == here.digest


def test_the_digest_is_of_versions_not_of_paths(here: HostEnvironment, tmp_path: Path) -> None:
    """The same environment under another name has the same digest."""
    (tmp_path / "again").symlink_to(sys.prefix)
    assert describe_host(tmp_path / "again").digest == here.digest


def test_what_a_train_needs_is_compared(here: HostEnvironment) -> None:
    """Names are compared as Python compares them, versions exactly."""
    version = dict(here.distributions)["numpy"]
    wanted = ["NumPy", "py_arrow", f"numpy=={version}", "numpy==0.1", "no-such-thing"]
    assert missing(here, wanted) == ["py_arrow", "numpy==0.1", "no-such-thing"]
    with pytest.raises(EnvironmentRefused, match="name==version"):
        missing(here, ["numpy>=2"])


def test_a_prefix_without_python_is_refused(tmp_path: Path) -> None:
    """A folder that is no Python environment is refused by name."""
    with pytest.raises(EnvironmentRefused, match="there is no Python at"):
        describe_host(tmp_path)


def test_a_prefix_that_holds_more_than_python_is_refused(tmp_path: Path) -> None:
    """A Python that claims a whole home or system folder would show it to trains."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    claims = '["3.11.2", "/root", "/root", []]'
    (binaries / "python").write_text(f"#!/bin/sh\necho '{claims}'\n")
    (binaries / "python").chmod(0o755)
    with pytest.raises(EnvironmentRefused, match="holds more than Python"):
        describe_host(tmp_path)


def test_the_mounts_hold_python_and_no_home(here: HostEnvironment) -> None:
    """/usr and Python's prefixes are bound at their own paths; /etc is made, not shown."""
    shown = mounts(here)
    inside = {path for _, path in shown.root}
    assert {"/usr"} <= inside
    assert not inside & {"/", "/etc", "/home", "/root", "/var"}
    assert all(str(host) == path for host, path in shown.root)
    assert dict(shown.files)["/etc/passwd"].startswith("train:")
    prefixes = [Path(path) for path in inside]
    assert any(Path(shown.python).is_relative_to(prefix) for prefix in prefixes)
    assert any(Path(shown.python).resolve().is_relative_to(prefix) for prefix in prefixes)


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="no Python of Debian's own")
def test_debians_own_python_needs_no_further_mount() -> None:
    """With /usr as the prefix, /usr is all there is to bind."""
    shown = mounts(describe_host(Path("/usr")))
    assert shown.python == "/usr/bin/python3"
    assert [path for _, path in shown.root if not path.startswith("/etc")] == ["/usr"]
