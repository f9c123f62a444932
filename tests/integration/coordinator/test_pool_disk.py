"""A pool whose disk refuses: its Workers serve on, and it tells their ends."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Never

import pytest

from livereactor.pool.port import PoolUnavailableError
from livereactor.pool.subprocess.logs import WorkerLogs
from livereactor.pool.subprocess.processes import Records
from tests.contract.pool.rig import Ends, SubprocessRig, spec


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[SubprocessRig]:
    made = SubprocessRig(tmp_path / "workers")
    yield made
    made.tidy()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From here on records can be neither written nor deleted."""

    def refuse(*_: object) -> Never:
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("write", "forget"):
        monkeypatch.setattr(Records, name, refuse)
    return monkeypatch


async def test_ends_are_told_though_their_records_stay(rig: SubprocessRig, request: pytest.FixtureRequest) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    for worker in ("wrk_1", "wrk_2"):
        await pool.start(spec(worker, "fails"))
    request.getfixturevalue("full")
    for worker in ("wrk_1", "wrk_2"):
        assert (await ends.of(worker)).code == 1
    await ends.aclose()
    await pool.aclose()


async def test_the_loop_waits_for_no_disk_when_a_worker_ends(
    rig: SubprocessRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow one, such as a network's, would hold up everybody's requests."""
    threads: dict[str, threading.Thread] = {}
    last_words, forget = WorkerLogs.last_words, Records.forget

    def reading(self: WorkerLogs, worker: str) -> str:
        threads["log"] = threading.current_thread()
        return last_words(self, worker)

    def forgetting(self: Records, worker: str) -> None:
        threads["record"] = threading.current_thread()
        forget(self, worker)

    monkeypatch.setattr(WorkerLogs, "last_words", reading)
    monkeypatch.setattr(Records, "forget", forgetting)
    pool = rig.pool()
    ends = Ends(pool)
    for worker in ("wrk_1", "wrk_2"):
        await pool.start(spec(worker, "fails"))
        assert "no weights" in (await ends.of(worker)).last_words
    await pool.aclose()
    await ends.closed()
    assert threads.keys() == {"log", "record"}
    assert threading.main_thread() not in threads.values()


@pytest.mark.usefixtures("full")
async def test_a_start_that_cannot_be_written_down_is_refused_as_any_other(rig: SubprocessRig) -> None:
    pool = rig.pool()
    with pytest.raises(PoolUnavailableError, match="Read-only file system"):
        await pool.start(spec("wrk_1"))
    assert await pool.list() == []
    await pool.aclose()


async def test_a_record_that_can_be_neither_read_nor_deleted_stops_no_pool(rig: SubprocessRig) -> None:
    rig.folder.mkdir(parents=True)
    (rig.folder / "wrk_1.json").mkdir()
    pool = rig.pool()
    assert await pool.list() == []
    await pool.aclose()
    (rig.folder / "wrk_1.json").rmdir()
