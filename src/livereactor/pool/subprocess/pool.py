"""Workers as processes of this machine. They outlive the coordinator that started them; the next one adopts them.

Each leads a session and process group of its own: Ctrl-C in a terminal reaches the coordinator alone, and what a Worker
leaves behind goes with it. Loop only; starting, logs and records, which wait for a disk, run in threads.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Final, TypeAlias

import structlog

from livereactor.base.errors import ConfigError
from livereactor.base.tasks import TaskSet, set_within
from livereactor.pool.model_process import MODULE, start_process
from livereactor.pool.port import Handle, PoolUnavailableError, WorkerExit, WorkerSpec
from livereactor.pool.subprocess.logs import LOG_BYTES, WorkerLogs
from livereactor.pool.subprocess.processes import (
    ProcessRecord,
    ProcessWatch,
    Records,
    birth,
    is_living,
    kill_group,
    watch,
)
from livereactor.pool.subprocess.spare import SpareProcess, spare_command

log = structlog.get_logger("livereactor.pool")

KILL_TIMEOUT: Final = 5.0  # seconds; after SIGKILL only the kernel (a disk, a driver) holds a process
TEND_EVERY: Final = 1.0  # seconds between two looks at the sizes of logs
# Seconds after a spare was made or used until the next is: its imports must not slow the start that took the last one.
SPARE_AFTER: Final = 2.0
SPARE: Final = "spare"  # its log, until it is a Worker's


def worker_arguments(spec: WorkerSpec) -> Sequence[str]:
    """Return Python's arguments; secrets go by environment, since anybody on the machine can read arguments.

    They are for any machine: whether livereactor is in the user's site-packages there is not known here.
    """
    return ["-P", "-m", *_arguments(spec)]


def _arguments(spec: WorkerSpec) -> Sequence[str]:
    command = ["livereactor", "worker", spec.target]
    return [*command, "--coordinator", spec.coordinator, "--id", spec.worker, "--pooled"]


def worker_command(spec: WorkerSpec) -> Sequence[str]:
    """Return the command that starts a worker on this machine."""
    return [sys.executable, *MODULE, *_arguments(spec)]


_Started: TypeAlias = tuple[subprocess.Popen[bytes], ProcessRecord]


@dataclass(slots=True)
class _Process:
    record: ProcessRecord
    child: subprocess.Popen[bytes] | None  # None: adopted
    watch: ProcessWatch
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class SubprocessPool:
    """Fits `Pool` by shape.

    Args:
        folder: where records and logs are; made if it is not there. One pool at a time has it.
        command: the arguments of a Worker's process.
        log_bytes: size from which on a Worker's log is emptied.
        spare: keep a process ready for the next Worker that is started with this environment; None = none.
        spare_command: the arguments of such a process.

    Raises:
        ConfigError: another pool has the folder, or it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        command: Callable[[WorkerSpec], Sequence[str]] = worker_command,
        log_bytes: int = LOG_BYTES,
        spare: Mapping[str, str] | None = None,
        spare_command: Callable[[], Sequence[str]] = spare_command,
    ) -> None:
        self._lock = _lock(folder)
        self._command, self._spare_command = command, spare_command
        self._spare_environment = spare
        self._spare: SpareProcess | None = None
        self._spare_at = float("-inf")  # when one was last made or used, monotonic
        self._records, self._logs = Records(folder), WorkerLogs(folder, limit_bytes=log_bytes)
        self._processes: dict[str, _Process] = {}
        # Workers with their codes, at most once each; None ends the reader.
        self._ends: asyncio.Queue[tuple[str, int | None] | None] = asyncio.Queue()
        self._starting = TaskSet()
        self._adopting = asyncio.Lock()
        self._tending: asyncio.Task[None] | None = None

    async def start(self, spec: WorkerSpec) -> Handle:
        """Start a process; raises `PoolUnavailableError`. Cancelled, it still starts, so that none is forgotten."""
        await self._adopt()
        return await asyncio.shield(self._starting.start(self._start(spec), name=f"start of {spec.worker}"))

    async def stop(self, worker: str, *, grace: float) -> None:
        """SIGTERM, then SIGKILL for its group after `grace` seconds (0: at once); returns when it is gone."""
        await self._adopt()
        process = self._processes.get(worker)
        if process is None:
            return
        if grace > 0:
            process.watch.signal(signal.SIGTERM)
            if await set_within(process.gone, grace):
                return
            log.warning("worker did not end in time and is killed", worker=worker, grace=grace)
        kill_group(process.record)
        if not await set_within(process.gone, KILL_TIMEOUT):
            log.error("worker did not end after it was killed", worker=worker, pid=process.record.pid)

    async def list(self) -> Sequence[Handle]:
        """List the workers that live, the adopted ones too."""
        await self._adopt()
        return [_handle(process.record) for process in self._processes.values()]

    async def ended(self) -> AsyncIterator[WorkerExit]:
        """Yield ends as they happen, also those of adopted workers while no pool was there; ends with the pool."""
        await self._adopt()
        while (end := await self._ends.get()) is not None:
            worker, code = end
            yield WorkerExit(worker, code, await asyncio.to_thread(self._logs.last_words, worker))
            # Only now: had this process been killed before the reader came back, the next pool would tell it again.
            await asyncio.to_thread(self._forget, worker)

    async def capacity(self) -> int | None:
        """Return None: the capacity is unknown, since it depends on the models."""
        return None

    async def aclose(self) -> None:
        """Let go of the workers; they live on."""
        await self._starting.wait()
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait([self._tending])
        if self._spare is not None:
            await asyncio.to_thread(self._spare.end)
        for process in self._processes.values():
            process.watch.close()
        self._processes.clear()
        self._ends.put_nowait(None)
        self._lock.close()

    # --- starting ------------------------------------------------------------------------------------------------

    async def _start(self, spec: WorkerSpec) -> Handle:
        try:
            child, record = await asyncio.to_thread(self._process_for, spec, self._spare_for(spec))
        except OSError as error:
            await asyncio.to_thread(self._forget, spec.worker)
            reason = error.strerror or str(error)
            raise PoolUnavailableError(
                f"no process for a worker of {spec.model!r} can be started now ({reason}); retry, or free resources"
            ) from error
        self._take(record, child)
        log.info("worker started", worker=spec.worker, model=spec.model, pid=record.pid)
        return _handle(record)

    def _spare_for(self, spec: WorkerSpec) -> SpareProcess | None:
        if self._spare is None or spec.environment != self._spare_environment:
            return None
        spare, self._spare, self._spare_at = self._spare, None, time.monotonic()
        return spare

    def _process_for(self, spec: WorkerSpec, spare: SpareProcess | None) -> _Started:
        """Turn the spare into this worker, or start a process; blocks, so it runs in a thread."""
        return (self._turn(spare, spec) if spare is not None else None) or self._spawn(spec)

    def _turn(self, spare: SpareProcess, spec: WorkerSpec) -> _Started | None:
        """Make the spare this Worker; None where it has ended meanwhile."""
        record = ProcessRecord(spec.worker, spec.model, spec.target, spare.child.pid, spare.born)
        try:
            self._records.write(record)
            self._logs.rename(SPARE, spec.worker)
            spare.assign(spec)
        except OSError:
            spare.end()
            return None
        return spare.child, record

    def _spawn(self, spec: WorkerSpec) -> _Started:
        """Start a process; its record is written first, so that the next pool finds it if this one is killed."""
        record = ProcessRecord(spec.worker, spec.model, spec.target)
        self._records.write(record)
        output = self._logs.open(spec.worker)
        try:
            child = start_process(self._command(spec), spec.whole_environment, stdout=output)
        finally:
            os.close(output)
        record = replace(record, pid=child.pid, born=birth(child.pid) or "")
        try:
            self._records.write(record)
        except OSError:  # a process that nobody would find again must not be
            kill_group(record)
            child.wait()
            raise
        return child, record

    def _forget(self, worker: str) -> None:
        try:
            self._records.forget(worker)
        except OSError as error:  # the next pool tells this end again, which harms nobody
            log.warning("record of a worker not deleted", worker=worker, reason=error.strerror)

    # --- watching ------------------------------------------------------------------------------------------------

    async def _adopt(self) -> None:
        """Find the workers of an earlier pool; runs once, before anything else."""
        async with self._adopting:
            if self._tending is not None:
                return
            self._tending = asyncio.create_task(self._tend(), name="cleaning up logs")
            for record in await asyncio.to_thread(self._records.read):
                if is_living(record):
                    self._take(record, None)
                    log.info("worker adopted", worker=record.worker, model=record.model, pid=record.pid)
                else:
                    self._ends.put_nowait((record.worker, None))

    def _take(self, record: ProcessRecord, child: subprocess.Popen[bytes] | None) -> None:
        worker = record.worker
        self._processes[worker] = _Process(record, child, watch(record, child, lambda: self._gone(worker)))

    def _gone(self, worker: str) -> None:
        process = self._processes.pop(worker, None)
        if process is None:
            return
        process.watch.close()
        kill_group(process.record)  # before it is reaped: until then the group's number cannot be another's
        self._ends.put_nowait((worker, process.child.poll() if process.child is not None else None))
        process.gone.set()

    async def _tend(self) -> None:
        while True:
            await self._tend_spare()
            await asyncio.to_thread(self._logs.prune, (*self._processes, SPARE))
            for worker in tuple(self._processes):
                await asyncio.to_thread(self._logs.trim, worker)
            await asyncio.sleep(TEND_EVERY)

    async def _tend_spare(self) -> None:
        """Make one where none is; one that ended by itself is another's turn after the same pause."""
        if self._spare is not None and not self._spare.is_living:
            self._spare = None
        is_time = time.monotonic() - self._spare_at >= SPARE_AFTER
        if self._spare_environment is not None and self._spare is None and is_time:
            self._spare_at = time.monotonic()
            # Shielded: cancelled while it is made, it would be nobody's.
            making = asyncio.ensure_future(asyncio.to_thread(self._make_spare, self._spare_environment))
            try:
                self._spare = await asyncio.shield(making)
            except asyncio.CancelledError:
                self._spare = await making
                raise

    def _make_spare(self, environment: Mapping[str, str]) -> SpareProcess | None:
        try:
            output = self._logs.open(SPARE)
            try:
                return SpareProcess(self._spare_command(), environment, output)
            finally:
                os.close(output)
        except OSError as error:  # a Worker is then started as without
            log.warning("no spare process can be started", reason=error.strerror)
            return None


def _lock(folder: Path) -> IO[bytes]:
    """The folder, made and ours until the file is closed or this process ends, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / "lock").open("wb")
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}; workers' records go there; make it writable") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConfigError(f"{folder} is in use by another coordinator; stop it, or set another data_dir") from error
    return file


def _handle(record: ProcessRecord) -> Handle:
    return Handle(record.worker, record.model, str(record.pid))
