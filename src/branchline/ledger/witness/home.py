"""The folder of a witness that is no station: its key, the logs it watches, what it cosigned.

An auditor's office or a university may run one. It keeps no mirror: it vouches for growth alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from branchline.foundation.clock import Clock
from branchline.foundation.database import open_database
from branchline.foundation.decoding import decode_toml
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.ledger.proof.cosignature import cosigner_key
from branchline.ledger.proof.note import VerifierKey, parse_key
from branchline.ledger.witness.store import WitnessStore
from branchline.ledger.witness.witness import Witness

FILE = "witness.toml"


class WitnessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a witness is.

    Args:
        name: The name of its key, as policies name it.
        logs: The verifier keys of the logs it watches.
    """

    name: str
    logs: tuple[str, ...]


@dataclass(frozen=True)
class WitnessHome:
    """The data folder of a witness that is no station."""

    folder: Path

    @property
    def exists(self) -> bool:
        """Whether there is a witness in the folder."""
        return (self.folder / FILE).is_file()

    @property
    def signer(self) -> Identity:
        """Its key, which signs nothing but cosignatures; made here, and never anywhere else."""
        return Identity.load_or_create(self.folder / "keys")

    @property
    def key(self) -> VerifierKey:
        """What verifies its cosignatures."""
        return cosigner_key(self.settings().name, self.signer.public)

    def settings(self) -> WitnessSettings:
        """Read ``witness.toml``.

        Raises:
            NotFound: There is no witness in the folder.
            Refused: The file is not acceptable.
        """
        if not self.exists:
            raise NotFound(
                f"There is no witness in {self.folder}",
                advice="Make one with 'branchline ledger witness init NAME --log VKEY'",
            )
        try:
            return decode_toml((self.folder / FILE).read_bytes(), WitnessSettings)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(
                f"{FILE} is not acceptable: {error}", advice="Correct the file"
            ) from error

    def logs(self) -> dict[str, list[VerifierKey]]:
        """Return the keys of the logs it watches, by origin."""
        found: dict[str, list[VerifierKey]] = {}
        for key in map(parse_key, self.settings().logs):
            found.setdefault(key.name, []).append(key)
        return found

    def store(self) -> WitnessStore:
        """Open its memory."""
        return WitnessStore(open_database(self.folder / "witness.sqlite"))

    def witness(self, clock: Clock) -> Witness:
        """Open the witness itself."""
        name = self.settings().name
        return Witness(self.store(), name, self.signer, clock, logs=self.logs())


def initialise(home: WitnessHome, name: str, logs: Sequence[str]) -> VerifierKey:
    """Make a witness, or let one watch more logs; return the key of its cosignatures.

    Args:
        home: Its folder.
        name: The name of its key: a URL prefix without scheme, such as ``auditor.example/witness``.
        logs: Verifier keys of the logs to watch.

    Raises:
        Refused: A name or key is malformed.
        Conflict: The folder is another witness's.
    """
    known: tuple[str, ...] = ()
    if home.exists:
        before = home.settings()
        if before.name != name:
            raise Conflict(
                f"The folder {home.folder} belongs to the witness {before.name!r}",
                advice="Give another folder with --home",
            )
        known = before.logs
    texts = dict.fromkeys((*known, *(parse_key(log.strip()).text for log in logs)))
    key = cosigner_key(name, home.signer.public)
    make_folder(home.folder)
    settings = WitnessSettings(name, tuple(texts))
    write_durably(home.folder / FILE, msgspec.toml.encode(settings), mode=0o600)
    return key
