"""Another user of the machine who looks into the data folder: nothing of it is open to them, whatever it was before."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from livereactor.settings import Settings, resolve
from livereactor.wiring.data import open_store
from tests.tools.processes import livereactor_run
from tests.tools.serving import livereactor_serve

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(*_: object, **__: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def open_to_others(folder: Path) -> Iterator[str]:
    """Files that another user can read, and folders in which they see names, below a folder that they may enter."""
    if not mode(folder) & 0o077:
        return
    yield f"{folder} {mode(folder):o}"
    for each in folder.iterdir():
        if each.is_dir():
            yield from open_to_others(each)
        elif mode(each) & 0o077:
            yield f"{each} {mode(each):o}"


def left_open(folder: Path) -> None:
    """A data folder as a careless restore from a backup leaves it."""
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with closing(sqlite3.connect(folder / "livereactor.db")):
        pass
    (folder / "livereactor.db").write_bytes(b"")
    (folder / "livereactor.db").chmod(0o644)


def test_a_data_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    left_open(folder)
    with livereactor_serve([], log_path=tmp_path / "log", data_dir=folder):
        assert mode(folder) == 0o700
        found = {each.name: mode(each) for each in folder.glob("livereactor.db*")}
        assert found == dict.fromkeys(("livereactor.db", "livereactor.db-wal", "livereactor.db-shm"), 0o600)
        assert mode(folder / "secrets.json") == 0o600
        assert mode(folder / "blobs") == 0o700
        assert list(open_to_others(folder)) == []


def with_database(folder: Path, database: Path) -> Settings:
    given = {"coordinator.data_dir": folder, "store.url": f"sqlite:///{database}"}
    return resolve(folder.parent, command_line=given, environ={}).settings


async def test_a_database_of_its_own_is_closed_with_the_files_beside_it(tmp_path: Path) -> None:
    folder, database = tmp_path / "data", tmp_path / "kept.db"
    folder.mkdir(mode=0o755)
    files = [database, tmp_path / "kept.db-wal", tmp_path / "kept.db-shm"]
    with closing(sqlite3.connect(database)) as another:
        another.execute("PRAGMA journal_mode=WAL")
        another.execute("CREATE TABLE a (b)")
        for each in files:
            each.chmod(0o644)
        store = open_store(with_database(folder, database))
        assert [mode(each) for each in files] == [0o600] * 3
        assert mode(folder) == 0o700
        await store.aclose()


def test_a_folder_beside_a_database_that_the_operator_named_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    open_store(with_database(tmp_path / "data", shared / "kept.db"))
    assert mode(shared) == 0o755
    assert mode(shared / "kept.db") == 0o600
    assert not (tmp_path / "data").exists()


async def test_a_database_of_somebody_else_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "kept.db"
    database.write_bytes(b"")
    database.chmod(0o644)

    monkeypatch.setattr(Path, "chmod", refused)
    with structlog.testing.capture_logs() as records:
        store = open_store(with_database(tmp_path / "data", database))
    told = [each for each in records if each["event"] == "database is open to other users"]
    assert [(each["file"], each["mode"]) for each in told] == [(str(database), "0644")]
    assert f"chmod 600 {database}" in told[0]["todo"]
    await store.aclose()


def test_uploads_of_run_are_closed_too(tmp_path: Path) -> None:
    blobs = tmp_path / "kept" / "blobs"
    environment = {"LIVEREACTOR_BLOBS__URL": str(blobs)}
    with livereactor_run("examples/pond.py", log_path=tmp_path / "log", environment=environment):
        assert mode(blobs) == 0o700


def test_a_folder_of_somebody_else_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    left_open(folder)

    monkeypatch.setattr(Path, "chmod", refused)
    settings = resolve(tmp_path, command_line={"coordinator.data_dir": folder}, environ={}).settings
    with structlog.testing.capture_logs() as records:
        open_store(settings)
    told = [each for each in records if each["event"] == "data folder is open to other users"]
    assert [(each["folder"], each["mode"]) for each in told] == [(str(folder), "0755")]
    assert f"chmod 700 {folder}" in told[0]["todo"]
