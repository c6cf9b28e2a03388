"""The auditor's package: one file with everything that one party may check, and the verifier.

A stored zip, the same bytes for the same content. It holds each thing in the format that other
tools read (SD-JWT presentations, tlog-proof receipts, a tlog-policy, a static tlog-tiles log), and
a verifier that needs nothing but Python. It holds secrets of topics and open fields: it is for
its recipient only, and is to be sealed on its way.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.resources import files as resources
from typing import BinaryIO, Literal

import msgspec

from branchline.foundation.canonical import canonical_json
from branchline.foundation.clock import rfc3339
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.encoding import to_base64url
from branchline.foundation.errors import Refused
from branchline.foundation.keys import PublicKeys
from branchline.ledger.entry import Entry
from branchline.ledger.proof.checkpoint import Checkpoint
from branchline.ledger.proof.policy import Policy
from branchline.ledger.proof.receipt import Receipt
from branchline.ledger.tagproof import Count, TagProof
from branchline.ledger.tiles import CHECKPOINT, TILE_WIDTH, TileName, bundle_name, edge_names

FORMAT = "bl-package/v1"
"""The first thing that a package's list of contents says."""

CONTENTS, README, VERIFIER, POLICY, VKEY = (
    "contents.json",
    "README.txt",
    "verify.py",
    "policy.txt",
    "vkey",
)
"""The names of a package's files that every package has."""

LOG_CHECKPOINT, TAG_PROOF, EVIDENCE = f"log/{CHECKPOINT}", "tags/proof", "evidence/"
"""Where the checkpoint, a proof by a tag tree, and files of evidence stand in a package."""

MAIN = "__main__.py"
"""With this file a package runs as a program: ``python3 -I -S PACKAGE``."""

_NO_TIME = (1980, 1, 1, 0, 0, 0)
_MAIN_TEXT = "import sys\n\nfrom verify import main\n\nsys.exit(main())\n"
_README_TEXT = """\
This is a package for {recipient}, made {made}.
{about}

It proves what parties said, to whom it may concern, and in which order. It does not prove that what
they said is true. It holds fields and secrets that are for {recipient} only: keep it accordingly.

To check it, on any machine with Python 3.9 or later, offline:

    python3 -I -S THIS-FILE                     the file as you received it
    python3 -I -S verify.py                     where you unpacked it
    ... --policy sha256:...                     compare with the policy that you were told of
    ... --entries                               show the entries with their open fields

Two things you have to know from elsewhere, since no package can prove them of itself: the digest of
the policy ({policy}),
which says whose signatures count; and whose the keys are that signed the entries. The verifier in
here came with what it checks. If you doubt its sender, take verify.py from a release of Branchline.

What is in here:

    contents.json       what this is, the keys by name, the topics, and a digest of every file
    policy.txt          whose signatures count, and how many (C2SP tlog-policy)
    vkey                the ledger's verifier key (C2SP signed-note)
    log/                the ledger, or of it the checkpoint alone (C2SP tlog-tiles)
    entries/N.sd-jwt    the entry at position N with its open fields (SD-JWT, RFC 9901)
    entries/N.tlog-proof   its receipt (C2SP tlog-proof)
    tags/proof          a proof by the ledger's tag tree, if the ledger itself is not in here
    evidence/           what else belongs to the case
    verify.py           the verifier: one file of Python, to be read
"""


class NamedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that signed entries, by the name of its party.

    Args:
        name: The party's name; the package is no proof of it.
        sign: Its raw Ed25519 key, base64url.
    """

    name: str
    sign: str


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A topic of which the package shows that it has all entries.

    Args:
        name: For people.
        secret: Its 32 bytes in base64url. Whoever has them can follow the topic from now on.
        at_least: How many numbers are known to be taken.
        actors: The keys of those who may write into it, by their ids.
    """

    name: str
    secret: str
    at_least: Count
    actors: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Topic({self.name!r})"


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the tag tree's head is stated.

    Args:
        position: The entry that states it; it has to be among those shown.
        keeper: The key of whoever keeps the tag tree.
    """

    position: Count
    keeper: str


class Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A package's list of contents.

    Args:
        format: The version of the format.
        recipient: Whom it is for.
        made: When, by its maker's clock.
        about: What it is about, in a sentence.
        keys: Who signed.
        topics: Of what it shows that it is complete.
        ledger: Whether it holds all entries of the ledger.
        head: Where the tag tree's head is stated; None without one.
        files: A digest of every other file.
    """

    format: Literal["bl-package/v1"]
    recipient: str
    made: str
    about: str
    keys: tuple[NamedKey, ...]
    topics: tuple[Topic, ...]
    ledger: bool
    head: Head | None
    files: dict[str, str]


class Shown(msgspec.Struct, frozen=True):
    """An entry to be shown, with what proves it.

    Args:
        entry: With the disclosures that the recipient may see.
        receipt: At the package's checkpoint.
    """

    entry: Entry
    receipt: Receipt


class Tags(msgspec.Struct, frozen=True):
    """A proof by a tag tree, for a package without the ledger.

    Args:
        head: Where the tag tree's head is stated.
        proof: Settles every tag of the package's topics, and the sixteen after the last of each.
    """

    head: Head
    proof: TagProof


