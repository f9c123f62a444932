"""The stores in SQL, SQLite in a file or Postgres for several coordinators, and the migration of their schema at start.

Several coordinators may start at once: one migrates, the others wait for it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from livereactor.base.errors import ConfigError
from livereactor.store.memory.notices import MemoryNotices
from livereactor.store.port import Notices, Store
from livereactor.store.sql import sqlite
from livereactor.store.sql.errors import unusable

HEAD: Final = "0004"  # newest revision in migrations/versions
_FOLDER: Final = Path(__file__).with_name("migrations")
_LOCK: Final = 0x11FE_5704  # any number: the advisory lock held while a Postgres database is migrated


def open_sql_store(url: str) -> Store:
    """Open a database of records; its tables are made or migrated first.

    Args:
        url: `sqlite:///PATH` (relative), `sqlite:////PATH` (absolute) or `postgresql://user:password@host/name`.

    Raises:
        ConfigError: no such kind of database, it cannot be opened, or a newer version wrote it.
        StoreUnavailableError: it does not answer.
    """
    migrate(url)
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return sqlite.SqliteStore(parsed)
    from livereactor.store.sql.postgres import PostgresStore  # its driver is in an extra of ours

    return PostgresStore(parsed)


def notices_of(url: str) -> Notices:
    """Return the notices between the coordinators on a database; SQLite has a single coordinator.

    Raises:
        ConfigError: as `open_sql_store`.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return MemoryNotices()
    from livereactor.store.sql.notices import PostgresNotices

    return PostgresNotices(parsed)


def file_of(url: str) -> Path | None:
    """Return the file of an SQLite database, absolute; None = a server has the database.

    Raises:
        ConfigError: as `open_sql_store`.
    """
    parsed = _parsed(url)
    return Path(str(parsed.database)).absolute() if parsed.get_backend_name() == "sqlite" else None


def migrate(url: str) -> None:
    """Bring a database to this version's schema; raises as `open_sql_store`."""
    parsed = _parsed(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            return sqlite.migrate(parsed, upgrade)
        from livereactor.store.sql import postgres

        return postgres.migrate(parsed, upgrade)
    except SQLAlchemyError as error:
        raise unusable(error, parsed) from error


def upgrade(connection: Connection) -> None:
    """Create or migrate the tables, in the transaction that has begun on it.

    Raises:
        ConfigError: the database was written by a newer version.
    """
    if connection.dialect.name == "postgresql":  # SQLite: the transaction holds the write lock already
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if revision(connection) != HEAD:
        _run(connection)


def revision(connection: Connection) -> str | None:
    """The schema a database has; None = none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def configuration() -> Any:
    """Return Alembic's configuration, with our folder of migrations."""
    from alembic.config import Config  # a tenth of a second that only a database in need pays

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = configuration()
    present = revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise ConfigError(
            f"the database has schema {present}, newer than {HEAD}, which this version of livereactor knows; "
            "install the newer version, or name another database in [store] url"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError("store url: not a URL; write sqlite:///PATH or postgresql://user@host/name") from error
    match parsed.drivername:
        case "sqlite" if "uri" in parsed.query:  # its file would not be the one that is closed to others
            raise ConfigError("store url: SQLite's `uri` is not supported; name a file, sqlite:///PATH")
        case "sqlite":
            return parsed
        case "postgresql" | "postgres":
            if find_spec("asyncpg") is None:
                raise ConfigError("store url: Postgres needs another package; run: pip install 'livereactor[postgres]'")
            return parsed.set(drivername="postgresql")
        case other:
            raise ConfigError(f"store url: {other!r} is not supported; write sqlite:///PATH or postgresql://…")
