"""Bringing a database to the schema this version knows, at start; safe when several start at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, inspect, text

from livereactor.base.errors import ConfigError

HEAD: Final = "0002"  # newest revision in migrations/versions
_FOLDER: Final = Path(__file__).with_name("migrations")
_LOCK: Final = 0x11FE_5704  # any number: whoever migrates a Postgres database holds the advisory lock of it


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
    """Alembic's, with our folder of migrations."""
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
