"""A researcher's folder: keys, the central services known since enrolment, trains and results."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from branchline.foundation.canonical import parse_json
from branchline.foundation.digest import Digest, parse_digest
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import NotFound
from branchline.foundation.ids import Name
from branchline.foundation.keys import Identity, PublicKeys
from branchline.ledger.entry import Entry
from branchline.ledger.epochs import Epochs
from branchline.workbench.topic import OwnTopic

ENVIRONMENT = "BRANCHLINE_HOME"
"""The variable that names another folder than ``~/.branchline``."""

_FILE = "workbench.json"


class CentralRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A central service, pinned at enrolment.

    Args:
        origin: The name of its ledger.
        url: Where it is.
        name: The name this person has there.
        keys: Its keys.
        log_vkey: Its ledger's key (a signed note's verifier key).
        ca_file: Certificates to trust for it in place of the system's.
    """

    origin: str
    url: str
    name: Name
    keys: PublicKeys
    log_vkey: str
    ca_file: str | None = None


class KeptTrain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered of a packed train.

    Args:
        author: The JWS with which its author signed it.
        sent: Origins of the central services it was sent to.
    """

    author: str
    sent: tuple[str, ...] = ()


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    centrals: tuple[CentralRef, ...] = ()


def default_folder() -> Path:
    """Return the folder that ``BRANCHLINE_HOME`` names, or ``~/.branchline``."""
    return Path(os.environ.get(ENVIRONMENT) or Path.home() / ".branchline")


@dataclass(frozen=True)
class WorkbenchHome:
    """A researcher's data folder."""

    folder: Path

    @property
    def identity(self) -> Identity:
        """The researcher's keys; made here the first time, and never anywhere else."""
        return Identity.load_or_create(self.folder / "keys")

    @property
    def epochs(self) -> Epochs:
        """The secrets with which the researcher seals his acts."""
        return Epochs(self.folder / "keys")

    @property
    def results(self) -> Path:
        """Where result folders go unless somewhere else is asked for."""
        return self.folder / "results"

    def topic(self, origin: str) -> OwnTopic:
        """Return this person's own topic at the central service with a ledger of this name."""
        return OwnTopic(self.folder / "topics" / f"{sha256(origin.encode()).hexdigest()}.json")

    def keep_act(self, origin: str, position: int, entry: Entry) -> None:
        """Keep an act of this person's own, as it stands in a central service's ledger."""
        folder = make_folder(self._acts(origin))
        write_durably(folder / f"{position}.json", msgspec.json.encode(entry), mode=0o600)

    def keep_enrolment(self, origin: str, entry: Entry) -> None:
        """Keep the entry with which this person enrols; where it will stand is not known yet."""
        folder = make_folder(self._acts(origin))
        name = f"enrolment-{entry.id.removeprefix('sha256:')}.json"
        write_durably(folder / name, msgspec.json.encode(entry), mode=0o600)

    def acts(self, origin: str) -> list[Entry]:
        """Return this person's own acts at a central service, enrolment first, then in order."""
        files = list(self._acts(origin).glob("*.json"))
        files.sort(key=lambda file: int(file.stem) if file.stem.isdigit() else -1)
        return [parse_json(file.read_bytes(), Entry, what="act kept") for file in files]

    def change_acts(self, origin: str, change: Callable[[Entry], Entry]) -> None:
        """Replace those of this person's own acts that change; the others are left as they are."""
        for file in self._acts(origin).glob("*.json"):
            entry = parse_json(file.read_bytes(), Entry, what="act kept")
            changed = change(entry)
            if changed is not entry:
                write_durably(file, msgspec.json.encode(changed), mode=0o600)

    def keep_evidence(self, journey: str, data: bytes) -> None:
        """Keep the evidence of a journey; that of an earlier time is replaced."""
        write_durably(make_folder(self.folder / "evidence") / f"{journey}.json", data, mode=0o600)

    def evidence(self) -> list[Path]:
        """Return the files with the evidence of this person's journeys."""
        return sorted((self.folder / "evidence").glob("*.json"))

    def placed_acts(self, origin: str) -> list[tuple[int, Entry]]:
        """Return this person's own acts after enrolment with their positions in the ledger."""
        return [
            (int(file.stem), parse_json(file.read_bytes(), Entry, what="act kept"))
            for file in self._acts(origin).glob("*.json")
            if file.stem.isdigit()
        ]

    def _acts(self, origin: str) -> Path:
        return self.folder / "acts" / sha256(origin.encode()).hexdigest()

    def centrals(self) -> tuple[CentralRef, ...]:
        """Return the central services this person is enrolled at, the first one first."""
        file = self.folder / _FILE
        if not file.exists():
            return ()
        return parse_json(file.read_bytes(), _Settings, what=f"file {_FILE}").centrals

    def central(self, origin: str | None = None) -> CentralRef:
        """Return one central service: the one of an origin, or the first.

        Raises:
            NotFound: This person is not enrolled there.
        """
        for ref in self.centrals():
            if origin in (None, ref.origin, ref.url):
                return ref
        where = "any central service" if origin is None else repr(origin)
        raise NotFound(
            f"Nobody is enrolled at {where} from {self.folder}",
            advice="Enrol with 'branchline enroll INVITATION'",
        )

    def remember(self, ref: CentralRef) -> None:
        """Keep a central service durably; an older reference to it is replaced."""
        kept = tuple(ref if old.origin == ref.origin else old for old in self.centrals())
        if ref not in kept:
            kept = (*kept, ref)
        make_folder(self.folder)
        data = msgspec.json.format(msgspec.json.encode(_Settings(kept)))
        write_durably(self.folder / _FILE, data, mode=0o600)

    # Trains

    def keep_train(self, digest: Digest, data: bytes, kept: KeptTrain) -> None:
        """Keep a packed train, and whom it was sent to, durably."""
        folder = make_folder(self.folder / "trains")
        if not self._train(digest, "tar").exists():
            write_durably(self._train(digest, "tar"), data)
        record = folder / self._train(digest, "json").name
        write_durably(record, msgspec.json.encode(kept))

    def train(self, digest: Digest) -> tuple[bytes, KeptTrain]:
        """Return a train packed here: its bundle, and its author's signature.

        Raises:
            NotFound: No such train was packed here.
        """
        record = self._train(digest, "json")
        if not record.exists():
            raise NotFound(
                f"The train {digest} was not packed in {self.folder}",
                advice="Pack its folder with 'branchline train pack FOLDER'",
            )
        kept = parse_json(record.read_bytes(), KeptTrain, what="record of a train")
        return self._train(digest, "tar").read_bytes(), kept

    def trains(self) -> list[Digest]:
        """Return the digests of the trains packed here."""
        files = sorted((self.folder / "trains").glob("*.json"))
        return [parse_digest(f"sha256:{file.stem}") for file in files]

    def _train(self, digest: Digest, kind: str) -> Path:
        name = parse_digest(digest).removeprefix("sha256:")
        return self.folder / "trains" / f"{name}.{kind}"
