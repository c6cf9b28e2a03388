"""Central's tables. Acts are the history; the others are views of it or things acts name."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

invitations = Table(
    "invitations",
    metadata,
    Column("token_digest", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("expires", String, nullable=False),
    Column("used_by", String),
)

parties = Table(
    "parties",
    metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("key_id", String, nullable=False, unique=True),
    Column("sign", String, nullable=False),
    Column("seal", String, nullable=False),
)

witnesses = Table(
    "witnesses",
    metadata,
    Column("party", String, primary_key=True),
    Column("vkey", String, nullable=False, unique=True),
    Column("entity", String),
)

acts = Table(
    "acts",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("party", String, nullable=False),
    Column("journey", String, index=True),
    Column("study", String, index=True),
    Column("entry", LargeBinary, nullable=False),
)

beside = Table(
    "beside",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("entry", String, nullable=False, unique=True),
    Column("data", LargeBinary),
)
"""What lies beside each act's entry, encrypted by its actor; nothing if the actor sent nothing."""

people = Table(
    "people",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
"""The disclosures of each act's fields about people, encrypted: in ``acts`` they are not."""

erasures = Table(
    "erasures",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("entry", String, nullable=False, unique=True),
)
"""Where each act that erased stands, and the entry whose fields about people it erased."""

journeys = Table(
    "journeys",
    metadata,
    Column("id", String, primary_key=True),
    Column("requester", String, nullable=False, index=True),
    Column("finished", Integer, nullable=False, default=0, index=True),
)

studies = Table(
    "studies",
    metadata,
    Column("digest", String, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("document", LargeBinary, nullable=False),
    Column("position", Integer, nullable=False),
)

trains = Table(
    "trains",
    metadata,
    Column("digest", String, primary_key=True),
    Column("author", Text, nullable=False),
    Column("party", String, nullable=False),
)

parcels = Table(
    "parcels",
    metadata,
    Column("digest", String, primary_key=True),
    Column("party", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("data", LargeBinary),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False),
    Column("path", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("sentence", Text, nullable=False),
)
