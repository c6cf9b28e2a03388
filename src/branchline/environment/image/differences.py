"""Say, file by file, in what two images differ."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from branchline.environment.image import images
from branchline.environment.image.entries import Entry, Layer, stacked
from branchline.environment.image.store import Store
from branchline.environment.lock.model import Lock
from branchline.foundation.digest import Digest, short
from branchline.foundation.errors import NotFound, Refused

_MOST_NAMED = 10
_MOST_COMPARED = 20
_SECONDS = 60


class OtherImage(Refused):
    """A lock names an image, and building it gave another one."""

    code = "other-image"


@dataclass(frozen=True)
class Difference:
    """One path in which two images differ."""

    path: str
    before: Entry | None
    after: Entry | None

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            return f"/{self.path}: only {'after' if self.before is None else 'before'}"
        parts = [
            f"{name} {old} and {new}"
            for name, old, new in (
                ("a", self.before.kind, self.after.kind),
                ("mode", f"{self.before.mode:o}", f"{self.after.mode:o}"),
                ("size", self.before.size, self.after.size),
                ("content", self.before.sha256[:12], self.after.sha256[:12]),
                ("target", self.before.target, self.after.target),
            )
            if old != new
        ]
        return f"/{self.path}: {', '.join(parts)}"


def differences(before: Sequence[Layer], after: Sequence[Layer]) -> Iterator[Difference]:
    """Yield the paths in which two images differ, sorted; before and after are their layers."""
    old = stacked([layer.entries for layer in before])
    new = stacked([layer.entries for layer in after])
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path):
            yield Difference(path, old.get(path), new.get(path))


def refuse_other(lock: Lock, built: Digest, layers: Sequence[Layer], store: Store) -> None:
    """Raise unless the image built is the one that its lock names, if it names one.

    Raises:
        OtherImage: It is another; the sentence and its detail say in which files.
    """
    if lock.image is None or lock.image == built:
        return
    try:
        named = images.open_image(store, lock.image)
        before = [store.layer(layer.digest) for layer in named.layers]
    except NotFound:
        advice = "The one named is not in this store, so they cannot be compared; import it first"
        found: list[Difference] = []
    else:
        found = list(differences(before, layers))
        shown = "; ".join(str(difference) for difference in found[:_MOST_NAMED])
        more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        advice = f"They differ in {len(found)} files: {shown}{more}"
        report = _diffoscope(found, store, f"{short(lock.image)}-{short(built)}")
        advice += f". What diffoscope says of them is in {report}" if report else ""
    raise OtherImage(
        f"The lock names the image {lock.image}, but building it gave {built}",
        advice=advice,
        detail={"named": lock.image, "built": built, "paths": [d.path for d in found]},
    )


def _diffoscope(found: Sequence[Difference], store: Store, name: str) -> Path | None:
    """Let diffoscope, if it is installed, look at the files whose contents differ."""
    program = shutil.which("diffoscope")
    pairs = [(d.before, d.after) for d in found if d.before and d.after and d.before.sha256]
    if program is None or not pairs:
        return None
    folder = store.logs / f"{name}.differences"
    folder.mkdir(exist_ok=True)
    for number, (before, after) in enumerate(pairs[:_MOST_COMPARED]):
        report = folder / f"{number:02d}-{Path(before.path).name}.txt"
        argv = [program, "--text", str(report), "--no-progress", "--max-text-report-size", "65536"]
        argv += [store.objects.path(before), store.objects.path(after)]
        try:
            subprocess.run(argv, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            continue
    return folder
