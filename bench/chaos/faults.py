"""What is done to the parts: each fault as a coroutine that does it, waits, and makes good again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

import psutil

from bench.chaos.ledger import Fault, Ledger
from bench.chaos.stack import Stack
from tests.tools.composed import Service

# Seconds. A worker without any answer for 60 ends its sessions by itself, as promised; so what answers it is never away
# for longer than this, and has a while afterwards.
LONGEST_OUTAGE: Final = 12.0
CALM: Final = (2.0, 6.0)  # between two faults of one kind


class Faults:
    """Two hands: one for the workers, one for what they and clients depend on. Each does one thing at a time."""

    def __init__(self, stack: Stack, ledger: Ledger, seed: int) -> None:
        self._stack, self._ledger = stack, ledger
        self._workers, self._parts = random.Random(f"{seed} workers"), random.Random(f"{seed} parts")

    async def run(self, until: float) -> None:
        """Until then (monotonic); whatever was done is made good again before it returns."""
        await asyncio.gather(
            self._hand(until, self._workers, (self._kill_worker, self._freeze_worker)),
            self._hand(
                until,
                self._parts,
                (
                    self._kill_coordinator,
                    self._kill_coordinator,
                    self._crash_database,
                    self._freeze_database,
                    self._kill_blobs,
                    self._freeze_blobs,
                    self._restart_proxy,
                    self._kill_relay,
                ),
            ),
        )

    async def _hand(
        self, until: float, dice: random.Random, kinds: tuple[Callable[[random.Random], Awaitable[None]], ...]
    ) -> None:
        while (calm := dice.uniform(*CALM)) + time.monotonic() < until:
            await asyncio.sleep(calm)
            await dice.choice(kinds)(dice)

    @contextmanager
    def _noted(self, part: str, what: str) -> Generator[None]:
        at = time.time()
        # Known while it goes on: what happens meanwhile is judged at once.
        noted = Fault(part, what, at, float("inf"))
        self._ledger.faults.append(noted)
        self._ledger.tally[f"{what} {part.partition('-')[0]}"] += 1
        try:
            yield
        finally:
            self._ledger.faults[self._ledger.faults.index(noted)] = Fault(part, what, at, time.time())

    # --- workers ------------------------------------------------------------------------------------------------------

    async def _kill_worker(self, dice: random.Random) -> None:
        service = dice.choice(self._stack.workers())
        pid = self._stack.worker_process(service)
        if pid is None:
            return
        with self._noted(service.name, "kill"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            await self._until(lambda: self._stack.worker_process(service) not in (None, pid), 30.0, service.name)

    async def _freeze_worker(self, dice: random.Random) -> None:
        service, seconds = dice.choice(self._stack.workers()), dice.choice((1.0, 4.0, 20.0))
        pid = self._stack.worker_process(service)
        if pid is None:
            return
        with self._noted(service.name, "freeze"):
            await _frozen([pid], seconds)

    # --- the rest -----------------------------------------------------------------------------------------------------

    async def _kill_coordinator(self, dice: random.Random) -> None:
        service = dice.choice(self._stack.coordinators())
        await self._killed(service, dice.uniform(0.0, 4.0))

    async def _crash_database(self, dice: random.Random) -> None:
        await self._killed(self._stack.parts.services["postgres"], dice.choice((0.0, 2.0, LONGEST_OUTAGE)))

    async def _kill_blobs(self, dice: random.Random) -> None:
        await self._killed(self._stack.parts.services["s3"], dice.uniform(0.0, LONGEST_OUTAGE))

    async def _kill_relay(self, dice: random.Random) -> None:
        await self._killed(self._stack.parts.services["coturn"], dice.uniform(0.0, 2.0))

    async def _restart_proxy(self, dice: random.Random) -> None:
        await self._killed(self._stack.parts.services["proxy"], dice.uniform(0.0, 2.0))

    async def _freeze_database(self, dice: random.Random) -> None:
        await self._freeze("postgres", dice.choice((1.0, LONGEST_OUTAGE)))

    async def _freeze_blobs(self, dice: random.Random) -> None:
        await self._freeze("s3", dice.choice((1.0, LONGEST_OUTAGE)))

    async def _freeze(self, name: str, seconds: float) -> None:
        process = self._stack.parts.services[name].process
        assert process is not None
        root = psutil.Process(process.pid)
        with self._noted(name, "freeze"):
            await _frozen([process.pid, *(each.pid for each in root.children(recursive=True))], seconds)

    async def _killed(self, service: Service, away: float) -> None:
        """SIGKILL to all of it, at once; started again after so many seconds."""
        with self._noted(service.name, "kill"):
            await asyncio.to_thread(service.end, signal.SIGKILL)
            await asyncio.sleep(away)
            service.start()

    async def _until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self._ledger.wrong.append(f"{what} is not there again after {seconds:.0f} s")
                return
            await asyncio.sleep(0.1)  # another program's child, which tells nobody


async def _frozen(pids: list[int], seconds: float) -> None:
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
