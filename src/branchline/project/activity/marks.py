"""The mark of a recorder: it tells the next one from when to when nobody recorded.

A recorder leaves its mark when it begins, touches it while it is alive, and takes it away when it has
written everything. One that was killed leaves it; its file's time says until when it was alive.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.decoding import decode_json
from branchline.foundation.durable import make_folder, write_durably


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    since: str
    process: int


@dataclass(frozen=True)
class Missed:
    """From when to when nobody recorded.

    Args:
        since: When the recorder that was killed had begun.
        start: When it was last known to be alive.
        end: When the next one began.
    """

    since: str
    start: str
    end: str

    def as_json(self) -> dict[str, str]:
        """Return what a record says of it."""
        return {"since": self.since, "from": self.start, "to": self.end}


@dataclass(frozen=True)
class Mark:
    """A recorder's mark.

    Args:
        file: Where it is, in a clone's own state.
        clock: The time.
    """

    file: Path
    clock: Clock

    def missed(self) -> Missed | None:
        """Return what a recorder that was killed has left; None where none was."""
        try:
            before = decode_json(self.file.read_bytes(), _Said)
            until = rfc3339(datetime.fromtimestamp(self.file.stat().st_mtime, UTC))
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            self.file.unlink()
            return None
        return Missed(before.since, max(until, before.since), rfc3339(self.clock.now()))

    def leave(self) -> None:
        """Leave this recorder's mark."""
        make_folder(self.file.parent)
        said = _Said(rfc3339(self.clock.now()), os.getpid())
        write_durably(self.file, msgspec.json.encode(said))

    def alive(self) -> None:
        """Say that the recorder is alive."""
        os.utime(self.file)

    def take_away(self) -> None:
        """Say that everything is written."""
        self.file.unlink(missing_ok=True)
