"""Write dpkg's database as if dpkg had unpacked packages itself (dpkg(1), deb-triggers(5)).

A package stands there as *unpacked*, with its control files, the paths it brought and its
configuration files; `dpkg --configure` then takes it from there, in its own order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from branchline.environment.image.deb import Control
from branchline.environment.image.modes import append, make_folders, put
from branchline.environment.image.place import merged, parts_of

ADMIN = Path("var/lib/dpkg")
_STATUS = "Status: install ok unpacked"


def qualified(control: Control) -> str:
    """Return a package's name as its files in the database are called."""
    name = control.fields["Package"]
    if control.fields.get("Multi-Arch", "") == "same":
        return f"{name}:{control.fields['Architecture']}"
    return name


def owners(root: Path) -> dict[str, str]:
    """Return which package each path of an image belongs to, folders left out."""
    found = {}
    for file in sorted((root / ADMIN / "info").glob("*.list")):
        package = file.name.removesuffix(".list").partition(":")[0]
        for line in file.read_text(encoding="utf-8").splitlines():
            path = "/".join(merged(tuple(_path(line, package).split("/"))))
            if path and not (root / path).is_dir():
                found[path] = package
    return found


def begin(root: Path) -> None:
    """Make an empty database where there is none."""
    admin = root / ADMIN
    for folder in ("info", "updates", "triggers", "parts"):
        make_folders(admin / folder)
    put(admin / "info" / "format", "1\n")
    for empty in ("available", "diversions", "statoverride", "status"):
        append(admin / empty, "")


def register(root: Path, unpacked: Mapping[str, Control], paths: Mapping[str, list[str]]) -> None:
    """Enter packages as unpacked.

    Args:
        root: The image, with its files in place.
        unpacked: Each package's control files, by name.
        paths: The paths each brought, absolute, in the package's own order.
    """
    admin, info = root / ADMIN, root / ADMIN / "info"
    status = admin / "status"
    stanzas = [status.read_text(encoding="utf-8").rstrip("\n")]
    for name in sorted(unpacked):
        control = unpacked[name]
        stem = qualified(control)
        put(info / f"{stem}.list", "".join(f"{p}\n" for p in paths[name]))
        for file, (content, mode) in control.files.items():
            put(info / f"{stem}.{file}", content, 0o755 if mode & 0o111 else 0o644)
        stanzas.append(_stanza(root, control))
    put(status, "\n\n".join(s for s in stanzas if s) + "\n")
    _register_triggers(admin / "triggers", unpacked, paths)


def diversions(root: Path) -> dict[str, tuple[str, str]]:
    """Return the diversions in force, by path as it is written: where to, and for whom not."""
    file = root / ADMIN / "diversions"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    triples = zip(lines[::3], lines[1::3], lines[2::3], strict=True)
    return {_path(path, by): (_path(to, by), by) for path, to, by in triples}


def _path(line: str, package: str) -> str:
    return "/".join(parts_of(line.removeprefix("/"), package))


def order(unpacked: Mapping[str, Control]) -> list[str]:
    """Return the packages so that each comes after those it pre-depends on."""
    provided: dict[str, list[str]] = {}
    for name in sorted(unpacked):
        for other in (name, *relations(unpacked[name].fields.get("Provides", ""))):
            provided.setdefault(other, []).append(name)
    done: dict[str, None] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in done or name in above:
            return
        for wanted in relations(unpacked[name].fields.get("Pre-Depends", "")):
            for other in provided.get(wanted, ()):
                visit(other, (*above, name))
        done[name] = None

    for name in sorted(unpacked):
        visit(name, ())
    return list(done)


def relations(text: str) -> list[str]:
    """Return the bare names in a relationship field, alternatives included."""
    return [
        name
        for part in text.replace("|", ",").split(",")
        if (name := part.partition("(")[0].partition(":")[0].strip())
    ]


def _stanza(root: Path, control: Control) -> str:
    lines = control.stanza.strip("\n").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("Package:")) + 1
    lines.insert(at, _STATUS)
    conffiles = control.files.get("conffiles", (b"", 0))[0].decode().split("\n")
    known = [line for line in conffiles if line.startswith("/")]
    if known:
        lines.append("Conffiles:")
        # dpkg compares with MD5; it is no protection here, and none is meant.
        lines += [f" {path} {_md5(root / path.lstrip('/'))}" for path in known]
    return "\n".join(lines)


def _md5(path: Path) -> str:
    try:
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return "newconffile"


def _register_triggers(
    folder: Path, unpacked: Mapping[str, Control], paths: Mapping[str, list[str]]
) -> None:
    """Note who waits for which trigger, and which ones this unpacking has set off."""
    file = folder / "File"
    by_path = file.read_text("utf-8").splitlines() if file.exists() else []
    activated: dict[str, None] = {}
    for name in sorted(unpacked):
        stem = qualified(unpacked[name])
        for verb, trigger in _directives(unpacked[name]):
            awaited = "" if "noawait" not in verb else "/noawait"
            if verb.startswith("activate"):
                activated[trigger] = None
            elif trigger.startswith("/"):
                by_path.append(f"{trigger} {stem}{awaited}")
            else:
                append(folder / trigger, f"{stem}{awaited}\n")
    put(file, "".join(f"{line}\n" for line in by_path))
    watched = sorted({line.split()[0] for line in by_path})
    activated |= dict.fromkeys(t for t in watched if _touched(t, paths.values()))
    append(folder / "Unincorp", "".join(f"{trigger} -\n" for trigger in activated))


def _directives(control: Control) -> Iterable[tuple[str, str]]:
    for line in control.files.get("triggers", (b"", 0))[0].decode().splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 2:
            yield words[0], words[1]


def _touched(trigger: str, paths: Iterable[Sequence[str]]) -> bool:
    return any(p == trigger or p.startswith(trigger + "/") for brought in paths for p in brought)
