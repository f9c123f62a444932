"""The metrics of a coordinator, as Prometheus text, and its traces. No label names a session, an account or a worker.

Each replica counts its own decisions, so the figures of several add up; figures from the store (workers, queues) are
read at each scrape and are the same from all replicas. The replica that created a session traces how long it waited
for a worker, and how long the worker took to accept it; without a tracer nothing is followed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from livereactor.base import spans
from livereactor.coordinator.decider import Decider
from livereactor.coordinator.decisions.effects import (
    Effect,
    FirstFrame,
    SessionChanged,
    SessionClosed,
    WorkerDeclaredLost,
)
from livereactor.store.port import StoreUnavailableError, Tx
from livereactor.store.records import RUNNING, SessionRecord, WorkerState

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
EVERY: Final = 1.0  # seconds between two counts of ended sessions
KEPT: Final = 5_000  # ended sessions not yet counted; more in a second are counted as `other`
AT_ONCE: Final = 200  # of them in one read
COUNTED: Final = 10_000  # running Sessions in one scrape
_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 3600)
_WAITS: Final = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
# A reason that a client or an operator gave counts as `other`, so that labels stay few.
_END_REASONS: Final = frozenset(
    {"stopped", "timed_out", "max_duration", "idle", "evicted", "moderated", "error", "worker_lost", "start_refused"}
)
log = structlog.get_logger("livereactor.coordinator")


@dataclass(frozen=True, slots=True)
class _Facts:
    """The figures read from the store at a scrape.

    Attributes:
        workers, running: Workers, and Sessions that have one, by model and state.
        queues: Tickets by model, those without any included.
        loads: seconds from the registration of the Worker that became ready last, by model.
    """

    workers: Mapping[tuple[str, str], int]
    running: Mapping[tuple[str, str], int]
    queues: Mapping[str, int]
    loads: Mapping[str, float]


_NOTHING: Final = _Facts({}, {}, {}, {})


class CoordinatorMetrics:
    """The metrics of one coordinator, in a registry of its own: tests run several in one process."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._ended: deque[str] = deque(maxlen=KEPT)
        registry = self._registry = CollectorRegistry()
        self._created = Counter("livereactor_new_sessions", "Sessions made", ["model"], registry=registry)
        self._sessions = Counter("livereactor_sessions", "Sessions by end reason", ["reason"], registry=registry)
        self._duration = Histogram(
            "livereactor_session_seconds", "Accepted by a worker to the end", buckets=_LONG, registry=registry
        )
        self._wait = Histogram(
            "livereactor_queue_wait_seconds", "Made to promised a worker", buckets=_WAITS, registry=registry
        )
        self._first_client = Histogram(
            "livereactor_first_client_seconds", "Accepted to first client", buckets=_WAITS, registry=registry
        )
        self._first_frame = Histogram(
            "livereactor_first_frame_seconds",
            "Accepted to the first frame that a client saw",
            buckets=_WAITS,
            registry=registry,
        )
        self._lost = Counter("livereactor_workers_lost", "Workers lost", ["model"], registry=registry)
        self._relay = Histogram(
            "livereactor_relay_seconds", "Request to a worker and its reply", buckets=_FAST, registry=registry
        )
        self._requests = Counter(
            "livereactor_requests", "HTTP requests", ["method", "route", "status"], registry=registry
        )
        self._held = Gauge("livereactor_held_polls", "Polls that are held now", registry=registry)
        self._store_errors = Gauge(
            "livereactor_store_errors", "Calls that found the store away, since the start", registry=registry
        )
        self._store_up = Gauge("livereactor_store_up", "1 while the store answers", registry=registry)
        self._workers = Gauge("livereactor_workers", "Workers", ["model", "state"], registry=registry)
        self._queue = Gauge("livereactor_queue_length", "Tickets", ["model"], registry=registry)
        self._running = Gauge(
            "livereactor_running_sessions", "Sessions with a worker", ["model", "state"], registry=registry
        )
        self._load = Gauge(
            "livereactor_worker_load_seconds",
            "Registered to ready, of the worker that became ready last",
            ["model"],
            registry=registry,
        )
        self._uploads = Counter("livereactor_upload_bytes", "Bytes of uploads", registry=registry)
        decider.subscribe(self._on_effect)

    def created(self, session: SessionRecord) -> None:
        """Count a new session."""
        self._created.labels(session.model).inc()

    def uploaded(self, size: int) -> None:
        """Count a complete upload of `size` bytes."""
        self._uploads.inc(size)

    def request(self, method: str, route: str, status: int) -> None:
        """Count an answered request; `route` is the pattern (`/sessions/{sid}`), never the path."""
        self._requests.labels(method, route, str(status)).inc()

    @contextmanager
    def relaying(self) -> Generator[None]:
        """Time a request to a worker, whether it succeeds or not."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._relay.observe(time.perf_counter() - started)

    async def run(self) -> None:
        """Count ended sessions until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            with suppress(StoreUnavailableError):
                await self.count_ended()

    async def count_ended(self) -> None:
        """Read and count the sessions that ended here, in batches, so that the ending request need not wait."""
        while self._ended:
            some = [self._ended.popleft() for _ in range(min(AT_ONCE, len(self._ended)))]
            try:
                found = await self._decider.read(lambda tx, some=some: [tx.session(each) for each in some])
            except StoreUnavailableError:
                self._ended.extendleft(reversed(some))
                raise
            for session in found:
                if session is not None:
                    self._count_end(session)

    async def render(self) -> bytes:
        """Return the text for a scraper; while the store is away, without the figures from it."""
        self._held.set(self._decider.polls.held)
        try:
            self._show(await self._decider.read(_facts))
        except StoreUnavailableError:
            self._show(_NOTHING)
        self._store_errors.set(self._decider.outages.errors)
        self._store_up.set(0 if self._decider.outages.away else 1)
        return generate_latest(self._registry)

    def _on_effect(self, effect: Effect) -> None:
        if isinstance(effect, SessionClosed):
            if len(self._ended) == KEPT:
                self._sessions.labels("other").inc()
            self._ended.append(effect.session)
        elif isinstance(effect, FirstFrame):
            self._first_frame.observe(effect.seconds)
        elif isinstance(effect, WorkerDeclaredLost):
            self._lost.labels(effect.model).inc()

    def _count_end(self, session: SessionRecord) -> None:
        reason = session.end_reason or "stopped"
        waited = _seconds(session.created_us, session.assigned_us)
        joined = _seconds(session.accepted_us, session.connected_us)
        ran = _seconds(session.accepted_us, session.ended_us)
        self._sessions.labels(reason if reason in _END_REASONS else "other").inc()
        for histogram, seconds in ((self._wait, waited), (self._first_client, joined), (self._duration, ran)):
            if seconds is not None:
                histogram.observe(seconds)
        log.info(
            "session ended",
            session=session.id,
            account=session.account,
            model=session.model,
            reason=reason,
            waited_s=waited,
            ran_s=ran,
        )

    def _show(self, facts: _Facts) -> None:
        for gauge, values in (
            (self._workers, facts.workers),
            (self._running, facts.running),
            (self._queue, {(model,): length for model, length in facts.queues.items()}),
            (self._load, {(model,): seconds for model, seconds in facts.loads.items()}),
        ):
            gauge.clear()  # of models and states that are no more nothing stays
            for labels, value in values.items():
                gauge.labels(*labels).set(value)


