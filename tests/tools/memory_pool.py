"""Workers inside this process: for tests, ours and our users'."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from livereactor.pool.port import Handle, PoolUnavailableError, WorkerExit, WorkerSpec

Program: TypeAlias = Callable[[WorkerSpec, asyncio.Event], Awaitable[int]]


async def until_terminated(spec: WorkerSpec, terminated: asyncio.Event) -> int:
    """A Worker that does nothing, and ends when it is asked to."""
    await terminated.wait()
    return 0


@dataclass(slots=True)
class _Worker:
    spec: WorkerSpec
    terminated: asyncio.Event
    task: asyncio.Task[int]
    code: int | None = None  # what it was made to end with


class MemoryMachine:
    """The machine that workers run on; it outlives pools, as processes outlive a coordinator.

    Args:
        program: what a Worker does, as a task: returns its exit code; its event is set when it is asked to end.
        room: how many Workers it can bear at once.

    Attributes:
        untold: ends that no pool has told.
    """

    def __init__(self, program: Program = until_terminated, *, room: int | None = None) -> None:
        self._program, self.room = program, room
        self.living: dict[str, _Worker] = {}
        self.untold: asyncio.Queue[WorkerExit | None] = asyncio.Queue()  # at most one a Worker, and None for a reader

    def start(self, spec: WorkerSpec) -> None:
        """Raises `PoolUnavailableError` where there is no room."""
        if self.room is not None and len(self.living) >= self.room:
            raise PoolUnavailableError(f"no worker of {spec.model!r} can be started: all {self.room} places are taken")
        terminated = asyncio.Event()
        task = asyncio.ensure_future(self._program(spec, terminated))
        self.living[spec.worker] = _Worker(spec, terminated, task)
        task.add_done_callback(lambda _task: self._ended(spec.worker))

    def die(self, worker: str, code: int = -9) -> None:
        """End it at once, as a crash or SIGKILL does; one that is gone is no error."""
        if found := self.living.get(worker):
            found.code = code
            found.task.cancel()

    def _ended(self, worker: str) -> None:
        gone = self.living.pop(worker)
        error = None if gone.task.cancelled() else gone.task.exception()
        if gone.code is not None or gone.task.cancelled():
            self.untold.put_nowait(WorkerExit(worker, gone.code or -9))
        elif error is not None:
            self.untold.put_nowait(WorkerExit(worker, 1, repr(error)[-2000:]))
        else:
            self.untold.put_nowait(WorkerExit(worker, gone.task.result()))


class MemoryPool:
    """Fits `Pool` by shape.

    Args:
        machine: where Workers run; one of its own by default.
    """

    def __init__(self, machine: MemoryMachine | None = None) -> None:
        self.machine = machine or MemoryMachine()
        self._reading = False

    async def start(self, spec: WorkerSpec) -> Handle:
        """Start a task; raises `PoolUnavailableError`."""
        self.machine.start(spec)
        return _handle(spec)

    async def stop(self, worker: str, *, grace: float) -> None:
        """Set its event, and cancel its task after `grace` seconds; returns when it is gone."""
        found = self.machine.living.get(worker)
        if found is None:
            return
        if grace > 0:
            found.terminated.set()
            await asyncio.wait([found.task], timeout=grace)
        if not found.task.done():
            self.machine.die(worker)
            await asyncio.wait([found.task])

    async def list(self) -> Sequence[Handle]:
        """List the workers that live, those of earlier pools too."""
        return [_handle(worker.spec) for worker in self.machine.living.values()]

    async def ended(self) -> AsyncIterator[WorkerExit]:
        """Ends as they happen."""
        self._reading = True
        while (ended := await self.machine.untold.get()) is not None:
            yield ended
        self._reading = False

    async def capacity(self) -> int | None:
        """Places left on the machine."""
        return None if self.machine.room is None else max(0, self.machine.room - len(self.machine.living))

    async def aclose(self) -> None:
        """End the reader; they live on."""
        if self._reading:
            self.machine.untold.put_nowait(None)


def _handle(spec: WorkerSpec) -> Handle:
    return Handle(spec.worker, spec.model, f"task of {spec.worker}")
