"""Looking at a transport's figures: when asked, and every two seconds for who listens and for the server's operator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from livereactor.base.errors import LivereactorError
from livereactor.client.error import ReactorError
from livereactor.client.errors import error_of
from livereactor.client.figures.stats import Statistics, told
from livereactor.client.types import ConnectionStats, ConnectionTimings
from livereactor.protocol import messages as m

if TYPE_CHECKING:
    from livereactor.client.tracks.latency import Latency
    from livereactor.engine.port import AudioOutput, InputTrack, PeerStats, VideoOutput

INTERVAL: Final = 2.0  # seconds between two `stats_update`
SHORTEST: Final = 0.2  # seconds; rates over less say nothing

log = structlog.get_logger(__name__)


class Sampled(Protocol):
    """The transport that is looked at: a `Link`."""

    @property
    def inputs(self) -> Mapping[str, InputTrack]: ...
    @property
    def outputs(self) -> Mapping[str, VideoOutput | AudioOutput]: ...
    @property
    def latency(self) -> Latency: ...
    async def stats(self) -> PeerStats: ...
    def say(self, message: m.ClientMessage) -> None: ...


class StatsSampler:
    """The figures of one transport, from the moment it is ready until it is gone; another gets another.

    Args:
        link: the transport.
        same_machine: its other end is on this machine.
        timings: of the connect that made it.
        paused: names of the outputs that are not received.
        updated: called with each sample of `run`, on the loop.
        reports: tell the server too.

    Attributes:
        latest: what was measured last, None before the first time.
    """

    def __init__(
        self,
        link: Sampled,
        *,
        same_machine: bool,
        timings: Callable[[], ConnectionTimings | None],
        paused: Callable[[], Collection[str]],
        updated: Callable[[ConnectionStats], None],
        reports: bool = True,
    ) -> None:
        self.latest: ConnectionStats | None = None
        self._link, self._timings, self._paused = link, timings, paused
        self._updated, self._reports = updated, reports
        self._statistics = Statistics(link.latency, same_machine=same_machine)
        self._taken_at = -SHORTEST
        self._taking = asyncio.Lock()

    async def fetch(self) -> ConnectionStats:
        """The figures now; those of the last time where that is less than 200 ms ago.

        Raises:
            ReactorError: `TRANSPORT_ERROR`: the transport tells nothing any more.
        """
        stats, _ = await self._fetch()
        return stats

    async def run(self) -> None:
        """Sample every two seconds until cancelled; the first time, at once, only to count from."""
        due = time.monotonic()
        is_first = True
        while True:
            try:
                stats, peer = await self._fetch()
            except ReactorError as error:
                log.debug("no statistics", code=error.code)  # the transport is ending: its loss is told elsewhere
            else:
                if not is_first:
                    self._updated(stats)
                    self._report(peer, stats)
            is_first = False
            due += INTERVAL
            await asyncio.sleep(max(SHORTEST, due - time.monotonic()))

    async def _fetch(self) -> tuple[ConnectionStats, PeerStats | None]:
        """The figures, and the sample they are of where it is a new one."""
        async with self._taking:
            now = time.monotonic()
            if self.latest is not None and now - self._taken_at < SHORTEST:
                return self.latest, None
            try:
                peer = await self._link.stats()
            except (LivereactorError, RuntimeError) as error:  # RuntimeError: of the native engine
                raise error_of("TRANSPORT_ERROR", "the transport tells no figures any more") from error
            self._taken_at = time.monotonic()
            self.latest = self._statistics.take(
                peer, self._names(), self._timings(), now=self._taken_at, now_at=time.time()
            )
            return self.latest, peer

    def _names(self) -> dict[str, str]:
        tracks = (*self._link.inputs.items(), *self._link.outputs.items())
        return {track.mid: name for name, track in tracks}

    def _report(self, peer: PeerStats | None, stats: ConnectionStats) -> None:
        if not self._reports or peer is None:
            return
        try:
            self._link.say(told(peer, stats, self._names(), self._paused(), self._statistics.stages))
        except ReactorError as error:
            log.debug("statistics not sent", code=error.code)