def _facts(tx: Tx) -> _Facts:
    living = tx.workers(states=frozenset(WorkerState) - {WorkerState.GONE})
    loaded = sorted(((each.ready_us, each) for each in living if each.ready_us is not None), key=lambda pair: pair[0])
    running = tx.sessions(states=RUNNING, limit=COUNTED)
    return _Facts(
        workers=Tally((each.model, each.state.value) for each in living),
        running=Tally((each.model, each.state.value) for each in running),
        queues={each.name: tx.queue_length(each.name) for each in tx.models()},
        loads={each.model: max(0, ready_us - each.started_us) / 1e6 for ready_us, each in loaded},
    )


def _seconds(since_us: int | None, until_us: int | None) -> float | None:
    if since_us is None or until_us is None:
        return None
    return round(max(0, until_us - since_us) / 1e6, 3)


FOLLOWED: Final = 1_000  # sessions that wait at once; more are not traced
SESSION: Final = "livereactor.session"


class Assignments:
    """The sessions created here that no worker has accepted yet, to trace how long they wait."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._waiting: set[str] = set()
        self._checks: dict[str, asyncio.Task[None]] = {}
        decider.subscribe(self._on_effect)

    def follow(self, session: SessionRecord) -> None:
        """Follow a session that was just created."""
        if spans.tracer() is not None and session.start.get(spans.HEADER) and len(self._waiting) < FOLLOWED:
            self._waiting.add(session.id)
            self._check_soon(session.id)

    def _on_effect(self, effect: Effect) -> None:
        match effect:
            case SessionChanged(session=session) if session in self._waiting:
                self._check_soon(session)
            case SessionClosed(session=session):
                self._waiting.discard(session)
            case _:
                pass

    def _check_soon(self, session: str) -> None:
        before = self._checks.get(session)
        task = asyncio.get_running_loop().create_task(self._check(session, before), name=f"trace of {session}")
        self._checks[session] = task  # kept, or it might be collected
        task.add_done_callback(lambda done: self._done(session, done))

    def _done(self, session: str, task: asyncio.Task[None]) -> None:
        if self._checks.get(session) is task:
            del self._checks[session]

    async def _check(self, session: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        if session not in self._waiting:
            return
        try:
            record = await self._decider.read(lambda tx: tx.session(session))
        except StoreUnavailableError:
            return  # the next change is read again
        if record is not None and record.assigned_us is not None and record.accepted_us is not None:
            self._waiting.discard(session)
            self._trace(record, record.assigned_us, record.accepted_us)

    def _trace(self, record: SessionRecord, assigned_us: int, accepted_us: int) -> None:
        if (tracer := spans.tracer()) is None:
            return
        parent = spans.parsed(str(record.start.get(spans.HEADER, "")))
        found = {SESSION: record.id, "livereactor.model": record.model, "livereactor.worker": record.worker or ""}
        for name, began_us, ended_us in (
            ("session.queued", record.created_us, assigned_us),
            ("session.assigned", assigned_us, accepted_us),
        ):
            span = tracer.start_span(name, parent, attributes=found, start_time=began_us * 1_000)
            span.end(ended_us * 1_000)