class Package(msgspec.Struct, frozen=True):
    """What is to be packed.

    Args:
        recipient: Whom it is for.
        made: The time.
        about: What it is about, in a sentence.
        policy: Whose signatures count.
        checkpoint: The signed and cosigned note that all receipts are at.
        keys: Whoever signed an entry shown or writes into a topic, by name.
        entries: What is shown.
        topics: Of what it is to be shown that it is complete; needs ``read`` or ``tags``.
        read: Gives the ledger's files, to be packed whole; None to leave them out.
        tags: The proof for a light reader; None without one.
        evidence: Further files by name.
    """

    recipient: str
    made: datetime
    about: str
    policy: Policy
    checkpoint: bytes
    keys: Mapping[str, PublicKeys]
    entries: Sequence[Shown] = ()
    topics: Sequence[Topic] = ()
    read: Callable[[str], bytes] | None = None
    tags: Tags | None = None
    evidence: Mapping[str, bytes] = {}


def write_package(target: BinaryIO, package: Package) -> Contents:
    """Write a package; the same content gives the same bytes.

    The ledger's files pass one by one: what is in memory at a time is one of them. Whether the
    package holds is not checked here: ``verify_package`` does, and is to be asked before it is
    sent.

    Raises:
        Refused: An entry twice, a receipt at another checkpoint, a topic without anything that
            could show that it is complete, or a name that no file can have.
        Corrupt: The checkpoint is not one that the policy accepts.
        NotFound: A file of the ledger is missing.
    """
    checkpoint = package.policy.open(package.checkpoint).checkpoint
    _check(package)
    digests: dict[str, str] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in _files(package, checkpoint):
            digests[name] = digest_of(data)
            archive.writestr(_info(name), data)
        contents = Contents(
            format="bl-package/v1",
            recipient=package.recipient,
            made=rfc3339(package.made),
            about=package.about,
            keys=tuple(NamedKey(name, keys.sign) for name, keys in sorted(package.keys.items())),
            topics=tuple(package.topics),
            ledger=package.read is not None,
            head=package.tags.head if package.tags else None,
            files=digests,
        )
        archive.writestr(_info(CONTENTS), canonical_json(contents))
    return contents


def topic_of(name: str, secret: bytes, actors: Mapping[str, PublicKeys], at_least: int) -> Topic:
    """Describe a topic for a package.

    Args:
        name: For people.
        secret: Its 32 secret bytes.
        actors: Who may write into it.
        at_least: How many numbers are known to be taken.
    """
    return Topic(name, to_base64url(secret), at_least, tuple(sorted(k.id for k in actors.values())))


def verifier_source() -> bytes:
    """Return the source of the verifier that packages carry."""
    return resources("branchline.ledger.standalone").joinpath(VERIFIER).read_bytes()


def verifier_digest() -> Digest:
    """Name the verifier that packages carry, to be published and compared."""
    return Digest("sha256:" + hashlib.sha256(verifier_source()).hexdigest())


def ledger_names(size: int) -> Iterator[TileName]:
    """Name all tiles and bundles of a ledger of a size."""
    level, count = 0, size
    while count:
        yield from (TileName(level, index) for index in range(count // TILE_WIDTH))
        level, count = level + 1, count // TILE_WIDTH
    yield from edge_names(size)
    yield from (bundle_name(index, size) for index in range(-(-size // TILE_WIDTH)))


def _files(package: Package, checkpoint: Checkpoint) -> Iterator[tuple[str, bytes]]:
    about = {"recipient": package.recipient, "made": rfc3339(package.made), "about": package.about}
    policy = package.policy
    yield README, _README_TEXT.format(policy=policy.digest, **about).encode()
    yield MAIN, _MAIN_TEXT.encode()
    for shown in sorted(package.entries, key=lambda shown: shown.receipt.index):
        name = f"entries/{shown.receipt.index}."
        presented = "~".join((shown.entry.jws, *shown.entry.disclosures, ""))
        yield name + "sd-jwt", presented.encode()
        yield name + "tlog-proof", shown.receipt.text.encode()
    for file, data in sorted(package.evidence.items()):
        yield EVIDENCE + file, data
    yield LOG_CHECKPOINT, package.checkpoint
    if package.read is not None:
        for path in sorted(name.path for name in ledger_names(checkpoint.size)):
            yield f"log/{path}", package.read(path)
    yield POLICY, policy.text.encode(errors="surrogateescape")
    if package.tags is not None:
        yield TAG_PROOF, package.tags.proof.data
    yield VERIFIER, verifier_source()
    key = next(log.key for log in policy.logs if log.key.name == checkpoint.origin)
    yield VKEY, f"{key.text}\n".encode()


def _check(package: Package) -> None:
    positions = [shown.receipt.index for shown in package.entries]
    if len(set(positions)) != len(positions):
        raise Refused("A package cannot show an entry twice")
    note = package.checkpoint.decode()
    if any(shown.receipt.checkpoint != note for shown in package.entries):
        raise Refused(
            "A receipt in a package is at another checkpoint than the package",
            advice="Make all receipts at one checkpoint",
        )
    if package.topics and package.read is None and package.tags is None:
        raise Refused("Nothing in the package could show that a topic is complete")
    for name in package.evidence:
        if "/" in name or not name or name.startswith("."):
            raise Refused(f"{name[:80]!r} is no name for a file of evidence")


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _NO_TIME)
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info
