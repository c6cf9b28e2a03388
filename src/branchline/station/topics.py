"""The station's topics: a secret and a counter each, so that its entries can be shown to be all.

Every act of the station carries the next tag of each topic it belongs to: the dataset it is upon,
its stop, the station itself. A number is taken in the very transaction that stores the act, and a
number once taken always comes to stand in the ledger: with the act, or with the word that the act
was voided. So a topic has no gap that is not somebody's doing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    select,
    update,
)

from branchline.foundation.database import reading
from branchline.foundation.errors import NotFound
from branchline.ledger.topics import tag_of

metadata = MetaData()

_topics = Table(
    "topics",
    metadata,
    Column("name", String, primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    Column("next", Integer, nullable=False),
)

_taken = Table(
    "topic_numbers",
    metadata,
    Column("topic", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("act", String, nullable=False, index=True),
)

OWN = "own"
"""The topic of everything the station itself does."""

ELSEWHERE = ""
"""Stands in place of an act where a number was found taken in the ledger by another entry."""


@dataclass(frozen=True)
class Topic:
    """One topic.

    Args:
        name: What it is about; known here only.
        secret: Its 32 secret bytes.
        next: How many of its numbers are taken.
    """

    name: str
    secret: bytes
    next: int


def dataset_topic(dataset: str) -> str:
    """Name the topic of everything done upon a dataset."""
    return f"dataset/{dataset}"


def stop_topic(journey: str, attempt: int) -> str:
    """Name the topic of one attempt of one journey; its secret is told to the requester."""
    return f"stop/{journey}/{attempt}"


def topic(connection: Connection, name: str) -> Topic:
    """Return a topic, made the first time it is asked for."""
    row = connection.execute(select(_topics).where(_topics.c.name == name)).first()
    if row is None:
        made = Topic(name, secrets.token_bytes(32), 0)
        connection.execute(insert(_topics).values(name=name, secret=made.secret, next=0))
        return made
    return Topic(row.name, bytes(row.secret), row.next)


def topics(engine: Engine) -> list[Topic]:
    """Return all topics."""
    with reading(engine) as connection:
        rows = connection.execute(select(_topics).order_by(_topics.c.name)).all()
    return [Topic(row.name, bytes(row.secret), row.next) for row in rows]


def one_topic(engine: Engine, name: str) -> Topic:
    """Return a topic of which there are entries.

    Raises:
        NotFound: There are none.
    """
    for found in topics(engine):
        if found.name == name:
            return found
    raise NotFound(f"Nothing was ever recorded here about {name}")


def take(connection: Connection, names: Sequence[str], act: str) -> tuple[str, ...]:
    """Take the next tag of each topic for an act; inside the caller's transaction."""
    return tuple(_take(connection, name, act) for name in names)


def hand_on(connection: Connection, act: str, heir: str) -> tuple[str, ...]:
    """Let another act stand where one was to stand; return the tags it takes over."""
    rows = _of(connection, act)
    connection.execute(update(_taken).where(_taken.c.act == act).values(act=heir))
    return tuple(tag_of(topic(connection, name).secret, number) for name, number in rows)


def take_anew(connection: Connection, act: str, taken: str) -> tuple[str, ...]:
    """Give an act other tags where one of its own stands in the ledger already.

    A station restored from a backup meets tags that it used before. Such a number is not used
    again, and the act takes the next one of that topic.

    Args:
        connection: Inside the caller's transaction.
        act: The act.
        taken: The tag that stands in the ledger.
    """
    tags = []
    for name, number in _of(connection, act):
        tag: str = tag_of(topic(connection, name).secret, number)
        if tag == taken:
            key = (_taken.c.topic == name) & (_taken.c.number == number)
            connection.execute(update(_taken).where(key).values(act=ELSEWHERE))
            tag = _take(connection, name, act)
        tags.append(tag)
    return tuple(tags)


def acts_of(engine: Engine, name: str) -> list[str]:
    """Return the acts of a topic by their numbers; ``ELSEWHERE`` for those not made here."""
    query = select(_taken.c.act).where(_taken.c.topic == name).order_by(_taken.c.number)
    with reading(engine) as connection:
        return [row.act for row in connection.execute(query)]


def _take(connection: Connection, name: str, act: str) -> str:
    found = topic(connection, name)
    key = _topics.c.name == name
    connection.execute(update(_topics).where(key).values(next=found.next + 1))
    connection.execute(insert(_taken).values(topic=name, number=found.next, act=act))
    return tag_of(found.secret, found.next)


def _of(connection: Connection, act: str) -> list[tuple[str, int]]:
    query = select(_taken.c.topic, _taken.c.number).where(_taken.c.act == act)
    return [(row.topic, row.number) for row in connection.execute(query)]
