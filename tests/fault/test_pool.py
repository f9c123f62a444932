"""What can go wrong between a pool and its processes: kills on either side, numbers used twice, floods, no room."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from livereactor.base.errors import ConfigError
from livereactor.pool.port import PoolUnavailableError, WorkerSpec
from livereactor.pool.subprocess.pool import SubprocessPool, worker_command
from livereactor.pool.subprocess.processes import ProcessRecord, Records, birth, is_living
from tests.contract.pool.rig import Ends, SubprocessRig, command, pid_of, spec, until
from tests.tools.processes import REPOSITORY


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[SubprocessRig]:
    made = SubprocessRig(tmp_path / "workers")
    yield made
    made.tidy()


def is_there(pid: int) -> bool:
    """A process with this number runs; one that is dead and not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.fixture(params=["pidfd", "fallback"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How ends are learned of: as on Linux, and as where there are no pidfds."""

    def refused(pid: int, flags: int = 0) -> int:
        raise OSError(errno.ENOSYS, "no pidfds")

    if request.param == "fallback":
        monkeypatch.setattr(os, "pidfd_open", refused)
    return request.param


async def test_the_end_of_a_killed_worker_is_told_in_100_ms(rig: SubprocessRig, way: str) -> None:
    pool = rig.pool()
    ends, took = Ends(pool), list[float]()
    while not took or (min(took) >= 0.1 and len(took) < 6):  # the best: other tests may hold the processors
        worker = f"wrk_{len(took) + 1}"
        await pool.start(spec(worker))
        await rig.ready(worker)
        pid = await pid_of(pool, worker)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        assert (await ends.of(worker)).code == -signal.SIGKILL
        took.append(time.monotonic() - began)
        assert birth(pid) is None, "it was not reaped"
    assert min(took) < 0.1


async def test_the_end_of_an_adopted_worker_is_told_in_a_second(rig: SubprocessRig, way: str) -> None:
    workers = ("wrk_1", "wrk_2", "wrk_3")
    with owner(rig.folder, *workers) as process:
        process.kill()
        process.wait(10)
    pool = rig.pool()
    ends, took = Ends(pool), list[float]()
    for worker in workers:
        pid = await pid_of(pool, worker)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        assert (await ends.of(worker)).code is None
        took.append(time.monotonic() - began)
    assert min(took) < (0.3 if way == "pidfd" else 1.0)


async def test_workers_outlive_an_owner_that_is_killed_and_obey_the_next(rig: SubprocessRig) -> None:
    with owner(rig.folder, "wrk_1", "wrk_2") as process:
        process.kill()
        process.wait(10)
    pool = rig.pool()
    ends = Ends(pool)
    handles = await pool.list()
    assert sorted(handle.worker for handle in handles) == ["wrk_1", "wrk_2"]
    assert all(is_there(int(handle.process)) for handle in handles)
    await rig.ready("wrk_2")
    await pool.stop("wrk_2", grace=10)
    await ends.of("wrk_2")
    assert [handle.worker for handle in await pool.list()] == ["wrk_1"]


async def test_ctrl_c_in_the_terminal_reaches_the_owner_alone(rig: SubprocessRig) -> None:
    with owner(rig.folder, "wrk_1") as process:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(10)
    assert [handle.worker for handle in await rig.pool().list()] == ["wrk_1"]


async def test_an_owner_killed_while_it_starts_a_worker_leaves_none_unknown(rig: SubprocessRig) -> None:
    first = rig.pool()
    await first.start(spec("wrk_1"))
    pid = await pid_of(first, "wrk_1")
    await first.aclose()
    records = Records(rig.folder)
    records.write(ProcessRecord("wrk_1", "pond", "obeys"))  # as it was before its number was known
    records.write(ProcessRecord("wrk_2", "pond", "obeys"))  # this one never came to be
    pool = rig.pool()
    assert [(handle.worker, handle.process) for handle in await pool.list()] == [("wrk_1", str(pid))]


async def test_a_number_used_again_is_not_taken_for_a_worker(rig: SubprocessRig) -> None:
    stranger = sleeper()
    try:
        rig.folder.mkdir()
        born = birth(stranger.pid)
        assert born is not None
        Records(rig.folder).write(ProcessRecord("wrk_1", "pond", "obeys", stranger.pid, born + "0"))
        pool = rig.pool()
        assert await pool.list() == []
        await pool.stop("wrk_1", grace=0)
        assert (await Ends(pool).of("wrk_1")).code is None
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.communicate()


async def test_a_record_that_cannot_be_read_is_left_out(rig: SubprocessRig) -> None:
    rig.folder.mkdir()
    for name, text in (("wrk_1", ""), ("wrk_2", "[1]"), ("wrk_3", '{"worker": "wrk_3"}'), ("wrk_4", "\0" * 100)):
        (rig.folder / f"{name}.json").write_text(text)
    assert await rig.pool().list() == []


async def test_what_a_worker_started_goes_with_it(rig: SubprocessRig) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    await pool.start(spec("wrk_1", "parent"))
    await until(lambda: "ready" in rig.log("wrk_1") and "child" in rig.log("wrk_1"))
    child = int(rig.log("wrk_1").partition("child ")[2].split()[0])
    await rig.die(pool, "wrk_1")
    await ends.of("wrk_1")
    await until(lambda: not is_there(child), timeout=2)


async def test_a_frozen_worker_can_be_killed(rig: SubprocessRig) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    await pool.start(spec("wrk_1"))
    await rig.ready("wrk_1")
    os.kill(await pid_of(pool, "wrk_1"), signal.SIGSTOP)
    await pool.stop("wrk_1", grace=0.1)
    assert (await ends.of("wrk_1")).code == -signal.SIGKILL


async def test_a_flood_of_output_takes_bounded_disk_and_harms_nobody(rig: SubprocessRig) -> None:
    pool = rig.pool()
    await pool.start(spec("wrk_1", "flood"))
    log = rig.folder / "wrk_1.log"
    await until(lambda: log.exists() and log.stat().st_size > 64 * 1024)
    await until(lambda: (rig.folder / "wrk_1.log.1").exists() and log.stat().st_size > 0)
    assert is_there(await pid_of(pool, "wrk_1"))
    await pool.stop("wrk_1", grace=0)
    await until(lambda: log.stat().st_size <= 64 * 1024)
    assert (rig.folder / "wrk_1.log.1").stat().st_size <= 64 * 1024


async def test_no_more_than_the_last_logs_of_ended_workers_are_kept(rig: SubprocessRig) -> None:
    rig.folder.mkdir()
    for number in range(30):
        path = rig.folder / f"wrk_{number:02}.log"
        path.write_text("its last words")
        os.utime(path, (1000 + number, 1000 + number))
    pool = rig.pool()
    await pool.list()
    await until(lambda: len(list(rig.folder.glob("*.log"))) == 20)
    assert not (rig.folder / "wrk_09.log").exists()
    await pool.aclose()


async def test_a_program_that_is_not_there_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    pool = SubprocessPool(tmp_path, command=lambda spec: ["/no/such/program"])
    with pytest.raises(PoolUnavailableError, match="'pond' can be started now \\(No such file"):
        await pool.start(spec("wrk_1"))
    assert await pool.list() == []
    assert records_in(tmp_path) == []


async def test_a_machine_without_processes_left_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object, **_named: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    pool = SubprocessPool(tmp_path, command=command)
    monkeypatch.setattr(subprocess, "Popen", refused)
    with pytest.raises(PoolUnavailableError, match="Resource temporarily unavailable") as error:
        await pool.start(spec("wrk_1"))
    assert error.value.recoverable
    assert records_in(tmp_path) == []


async def test_a_full_disk_starts_nothing_that_nobody_would_find_again(
    rig: SubprocessRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, write = rig.pool(), Records.write
    begun: list[int] = []

    def full(records: Records, record: ProcessRecord) -> None:
        if record.pid:
            begun.append(record.pid)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(records, record)

    monkeypatch.setattr(Records, "write", full)
    with pytest.raises(PoolUnavailableError, match="No space left"):
        await pool.start(spec("wrk_1"))
    assert begun
    assert not is_there(begun[0])


async def test_a_folder_has_one_pool_at_a_time(rig: SubprocessRig) -> None:
    first = rig.pool()
    with pytest.raises(ConfigError, match="in use by another coordinator"):
        rig.pool()
    await first.aclose()
    await rig.pool().aclose()


async def test_a_start_that_is_cancelled_is_found_again(rig: SubprocessRig) -> None:
    pool = rig.pool()
    task = asyncio.create_task(pool.start(spec("wrk_1")))
    while not list(rig.folder.glob("*.json")):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    await pool.aclose()
    assert [handle.worker for handle in await rig.pool().list()] == ["wrk_1"]


async def test_secrets_are_in_the_environment_and_nowhere_else(
    rig: SubprocessRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEREACTOR_COORDINATOR__SECRET", "signs all tokens")
    pool = rig.pool()
    await pool.start(spec("wrk_1"))
    await rig.ready("wrk_1")
    process = Path(f"/proc/{await pid_of(pool, 'wrk_1')}")
    assert b"LIVEREACTOR_WORKER_SECRET=not for logs" in (process / "environ").read_bytes()
    assert b"signs all tokens" not in (process / "environ").read_bytes()
    assert "not for logs" not in (rig.folder / "wrk_1.json").read_text()
    assert "not for logs" not in repr(spec("wrk_1"))
    assert json.loads((rig.folder / "wrk_1.json").read_text())["pid"] > 0


def test_the_command_line_of_a_worker_carries_no_secret() -> None:
    asked = WorkerSpec("wrk_1", "pond", "pond.py", "http://127.0.0.1:8080", {"LIVEREACTOR_WORKER_SECRET": "hush"})
    arguments = worker_command(asked)
    assert arguments[-6:] == ["pond.py", "--coordinator", "http://127.0.0.1:8080", "--id", "wrk_1", "--pooled"]


def test_ends_are_told_on_the_loop_that_serves(rig: SubprocessRig) -> None:
    async def killed() -> None:
        pool = rig.pool()
        ends = Ends(pool)
        await pool.start(spec("wrk_1"))
        await rig.die(pool, "wrk_1")
        assert (await ends.of("wrk_1", timeout=5)).code == -signal.SIGKILL
        await pool.aclose()

    uvloop.run(killed())


def test_a_birth_is_told_alike_by_the_kernel_and_by_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livereactor.pool.subprocess.processes._PROC", Path("/no/such/folder"))
    born = birth(os.getpid())
    assert born is not None
    assert born == birth(os.getpid())
    assert is_living(ProcessRecord("wrk_1", "pond", "obeys", os.getpid(), born))
    assert birth(2**22 + 1) is None


def records_in(folder: Path) -> list[Path]:
    return list(folder.glob("*.json"))


def sleeper() -> subprocess.Popen[bytes]:
    """A process that nobody's pool has to do with."""
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE)


def owner(folder: Path, *workers: str) -> subprocess.Popen[bytes]:
    """A pool's owner in a process of its own, whose Workers run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fault.pool_owner", str(folder), *workers],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == b"started\n":
            return process
    raise AssertionError(f"the owner ended with {process.wait(10)}")
