"""A station's folder and its settings, ``station.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from branchline.disclosure.policy import ReleasePolicy
from branchline.disclosure.rules import Thresholds
from branchline.foundation.canonical import parse_json
from branchline.foundation.decoding import decode_toml
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import NotFound, Refused
from branchline.foundation.ids import Name
from branchline.foundation.keys import Identity, PublicKeys
from branchline.ledger.entry import Entry
from branchline.ledger.epochs import Epochs
from branchline.sandbox.limits import Limits

FILE = "station.toml"


class CentralRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where central is, and by which keys it is known since enrolment."""

    url: str
    keys: PublicKeys
    log_vkey: str
    ca_file: str | None = None

    @property
    def origin(self) -> str:
        """The ledger's name, which is that of its key."""
        return self.log_vkey.partition("+")[0]


class EnvironmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the images come from that trains run in.

    Args:
        store: The folder they are kept in; the station's own folder ``environments`` if not set.
        registry: An OCI registry's repository that is asked after central, ``HOST[:PORT]/NAME``.
        largest_bytes: The most bytes of an image that is fetched, expanded.
    """

    store: str | None = None
    registry: str | None = None
    largest_bytes: int = 16 << 30


class StationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a station works; every part but the first two may be left out.

    Args:
        name: The station's name.
        central: Where central is.
        accept: ``policy`` lets permitted trains in at once, ``person`` asks first.
        limits: What a train may use.
        accept_weaker: Weaker enforcement the administrator accepts by name.
        thresholds: What is demanded of outputs.
        release: What leaves without a person.
        environments: Where the images come from that trains run in.
    """

    name: Name
    central: CentralRef
    accept: Literal["policy", "person"] = "policy"
    limits: Limits = Limits()
    accept_weaker: tuple[str, ...] = ()
    thresholds: Thresholds = Thresholds()
    release: ReleasePolicy = ReleasePolicy()
    environments: EnvironmentSettings = EnvironmentSettings()


@dataclass(frozen=True)
class StationHome:
    """A station's data folder."""

    folder: Path

    @property
    def identity(self) -> Identity:
        """The station's keys; made here the first time, and never anywhere else."""
        return Identity.load_or_create(self.folder / "keys")

    @property
    def witness(self) -> Identity:
        """The keys with which the station cosigns the ledger; they sign nothing else."""
        return Identity.load_or_create(self.folder / "keys" / "witness")

    @property
    def epochs(self) -> Epochs:
        """The secrets with which the station seals its acts."""
        return Epochs(self.folder / "keys")

    def enrolment(self) -> list[Entry]:
        """Return the entries with which this station enrolled, or tried to."""
        files = sorted((self.folder / "enrolment").glob("*.json"))
        return [parse_json(file.read_bytes(), Entry, what="enrolment") for file in files]

    def keep_enrolment(self, origin: str, entry: Entry) -> None:
        """Keep the entry with which this station enrols at the service with a ledger of this name."""
        name = entry.id.removeprefix("sha256:")
        folder = make_folder(self.folder / "enrolment")
        write_durably(folder / f"{name}.json", msgspec.json.encode(entry), mode=0o600)

    @property
    def database(self) -> Path:
        """The station's database."""
        return self.folder / "station.sqlite"

    @property
    def images(self) -> Path:
        """The folder of images that trains run in."""
        named = self.settings().environments.store
        return Path(named) if named is not None else self.folder / "environments"

    @property
    def control(self) -> Path:
        """The socket on which commands wake the running agent."""
        return self.folder / "control.sock"

    def settings(self) -> StationSettings:
        """Read ``station.toml``.

        Raises:
            NotFound: This folder is no station's.
            Refused: The file is not acceptable; the sentence names the key.
        """
        file = self.folder / FILE
        if not file.exists():
            raise NotFound(
                f"There is no station in {self.folder}",
                advice="Enrol one with 'branchline station enroll INVITATION'",
            )
        try:
            return decode_toml(file.read_bytes(), StationSettings)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(
                f"{FILE} is not acceptable: {error}", advice="Correct the file"
            ) from error

    def write_settings(self, settings: StationSettings) -> None:
        """Write ``station.toml`` durably, defaults spelled out for whoever edits it."""
        plain = _without_none(_spelled_out(settings))
        write_durably(self.folder / FILE, msgspec.toml.encode(plain), mode=0o600)


def _spelled_out(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return {name: _spelled_out(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, frozenset | tuple):
        return sorted(value) if isinstance(value, frozenset) else list(value)
    return value


def _without_none(value: object) -> object:
    """TOML has no null: what is not set is left out."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
