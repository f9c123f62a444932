"""A pool whose disk refuses: its Workers serve on, and it tells their ends."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Never

import pytest

from livereactor.pool.port import PoolUnavailableError
from livereactor.pool.subprocess_records import Records
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
