"""Workers on a Ray cluster: an actor for each, which holds its process on a machine that has room for it.

Ray places actors and knows machines; it decides nothing of Sessions. A Worker that falls silent is judged by its lease
as any other, and what Ray says of actors and machines is the same, sooner. Loop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

import structlog

from livereactor.base.tasks import TaskSet
from livereactor.pool.port import Handle, PoolUnavailableError, WorkerExit, WorkerSpec
from livereactor.pool.ray.link import RayLink
from livereactor.pool.subprocess.pool import worker_arguments

log = structlog.get_logger("livereactor.pool")

CONNECT_TIMEOUT: Final = 60.0  # seconds that a call waits for the cluster, which answers in three on an idle machine
PLACE_TIMEOUT: Final = 45.0  # seconds to find a machine with room; less than the minute a Worker has to register
START_TIMEOUT: Final = 10.0  # seconds more, which the driver does not need
STOP_TIMEOUT: Final = 15.0  # seconds more than the grace; the driver gives up after 10
LIST_TIMEOUT = FORGET_TIMEOUT = 10.0
BACK_OFF, BACK_OFF_MAX = 1.0, 15.0  # seconds between attempts to reach the cluster


class RayPool:
    """Fits `Pool` by shape.

    Args:
        address: of the cluster, as `ray.init` takes it: "auto", or HOST:PORT of its head.
        namespace: whose Workers; another service on the same cluster has another one.
        command: what Python is started with, on whichever machine.
        place_timeout: seconds that a Worker waits for a machine with room for it.
    """

    def __init__(
        self,
        address: str,
        namespace: str,
        *,
        command: Callable[[WorkerSpec], Sequence[str]] = worker_arguments,
        place_timeout: float = PLACE_TIMEOUT,
    ) -> None:
        self._address, self._namespace, self._command = address, namespace, command
        self._place_timeout = place_timeout
        self._living: dict[str, Handle] = {}
        self._untold: set[str] = set()  # ended, and the reader has not come back for the next one
        self._told: set[str] = set()  # ended and told, and their actors are still to be let go
        self._condemned: set[str] = set()  # to be killed as soon as the cluster can be reached again
        self._refused: set[str] = set()  # said to be impossible to start, while that was not known for sure
        # At most one a Worker; None ends the reader.
        self._ends: asyncio.Queue[WorkerExit | None] = asyncio.Queue()
        self._link: RayLink | None = None  # None: not connected
        self._connected = asyncio.Event()
        self._failed = asyncio.Event()  # the last attempt to connect
        self._knows = False  # has been connected
        self._trouble = "it has not answered yet"
        self._keeping: asyncio.Task[None] | None = None
        self._tasks = TaskSet()

    async def start(self, spec: WorkerSpec) -> Handle:
        """Returns when a machine had room and the process is there; raises `PoolUnavailableError`."""
        link = await self._reach()
        arguments = {
            "worker": spec.worker,
            "model": spec.model,
            "arguments": list(self._command(spec)),
            "environment": dict(spec.environment),
            "needs": asdict(spec.needs),
            "within": self._place_timeout,
        }
        try:
            await link.ask("start", arguments, timeout=self._place_timeout + START_TIMEOUT)
        except PoolUnavailableError as error:
            self._refused.add(spec.worker)
            raise PoolUnavailableError(
                f"no worker of {spec.model!r} can be started on the Ray cluster now ({error.message}); "
                "retry, or add a machine"
            ) from error
        return _handle(spec.worker, spec.model)

    async def stop(self, worker: str, *, grace: float) -> None:
        """SIGTERM, then SIGKILL for its group; returns when it is gone, or is given up with its machine."""
        try:
            link = await self._reach(patient=False)
            await link.ask("stop", {"worker": worker, "grace": grace}, timeout=grace + STOP_TIMEOUT)
        except PoolUnavailableError as error:
            if worker in self._living:
                log.warning("worker is stopped when the cluster answers", worker=worker, reason=error.message)
                self._condemned.add(worker)

    async def list(self) -> Sequence[Handle]:
        """List the workers that live; raises `PoolUnavailableError` where the cluster has never answered."""
        try:
            link = await self._reach(patient=False)
            await link.ask("adopt", {}, timeout=LIST_TIMEOUT)
        except PoolUnavailableError:
            if not self._knows:
                raise
        return list(self._living.values())

    async def ended(self) -> AsyncIterator[WorkerExit]:
        """Ends as they happen, those of adopted ones while no pool was there too; ends with the pool."""
        self._keep()
        while (end := await self._ends.get()) is not None:
            yield end
            # Only now: had this process been killed before the reader came back, the next pool would tell it again.
            self._untold.discard(end.worker)
            self._told.add(end.worker)
            await self._forget(end.worker)

    async def capacity(self) -> int | None:
        """Nobody knows: machines may be added for whoever waits."""
        return None

    async def aclose(self) -> None:
        """Let go of them; they live on."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        await self._tasks.aclose()
        self._ends.put_nowait(None)

    # --- the cluster ---------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._stay_connected(), name="ray")

    async def _reach(self, *, patient: bool = True) -> RayLink:
        """The connection, waited for; where that was tried in vain, only by who is patient."""
        self._keep()
        hoped = [self._connected] if patient else [self._connected, self._failed]
        waits = [asyncio.create_task(event.wait()) for event in hoped]
        try:
            await asyncio.wait(waits, timeout=CONNECT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._link is None:
            raise PoolUnavailableError(
                f"the Ray cluster {self._address!r} cannot be reached ({self._trouble}); "
                "see that its head runs, and that this machine is one of the cluster"
            )
        return self._link

    async def _stay_connected(self) -> None:
        pause = BACK_OFF
        while True:
            link = RayLink(self._address, self._namespace)
            try:
                async for said in link.lines():
                    pause = BACK_OFF
                    self._hear(link, said)
                self._trouble = link.last_error()
            except OSError as error:
                self._trouble = f"no process to reach it with can be started: {error.strerror}"
            self._link = None
            self._connected.clear()
            self._failed.set()
            log.warning("ray cluster cannot be reached", address=self._address, reason=self._trouble, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, BACK_OFF_MAX)

    def _hear(self, link: RayLink, said: Mapping[str, Any]) -> None:
        match said:
            case {"known": found}:
                self._adopt(dict(found))
                self._link, self._knows = link, True
                self._failed.clear()
                self._connected.set()
            case {"started": worker, "model": model}:
                self._living[worker] = _handle(worker, model)
                log.info("worker started", worker=worker, model=model)
                self._kill_refused([worker])
            case {"ended": worker, "code": code, "last_words": words}:
                self._ended(WorkerExit(worker, code, words))
            case _:
                raise AssertionError(said)

    def _adopt(self, found: Mapping[str, str]) -> None:
        """Adopt the workers that the cluster has; those that it had and has no more have ended."""
        for worker in set(self._living) - set(found):
            self._ended(WorkerExit(worker, None, "the cluster does not know it any more"))
        for worker in self._told & set(found):
            self._tasks.start(self._forget(worker))
        self._told &= set(found)
        for worker in self._condemned & set(found):
            self._tasks.start(self.stop(worker, grace=0))
        self._condemned.clear()
        self._kill_refused(found)
        for worker, model in found.items():
            if worker not in self._living and worker not in self._untold | self._told:
                log.info("worker adopted", worker=worker, model=model)
                self._living[worker] = _handle(worker, model)

    def _kill_refused(self, there: Collection[str]) -> None:
        """Nobody counts on what was started all the same."""
        for worker in self._refused & set(there):
            self._refused.discard(worker)
            self._tasks.start(self.stop(worker, grace=0))

    def _ended(self, end: WorkerExit) -> None:
        if self._living.pop(end.worker, None) is not None:
            self._untold.add(end.worker)
            self._ends.put_nowait(end)

    async def _forget(self, worker: str) -> None:
        if self._link is not None:
            with suppress(PoolUnavailableError):  # the next connection finds it
                await self._link.ask("forget", {"worker": worker}, timeout=FORGET_TIMEOUT)
                self._told.discard(worker)


def _handle(worker: str, model: str) -> Handle:
    return Handle(worker, model, f"{model}/{worker}")
