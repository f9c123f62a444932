"""Workers with a behaviour, on each kind of pool. A spec's target names what its Worker does."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from livereactor.pool.port import Needs, Pool, WorkerExit, WorkerSpec
from livereactor.pool.ray.pool import PLACE_TIMEOUT, RayPool
from livereactor.pool.subprocess.pool import SubprocessPool
from tests.tools.memory_pool import MemoryMachine, MemoryPool, until_terminated

_PROGRAM = """
import os, signal, sys, time
target = sys.argv[1]
def tell(what):
    if len(sys.argv) > 3:
        with open(os.path.join(sys.argv[3], sys.argv[2] + "." + what), "w") as file:
            file.write(str(os.getpid()))
tell("pid")
if target == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif target == "obeys":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
elif target == "fails":
    sys.exit("no weights on this machine")
elif target == "parent" and os.fork() == 0:
    print("child", os.getpid(), flush=True)
    time.sleep(300)
elif target == "flood":
    while True:
        print("x" * 1000)
print("ready", flush=True)
tell("ready")
time.sleep(300)
os._exit(7)
"""


class Rig(Protocol):
    """Makes pools of one kind that see the same Workers, as pools of two coordinators one after the other do."""

    def pool(self) -> Pool: ...
    async def ready(self, worker: str) -> None:
        """Until the Worker is in its behaviour."""
        ...

    async def die(self, pool: Pool, worker: str) -> None:
        """SIGKILL, or the like, from elsewhere."""
        ...

    def tidy(self) -> None: ...


class MemoryRig:
    def __init__(self) -> None:
        self._machine = MemoryMachine(_behave)

    def pool(self) -> MemoryPool:
        return MemoryPool(self._machine)

    async def ready(self, worker: str) -> None:
        await asyncio.sleep(0)

    async def die(self, pool: Pool, worker: str) -> None:
        self._machine.die(worker)

    def tidy(self) -> None:
        for worker in self._machine.living:
            self._machine.die(worker)


class SubprocessRig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pids: set[int] = set()

    def pool(self) -> SubprocessPool:
        return SubprocessPool(self.folder, command=command, log_bytes=64 * 1024)

    async def ready(self, worker: str) -> None:
        await until(lambda: "ready" in self.log(worker))

    async def die(self, pool: Pool, worker: str) -> None:
        os.kill(await pid_of(pool, worker), signal.SIGKILL)

    def log(self, worker: str) -> str:
        path = self.folder / f"{worker}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def tidy(self) -> None:
        """End what a test left: the processes that its records name."""
        from livereactor.pool.subprocess.processes import Records, is_living, kill_group

        for record in Records(self.folder).read():
            if is_living(record):
                kill_group(record)


class RayRig:
    """Workers on a cluster that others use too: in a namespace of its own.

    Args:
        folder: where Workers write their pids.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self._address, self._namespace, self.folder = address, f"test-{secrets.token_hex(4)}", folder
        folder.mkdir()

    def pool(self, *, place_timeout: float = PLACE_TIMEOUT) -> RayPool:
        return RayPool(self._address, self._namespace, command=self._arguments, place_timeout=place_timeout)

    async def ready(self, worker: str) -> None:
        await until(lambda: (self.folder / f"{worker}.ready").exists())

    async def die(self, pool: Pool, worker: str) -> None:
        os.kill(await self.pid(worker), signal.SIGKILL)

    async def pid(self, worker: str) -> int:
        """Of its process, as soon as it runs."""
        await until(lambda: bool(self._pid(worker)))
        return int(self._pid(worker))

    def tidy(self) -> None:
        for path in self.folder.glob("*.pid"):
            with suppress(ProcessLookupError):
                os.killpg(int(path.read_text()), signal.SIGKILL)

    def _pid(self, worker: str) -> str:
        path = self.folder / f"{worker}.pid"
        return path.read_text() if path.exists() else ""

    def _arguments(self, spec: WorkerSpec) -> Sequence[str]:
        return [*command(spec)[1:], str(self.folder)]


def command(spec: WorkerSpec) -> Sequence[str]:
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, spec.target, spec.worker]


NOTHING = Needs(cpus=0)


def spec(worker: str, target: str = "obeys", model: str = "pond", needs: Needs = NOTHING) -> WorkerSpec:
    secret = {"LIVEREACTOR_WORKER_SECRET": "not for logs"}
    return WorkerSpec(worker, model, target, "http://127.0.0.1:1", secret, needs)


async def pid_of(pool: Pool, worker: str) -> int:
    return next(int(handle.process) for handle in await pool.list() if handle.worker == worker)


async def until(condition: Callable[[], bool], *, timeout: float = 60.0) -> None:
    """Looked at a hundred times a second; for what tells nobody, such as a file."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Ends:
    """Reads a pool's ends in a task."""

    def __init__(self, pool: Pool) -> None:
        self.told: list[WorkerExit] = []
        self._new = asyncio.Condition()
        self._task = asyncio.create_task(self._read(pool.ended()))

    async def of(self, worker: str, *, timeout: float = 60.0) -> WorkerExit:
        async with asyncio.timeout(timeout), self._new:
            await self._new.wait_for(lambda: any(each.worker == worker for each in self.told))
        return next(each for each in self.told if each.worker == worker)

    async def aclose(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def closed(self) -> None:
        """Until the pool says that there will be no more."""
        await asyncio.wait_for(self._task, 60)

    async def _read(self, ends: AsyncIterator[WorkerExit]) -> None:
        async for ended in ends:
            async with self._new:
                self.told.append(ended)
                self._new.notify_all()


async def _behave(spec: WorkerSpec, terminated: asyncio.Event) -> int:
    match spec.target:
        case "obeys":
            return await until_terminated(spec, terminated)
        case "fails":
            raise RuntimeError("no weights on this machine")
        case _:
            await asyncio.Event().wait()
            return 7
