"""Workers on a Ray cluster: an actor for each, which holds its process on a machine that has room for it.

Ray places actors and knows machines; it decides nothing of Sessions. A Worker that falls silent is judged by its lease
as any other, and what Ray says of actors and machines is the same, sooner. Loop only.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

import structlog

from livereactor.base.tasks import TaskSet
from livereactor.pool.port import Handle, PoolUnavailableError, WorkerExit, WorkerSpec
from livereactor.pool.subprocess.pool import worker_arguments

LINE_BYTES: Final = 1024 * 1024  # what is said of thousands of Workers, in one line
KEPT_LINES: Final = 20  # of what it printed to standard error, for the operator
END_TIMEOUT: Final = 2.0  # seconds


class RayLink:
    """The way to the process that speaks to Ray (`driver.py`): lines of JSON to it and from it.

    Args:
        address: of the cluster, as `ray.init` takes it.
        namespace: whose actors.
    """

    def __init__(self, address: str, namespace: str) -> None:
        self._command = [sys.executable, "-m", "livereactor.pool.ray.driver", address, namespace]
        self._process: asyncio.subprocess.Process
        self._errors: deque[str] = deque(maxlen=KEPT_LINES)
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._number = 0

    async def lines(self) -> AsyncIterator[Mapping[str, Any]]:
        """Start it, and give what it says of itself and of Workers, until it ends; each answer goes to its `ask`."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, stderr=pipe, limit=LINE_BYTES, start_new_session=True
        )
        assert self._process.stdout is not None
        listening = asyncio.create_task(self._listen(), name="errors of ray")
        try:
            async for line in self._process.stdout:
                said = json.loads(line)
                if "done" not in said:
                    yield said
                elif (answer := self._asked.pop(said["done"], None)) is not None and not answer.done():
                    _resolve(answer, said["error"])
            await listening
        finally:
            listening.cancel()
            await self.aclose()
            for answer in self._asked.values():
                if not answer.done():
                    _resolve(answer, self.last_error())
            self._asked.clear()

    async def ask(self, do: str, arguments: Mapping[str, Any], *, timeout: float) -> None:
        """Have something done; raises `PoolUnavailableError` where it could not be, or not in time."""
        assert self._process.stdin is not None
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        line = json.dumps({"number": number, "do": do, "with": arguments})
        try:
            async with asyncio.timeout(timeout):
                self._process.stdin.write(f"{line}\n".encode())
                await self._process.stdin.drain()
                await answer
        except TimeoutError:
            raise PoolUnavailableError(f"the Ray cluster did not answer within {timeout:g} s") from None
        except ConnectionError as error:
            raise PoolUnavailableError(self.last_error()) from error
        finally:
            self._asked.pop(number, None)

    def last_error(self) -> str:
        """The reason why the driver ended, in its own words."""
        return next((line for line in reversed(self._errors) if line), "its connection ended")

    async def aclose(self) -> None:
        """End it; actors live on."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(END_TIMEOUT):
                    await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._errors.append(line.decode(errors="replace").strip()[:500])


def _resolve(answer: asyncio.Future[None], error: str | None) -> None:
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(PoolUnavailableError(error))
        answer.exception()  # its `ask` may have given up


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
            "environment": dict(spec.whole_environment),
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
        """Yield ends as they happen, also those of adopted workers while no pool was there; ends with the pool."""
        self._keep()
        while (end := await self._ends.get()) is not None:
            yield end
            # Only now: had this process been killed before the reader came back, the next pool would tell it again.
            self._untold.discard(end.worker)
            self._told.add(end.worker)
            await self._forget(end.worker)

    async def capacity(self) -> int | None:
        """Return None: the capacity is unknown, since machines may be added for sessions that wait."""
        return None

    async def aclose(self) -> None:
        """Let go of the workers; they live on."""
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
                "check that its head is running and that this machine belongs to the cluster"
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
                self._trouble = f"no process can be started to reach it: {error.strerror}"
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
            self._ended(WorkerExit(worker, None, "the cluster no longer knows it"))
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
        """Stop the workers that started although their start was reported as impossible."""
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
