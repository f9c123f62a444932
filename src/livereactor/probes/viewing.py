"""A client that is measured with: it is connected, watches its first picture, and waits for what is to come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from livereactor.base.changes import Changes
from livereactor.client.reactor import Reactor
from livereactor.client.tracks.track import Track
from livereactor.media.frames import Pixels
from livereactor.probes.watching import Watch

PATIENCE = 20.0  # seconds for a picture
MEASURED_WITH = {"echo", "flash", "set_pacing"}


class Viewer:
    """A connected client and what came on its first picture.

    Attributes:
        track: the first output with pictures; None where the model has none.
        is_conformance: the model takes the commands of examples/conformance.py that are measured with.
    """

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self._changes, loop = Changes(), asyncio.get_running_loop()
        self.watch = Watch(lambda: loop.call_soon_threadsafe(self._changes.stir))
        pictures = reactor.tracks.with_direction("recvonly").with_kind("video")
        self.track: Track | None = pictures[0] if pictures else None
        declared = reactor.capabilities
        commands = {command.name for command in declared.commands} if declared else set[str]()
        self.is_conformance = commands >= MEASURED_WITH
        if self.track is not None:
            self.track.on_frame(self._see)

    def _see(self, frame: Pixels) -> None:
        self.watch.add(frame)

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> bool:
        """True once `condition` holds, looked at with each picture."""
        await self._changes.until(condition, timeout)
        return condition()

    async def frames(self, count: int) -> bool:
        """Until so many more have come."""
        wanted = self.watch.count + count
        return await self.until(lambda: self.watch.count >= wanted)

    async def frame_after(self, at: float) -> float | None:
        """Monotonic seconds at which the first picture came that came after `at`."""
        await self.until(lambda: bool(self.watch.seen) and self.watch.seen[-1].at > at)
        return next((frame.at for frame in self.watch.seen if frame.at > at), None)


@asynccontextmanager
async def viewing(reactor: Reactor, timeout: float) -> AsyncGenerator[Viewer]:
    """Connect within `timeout` seconds, and leave nothing behind."""
    try:
        await reactor.connect(timeout=timeout)
        yield Viewer(reactor)
    finally:
        await reactor.disconnect()
        reactor.close()
