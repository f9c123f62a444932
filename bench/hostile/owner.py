"""The owner: our own client, which sends a command every 50 ms and receives frames all the while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from livereactor import Reactor
from livereactor.client.errors import ReactorError
from livereactor.client.types import Status
from livereactor.probes.watching import percentiles

BETWEEN = 0.05  # seconds between two commands, however long one takes
SILENCE = 20.0  # seconds after which a command counts as lost
TRACK = "main_video"


@dataclass(frozen=True, slots=True)
class Felt:
    """What an owner felt over some seconds.

    Attributes:
        gap_p99, command_p99: milliseconds between two frames, and from a command to its reply.
        frames, commands: how many of each came.
        lost: commands that had no reply, or an error.
    """

    gap_p99: float
    command_p99: float
    frames: int
    commands: int
    lost: int


@dataclass
class Owner:
    """One session and what came of it.

    Attributes:
        ended: what the client said when its connection or session was lost; empty while all is well.
    """

    reactor: Reactor
    ended: list[str] = field(default_factory=list[str])
    _frames: list[float] = field(default_factory=list[float])

    @property
    def session(self) -> str:
        """The id of its session."""
        assert self.reactor.session_id is not None
        return self.reactor.session_id

    async def feels(self, seconds: float) -> Felt:
        """Send commands for so long, and return what was felt."""
        begins, until = len(self._frames), time.monotonic() + seconds
        sending: list[asyncio.Task[float | None]] = []
        due = time.monotonic()
        while due < until:
            sending.append(asyncio.create_task(self._command(len(sending))))
            due += BETWEEN
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        arrivals = [*self._frames[begins:], time.monotonic()]  # a picture that stands still at the end counts too
        times = await asyncio.gather(*sending)
        came = [each for each in times if each is not None]
        return Felt(
            _p99([(after - before) * 1e3 for before, after in pairwise(arrivals)]),
            _p99(came),
            len(arrivals) - 1,
            len(came),
            len(times) - len(came),
        )

    async def _command(self, number: int) -> float | None:
        began = time.monotonic()
        try:
            await self.reactor.send_command("echo", {"value": number}, timeout=SILENCE)
        except ReactorError:
            return None
        return (time.monotonic() - began) * 1e3

    def frame(self) -> None:
        """Note that a frame came. From any thread."""
        self._frames.append(time.monotonic())

    def status(self, status: Status) -> None:
        """Note a state that an owner does not want."""
        if status is not Status.READY:
            self.ended.append(status.value)


@asynccontextmanager
async def owning(reactor: Reactor) -> AsyncIterator[Owner]:
    """A connected owner who receives frames."""
    owner = Owner(reactor)
    reactor.track(TRACK).on_frame(lambda *_: owner.frame())
    try:
        await reactor.connect()
        await reactor.send_command("set_pacing", {"pacing": "backpressure"})
        reactor.on("status_changed", owner.status)
        yield owner
        reactor.off("status_changed", owner.status)
    finally:
        await reactor.disconnect()
        reactor.close()


def _p99(values: list[float]) -> float:
    found = percentiles(values)
    return float("inf") if found is None else round(found["p99"], 1)
