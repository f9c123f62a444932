"""A database is brought to this version's tables at the start, by one of those that start; a newer one is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from livereactor.base.errors import ConfigError
from livereactor.store.sql.schema import METADATA
from livereactor.store.sql.store import HEAD, configuration, migrate, open_sql_store, revision
from tests.contract.store import records as r
from tests.contract.store.conftest import SQL
from tests.tools.postgres import PostgresServer


@pytest.fixture(params=SQL)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables: its URL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/folder/store.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(server.create_database())


def engine_of(url: str) -> Engine:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def test_a_fresh_database_gets_the_tables_that_the_records_need(empty: str) -> None:
    migrate(empty)
    engine = engine_of(empty)
    with engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {*METADATA.tables, "alembic_version"}
        assert revision(connection) == HEAD
    engine.dispose()


def test_the_migrations_make_what_the_schema_says(empty: str) -> None:
    migrate(empty)
    engine = engine_of(empty)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":  # of which Alembic cannot compare an index on an expression
            assert _statements(connection) == _as_said()
        else:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def _statements(connection: Connection) -> set[str]:
    rows = connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")).scalars()
    return {_sorted(each) for each in rows if "alembic" not in each}


def _sorted(statement: str) -> str:
    """Where a column stands depends on when it was added, and means nothing: records name theirs."""
    begin, bracket, rest = " ".join(statement.split()).partition("(")
    inner, end = rest.rsplit(")", 1) if bracket else ("", "")
    return f"{begin}({', '.join(sorted(each.strip() for each in inner.split(',')))}){end}"


def _as_said() -> set[str]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        METADATA.create_all(connection)
        return _statements(connection)


async def test_again_it_changes_nothing_and_keeps_what_is_there(empty: str) -> None:
    first = open_sql_store(empty)
    await first.transact(lambda tx: tx.put_account(r.account()))
    await first.aclose()
    migrate(empty)
    again = open_sql_store(empty)
    assert await again.read(lambda tx: tx.account("tests")) == r.account()
    await again.aclose()


def test_one_that_a_newer_version_wrote_is_refused_and_stays_as_it_is(empty: str) -> None:
    migrate(empty)
    engine = engine_of(empty)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="9999, newer than"):
        open_sql_store(empty)
    with engine.connect() as connection:
        assert revision(connection) == "9999"
    engine.dispose()


def test_several_may_start_at_once(empty: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate, [empty] * 4))
    engine = engine_of(empty)
    with engine.connect() as connection:
        assert revision(connection) == HEAD
    engine.dispose()


def test_the_version_before_goes_on_writing_while_coordinators_are_replaced_one_after_another(empty: str) -> None:
    scripts = ScriptDirectory.from_config(configuration())
    engine = engine_of(empty)
    if engine.dialect.name == "sqlite":
        Path(str(engine.url.database)).parent.mkdir()
    for script in reversed(list(scripts.walk_revisions())):
        with engine.begin() as connection:
            before = _columns(connection)
            config = configuration()
            config.attributes["connection"] = connection
            command.upgrade(config, script.revision)
        with engine.connect() as connection:
            after = _columns(connection)
        assert before.keys() <= after.keys(), script
        for table, columns in before.items():
            assert columns.items() <= after[table].items(), (script, table)
            new = after[table].keys() - columns.keys()
            assert all(_may_be_left_out(engine, table, column) for column in new), (script, table)
    engine.dispose()


def _columns(connection: Connection) -> dict[str, dict[str, str]]:
    """By table, each column with its type."""
    found = inspect(connection)
    return {
        table: {each["name"]: str(each["type"]) for each in found.get_columns(table)}
        for table in found.get_table_names()
        if table != "alembic_version"
    }


def _may_be_left_out(engine: Engine, table: str, column: str) -> bool:
    found = next(each for each in inspect(engine).get_columns(table) if each["name"] == column)
    return bool(found["nullable"] or found["default"] is not None)


def test_the_newest_migration_is_the_one_that_the_code_knows() -> None:
    scripts = ScriptDirectory.from_config(configuration())
    assert scripts.get_heads() == [HEAD]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://host/name", "'mysql' is not supported"),
        ("nonsense", "not a URL"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite:///file:store.db?uri=true", "name a file"),
    ],
)
def test_what_names_no_database_of_ours_is_refused_with_what_to_write(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_sql_store(url)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database at all" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        open_sql_store(f"sqlite:///{path}")
    assert path.read_text().startswith("no database")


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="no file"):
        open_sql_store(f"sqlite:///{tmp_path}/file/store.db")
