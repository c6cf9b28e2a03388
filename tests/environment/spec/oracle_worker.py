"""Run repo2docker's own detection and planning, tree by tree; speaks JSON lines.

One process, one tree at a time: the packs read the current folder. Two answers that the packs would
ask the network for are given here: the list of Julia's versions, and a snapshot of CRAN.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
from typing import Any

from repo2docker.app import Repo2Docker
from repo2docker.buildpacks.base import BaseImage
from repo2docker.buildpacks.julia import julia_project
from repo2docker.buildpacks.r import RBuildPack

JULIAS = [f"{major}.{minor}.0" for major, minors in ((0, 8), (1, 13)) for minor in range(minors)]
_FILES = {
    "environment": re.compile(r'env update -p \S+ --file "([^"]+)"'),
    "requirements": re.compile(r'pip install --no-cache-dir -r "([^"]+)"'),
    "install.R": re.compile(r"--no-environ (\S*install\.R)\b"),
    "nix": re.compile(r"nix-shell (\S*default\.nix)"),
}
_APT = "apt-get install --yes --no-install-recommends"
_PACKAGE = re.compile(r"pip install --no-cache-dir \.$", re.M)


def plan(app: Repo2Docker, folder: str) -> dict[str, Any]:
    """Return what repo2docker would do with a folder."""
    os.chdir(folder)
    constraints: list[str] = []

    def remembering(text: Any, known: list[str]) -> Any:
        constraints.append(text)
        return _find_semver_match(text, known)

    julia_project.find_semver_match = remembering
    packs = (kind(base_image=app.base_image) for kind in app.buildpacks)
    pack = next((pack for pack in packs if pack.detect()), None)
    matched = pack is not None
    pack = pack or app.default_buildpack(base_image=app.base_image)
    pack.platform = "linux/amd64"
    name = type(pack).__name__.removesuffix("BuildPack")
    rendered = pack.render({})
    said: dict[str, Any] = {"winner": name if matched else "default"}
    said["python"] = (
        getattr(pack, "python_version", None) if name not in ("Docker", "Nix") else None
    )
    said["r"] = pack.r_version if name == "R" else None
    said["julia"] = constraints[0] if constraints else None
    said["package"] = bool(_PACKAGE.search(rendered)) and name != "Docker"
    said["applied"] = sorted(applied(pack, name, rendered))
    return said


def applied(pack: Any, name: str, rendered: str) -> set[str]:
    """Return the files that have a part in the plan."""
    if name == "Docker":
        return {pack.binder_path("Dockerfile")}
    found = {path for pattern in _FILES.values() for path in pattern.findall(rendered)}
    if any(_APT in script for _, script in BaseImage.get_preassemble_scripts(pack)):
        found.add(pack.binder_path("apt.txt"))
    found.update(pack.get_post_build_scripts())
    start = pack.binder_path("start")
    if name == "Nix":
        found.update({start} if os.path.exists(start) else ())  # its wrapper looks for it
    elif pack.get_start_script():
        found.add(start)
    if name == "Pipfile":
        found.update(p for p in pack.get_preassemble_script_files() if "Pipfile" in p)
    if "remotes::install_local()" in rendered:
        found.add("DESCRIPTION")
    if name == "JuliaProjectToml":
        other = pack.binder_path("JuliaProject.toml")
        found.add(other if os.path.exists(other) else pack.binder_path("Project.toml"))
    if name == "JuliaRequire":
        found.add(pack.binder_path("REQUIRE"))
    return found


def main() -> None:
    """Answer each line, a folder, with a line: the plan, or what was raised."""
    logging.disable(logging.CRITICAL)
    app = Repo2Docker()
    for line in sys.stdin:
        try:
            said = plan(app, json.loads(line))
        except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
            said = {"refused": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)  # noqa: T201 - this is how it answers


def _no_network(*_: object, **__: object) -> None:
    raise OSError("the oracle has no network")


_find_semver_match = julia_project.find_semver_match
julia_project.JuliaProjectTomlBuildPack.all_julias = JULIAS
RBuildPack.get_rspm_snapshot_url = lambda *_: "snapshot"
socket.socket.connect = _no_network  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
