"""The hub's tables: views of acts, and what was seen of pushes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, UniqueConstraint

metadata = MetaData()

hosted = Table(
    "hosted_projects",
    metadata,
    Column("id", String, primary_key=True),
    Column("project", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("name", String),
    Column("visibility", String, nullable=False),
    Column("source", String, nullable=False, default=""),
    Column("annex", String, nullable=False),
    Column("position", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    UniqueConstraint("owner", "name"),
)
"""Hosted projects; one that was deleted has no name any more."""

roles = Table(
    "hosted_roles",
    metadata,
    Column("hosted", String, primary_key=True),
    Column("party", String, primary_key=True),
    Column("role", String, nullable=False),
)
"""Who collaborates on which; the owner, too."""

clones = Table(
    "hosted_clones",
    metadata,
    Column("hosted", String, primary_key=True),
    Column("clone", String, primary_key=True),
    Column("party", String, nullable=False),
)
"""Whose each repository is that git-annex's branch tells of: who pushed it first."""

records = Table(
    "hosted_records",
    metadata,
    Column("hosted", String, primary_key=True),
    Column("clone", String, primary_key=True),
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("digest", String, nullable=False),
    Column("key", String, nullable=False),
    Column("at", String, nullable=False),
)
"""The records of activity that were pushed: no chain may ever show another one at its place."""
