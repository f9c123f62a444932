"""The figures and events of a runtime for its operators: `GET /metrics` and `GET /events`.

Metrics are Prometheus text; no label names a Connection or a Session. Events are the last transitions of the Session,
as server-sent events with ids to resume from.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from livereactor.base.tasks import set_within
from livereactor.engine.port import PeerStats
from livereactor.protocol.messages import ClientStats

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 3600)
_OUTCOMES: Final = frozenset(
    {"ok", "invalid_command", "unresolved_upload", "internal_error", "session_ended", "RATE_LIMITED", "FORBIDDEN"}
)
# Reasons for which a Session ends; a client's own reason counts as `other`, so that labels stay few.
_END_REASONS: Final = frozenset(
    {"stopped", "error", "timed_out", "max_duration", "idle", "moderated", "reloaded", "start_refused"}
)
Counters: TypeAlias = Callable[[], Mapping[str, Mapping[str, float]]]
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one runtime, in a registry of their own: tests have several runtimes in one process.

    Attributes:
        first_client, connections, answered, loaded, uploaded: metrics that their observers feed directly.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        histogram = partial(Histogram, registry=registry)
        self._sessions = Counter("livereactor_sessions", "Sessions by end reason", ["reason"], registry=registry)
        self._duration = histogram("livereactor_session_seconds", "Length of sessions", buckets=_LONG)
        self.first_client = histogram(
            "livereactor_first_client_seconds", "Session start to first client", buckets=_FAST
        )
        self.connections = Gauge("livereactor_connections", "Connections with an offer", registry=registry)
        self._commands = Counter("livereactor_commands", "Commands by outcome", ["outcome"], registry=registry)
        self._latency = histogram("livereactor_command_seconds", "Command received to outcome sent", buckets=_FAST)
        self.answered = histogram("livereactor_answer_seconds", "Offer received to answer ready", buckets=_FAST)
        self.loaded = Gauge("livereactor_load_seconds", "Time the model took to load", registry=registry)
        self._client = {
            name: histogram(f"livereactor_client_{name}", text, buckets=buckets)
            for name, text, buckets in (
                ("jitter_ms", "Jitter, as clients report it", (1, 2, 5, 10, 20, 50, 100, 200, 500)),
                ("bitrate_bps", "Bit rate of a track", (1e5, 3e5, 1e6, 2e6, 4e6, 8e6, 16e6)),
                ("frames_per_second", "Frame rate of a track", (1, 5, 10, 15, 20, 24, 29, 31, 50, 61)),
            )
        }
        self._peer = {
            name: histogram(f"livereactor_peer_{name}", text, buckets=buckets)
            for name, text, buckets in (
                ("rtt_ms", "Round trip to a client", (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
                (
                    "loss_ratio",
                    "Packets lost on the way to a client, at each scrape",
                    (0.0, 0.001, 0.01, 0.05, 0.1, 0.3),
                ),
                ("jitter_ms", "Jitter a client reports by RTCP", (1, 2, 5, 10, 20, 50, 100, 200)),
            )
        }
        self.uploaded = Counter("livereactor_upload_bytes", "Bytes of uploads", registry=registry)

    def watch_outputs(self, counters: Counters) -> None:
        """Report the counters of the outputs at each scrape."""
        self._registry.register(_AtScrape(lambda: _output_families(counters())))

    def watch_recorder(self, counters: Callable[[], Mapping[str, float]]) -> None:
        """Report the counters of the recorder at each scrape."""
        self._registry.register(_AtScrape(lambda: _recorder_families(counters())))

    def session_ended(self, reason: str, seconds: float) -> None:
        self._sessions.labels(reason if reason in _END_REASONS else "other").inc()
        self._duration.observe(seconds)

    def command(self, outcome: str, seconds: float) -> None:
        """Count a Command. `outcome`: `ok` or a code of ours; an author's own codes count as `refused`."""
        self._commands.labels(outcome if outcome in _OUTCOMES else "refused").inc()
        self._latency.observe(seconds)

    def client(self, stats: ClientStats) -> None:
        """Add figures that a client measured; odd figures are left out."""
        for track in stats.tracks:
            for name, histogram in self._client.items():
                value = track.metrics.get(name)
                if value is not None and 0 <= value < float("inf"):
                    histogram.observe(value)

    def peer(self, stats: PeerStats) -> None:
        """Add a sample of one Peer; figures that are not measured yet are left out."""
        for name, histogram in self._peer.items():
            value: float | None = getattr(stats, name)
            if value is not None:
                histogram.observe(value)

    def render(self) -> bytes:
        """Return the text that a scraper reads."""
        return generate_latest(self._registry)


class _AtScrape(Collector):
    """Figures that are read at each scrape: the hot path counts in plain numbers."""

    def __init__(self, read: Callable[[], Iterable[CounterMetricFamily]]) -> None:
        self._read = read

    def describe(self) -> Iterable[CounterMetricFamily]:
        return []

    def collect(self) -> Iterable[CounterMetricFamily]:
        return self._read()


def _output_families(counters: Mapping[str, Mapping[str, float]]) -> Iterable[CounterMetricFamily]:
    families: dict[str, CounterMetricFamily] = {}
    for track, values in counters.items():
        for name, value in values.items():
            family = families.setdefault(
                name, CounterMetricFamily(f"livereactor_output_{name}", f"Outputs: {name}", labels=["track"])
            )
            family.add_metric([track], value)
    return families.values()


def _recorder_families(counters: Mapping[str, float]) -> Iterable[CounterMetricFamily]:
    for name, value in counters.items():
        yield CounterMetricFamily(f"livereactor_recorder_{name}", f"Recordings: {name}", value=value)


KEPT: Final = 256  # transitions; a reader that comes later than that misses the oldest
HEARTBEAT: Final = 15.0  # seconds; proxies close what is silent for longer


class EventLog:
    """Transitions, numbered from 1. Loop only.

    Attributes:
        followers: the number of readers that follow now.
    """

    def __init__(self) -> None:
        self._entries: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT)
        self._number = 0
        self._grown = asyncio.Event()
        self._closed = False
        self.followers = 0

    def record(self, before: str, after: str, reason: str) -> None:
        """Record a transition."""
        self._number += 1
        entry = {
            "type": "transition",
            "event": f"{before} to {after}",
            "from": before,
            "to": after,
            "ts": int(time.time() * 1000),
            "detail": {"reason": reason},
        }
        self._entries.append((self._number, entry))
        self._wake()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The transitions that are kept, oldest first."""
        return [entry for _, entry in self._entries]

    def close(self) -> None:
        """End all followers: nothing more comes."""
        self._closed = True
        self._wake()

    async def follow(self, since: int) -> AsyncIterator[str]:
        """Yield the transitions after number `since`, then new ones; a comment line while there is nothing new."""
        self.followers += 1
        try:
            while True:
                grown = self._grown
                for number, entry in [each for each in self._entries if each[0] > since]:
                    since = number
                    yield f"id: {number}\ndata: {json.dumps(entry)}\n\n"
                if self._closed:
                    return
                if not await set_within(grown, HEARTBEAT):
                    yield ": nothing new\n\n"
        finally:
            self.followers -= 1

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()
