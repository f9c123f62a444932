"""The tables, the same on SQLite and Postgres. Columns bear the names of the records' fields (records.py).

Times are integer microseconds; states, texts and JSON are TEXT, so that both databases compare and keep them alike.
Partial indexes name their state literally: neither database proves that a bound parameter fits one.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    text,
)

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)
# Counts up and is never given again, also after the newest row was pruned: cursors and pages count on it.
_SEQ: Final = BigInteger().with_variant(Integer(), "sqlite")
QUEUED: Final = "state = 'queued'"
OPEN: Final = "state <> 'closed'"
CLOSED: Final = "state = 'closed'"
RUNNING: Final = "state IN ('assigned', 'waiting', 'active', 'orphaned')"
HELD: Final = "state = 'held'"
LIVE_WORKER: Final = "state IN ('starting', 'ready', 'draining')"


def _partial(name: str, *columns: Column[object] | TextClause | str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


ACCOUNTS: Final = Table(
    "accounts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("weight", Double),
    Column("max_sessions", BigInteger),
    Column("sessions_per_minute", BigInteger),
)

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("used_us", BigInteger),
    Column("revoked_us", BigInteger),
    UniqueConstraint("sha256"),
)

MODELS: Final = Table(
    "models",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("min_ready", BigInteger, nullable=False),
    Column("buffer", BigInteger, nullable=False),
    Column("max_workers", BigInteger, nullable=False),
    Column("served_turn", Double, nullable=False),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("seq", _SEQ, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("polled_us", BigInteger, nullable=False),
    Column("prio", BigInteger, nullable=False),
    Column("turn", Double, nullable=False),
    Column("token", Text, nullable=False),
    Column("reach", Text, nullable=False),
    Column("worker", Text),
    Column("slot", BigInteger),
    Column("fence", BigInteger),
    Column("waited", Boolean, nullable=False),
    Column("estimate_us", BigInteger),
    Column("requeues", BigInteger, nullable=False),
    Column("first_frame", Boolean, nullable=False),
    Column("assigned_us", BigInteger),
    Column("accepted_us", BigInteger),
    Column("connected_us", BigInteger),
    Column("expires_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("end_reason", Text),
    Column("client", Text, nullable=False),
    Column("start", Text, nullable=False),
    UniqueConstraint("id"),
    Index("ix_sessions_account_seq", "account", "seq"),
    Index("ix_sessions_account_created", "account", "created_us"),
    _partial("ix_sessions_queue", "model", text("prio DESC"), "turn", "seq", where=QUEUED),
    _partial("ix_sessions_open", "account", where=OPEN),
    _partial("ix_sessions_polled", "polled_us", where=QUEUED),
    _partial("ix_sessions_expires", "expires_us", where=RUNNING),
    _partial("ix_sessions_waits", "model", "ended_us", where=f"{CLOSED} AND accepted_us IS NOT NULL"),
    _partial("ix_sessions_ended", "ended_us", where=CLOSED),
    _partial("ix_sessions_token", "token", where="token <> ''"),
    sqlite_autoincrement=True,
)

WORKERS: Final = Table(
    "workers",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("incarnation", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("slots", BigInteger, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("lease_until_us", BigInteger, nullable=False),
    Column("pooled", Boolean, nullable=False),
    Column("ready_us", BigInteger),
    Column("used_us", BigInteger, nullable=False),
    Column("info", Text, nullable=False),
    Column("home", Text, nullable=False, server_default=""),
    # Not on lease_until_us: a beat changes no indexed column, so Postgres renews in place (a HOT update).
    _partial("ix_workers_live", "model", where=LIVE_WORKER),
)

SLOTS: Final = Table(
    "slots",
    METADATA,
    Column("worker", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("session", Text),
    Column("fence", BigInteger, nullable=False),
    # The proof that no Session is ever held twice. A Slot that closes may still name one that another holds by now.
    Index("uq_slots_held", "session", unique=True, sqlite_where=text(HELD), postgresql_where=text(HELD)),
)

UPLOADS: Final = Table(
    "uploads",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("session", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("landed", Boolean, nullable=False),
    Column("link", Text, nullable=False, server_default=""),
    Index("ix_uploads_session", "session"),
    Index("ix_uploads_expires", "expires_us"),
)

EVENTS: Final = Table(
    "events",
    METADATA,
    # Postgres only, and before `seq`, so that it is evaluated first: see `ledger.py`, which reads by it.
    Column("tx", BigInteger, nullable=False),
    Column("seq", _SEQ, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("session", Text),
    Column("account", Text),
    Column("data", Text, nullable=False),
    Index("ix_events_at", "at_us"),
    sqlite_autoincrement=True,
)

REMEMBERED: Final = Table(
    "remembered",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_sha256", Text, nullable=False),
    Column("status", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index("ix_remembered_created", "created_us"),
)

CURSORS: Final = Table(
    "cursors", METADATA, Column("name", Text, primary_key=True), Column("seq", BigInteger, nullable=False)
)

KEPT: Final = Table("kept", METADATA, Column("name", Text, primary_key=True), Column("text", Text, nullable=False))

LEADERS: Final = Table(
    "leaders",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until_us", BigInteger, nullable=False),
)
