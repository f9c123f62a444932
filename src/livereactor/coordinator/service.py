"""The coordinator's service, which routes and worker sockets call: a decision is one transaction, then its effects.

Runs on one event loop. `decisions/` and the machines decide; `queries.py` reads, and holds long polls; `sweeper.py`
acts on time: lost leases, dropped tickets, ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from livereactor.base import ids, spans
from livereactor.base.errors import ConflictError, NotFoundError
from livereactor.base.sparse_log import SparseLog
from livereactor.coordinator import creation, decisions
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.cluster.forwarding import ClusterPeers, Forwarder, PeerRelay, is_fenced
from livereactor.coordinator.cluster.notices import EventPoller, NoticeListener, notice_of, worker_notice
from livereactor.coordinator.creation import Capacity, Created, CreationRequest
from livereactor.coordinator.decider import Decider
from livereactor.coordinator.decisions.effects import Effect
from livereactor.coordinator.metrics import Assignments, CoordinatorMetrics
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.coordinator.queries import SessionQueries
from livereactor.coordinator.sweeper import Sweeper
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.protocol import link
from livereactor.protocol.http import CreateSession, SessionDescriptor
from livereactor.store.port import Store, StoreUnavailableError, Tx
from livereactor.store.records import SessionRecord, SessionState

# Seconds between two requests to a worker that says it holds no such session, while the store says that it does: a
# request that reads the store just after the write may arrive before the worker knows. Once in hundreds, under load.
UNTOLD: Final = (0.01, 0.05, 0.2, 0.5)
FIGURES_TIMEOUT: Final = 5.0  # seconds; a scraper waits ten
_WITHOUT_WORKER: Final = frozenset({SessionState.QUEUED, SessionState.ASSIGNED})
log = structlog.get_logger("livereactor.coordinator")


class Service:
    """The coordinator's decisions, for one replica.

    Args:
        store: where the facts are.
        sockets: the workers whose sockets this replica holds.
        unix_us: the clock, microseconds of Unix time.
        peers: the other coordinators; None = this is the only one.

    Attributes:
        capacity: why no worker of a model can be started now, None = one may be; set by the fleet.
        decider: runs the decisions; fleet, uploads and the event feed subscribe to its effects.
        forwarder: asks workers.
        metrics: the counters and histograms.
        queries: the reads of clients.
        is_leaving: this replica ends; load balancers should ask another.
    """

    def __init__(
        self,
        store: Store,
        sockets: WorkerSockets,
        options: CoordinatorOptions,
        *,
        unix_us: Callable[[], int],
        peers: ClusterPeers | None = None,
    ) -> None:
        self.options = options
        self.capacity: Capacity = lambda model: None
        self.is_leaving = False
        self._crowded: set[str] = set()  # models that clients wait for, as of their last creation
        self._peers = peers
        self.decider = Decider(store, sockets, options, unix_us, None if peers is None else self._notify)
        self.metrics = CoordinatorMetrics(self.decider)
        self._assignments = Assignments(self.decider)
        self.queries = SessionQueries(self.decider)
        self._peer_relay = None if peers is None else PeerRelay(peers.url, self._home_of, secret=peers.secret)
        self.forwarder = Forwarder(sockets, self._peer_relay)
        self._listener = NoticeListener(self.decider, sockets, self.forwarder.arrived)
        self._sparse = SparseLog(log)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin sweeping."""
        running = {
            "sweeper": Sweeper(self.decider).run(),
            "changes of others": EventPoller(self.decider.store, self.decider.polls).run(),
            "tally": self.metrics.run(),
        }
        if self._peers is not None:
            running["notices of others"] = self._listener.run(self._peers.notices)
        self._tasks = [asyncio.create_task(each, name=name) for name, each in running.items()]

    async def aclose(self) -> None:
        """Answer every held poll and sweep no more."""
        self.decider.polls.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        with suppress(StoreUnavailableError):
            await self.metrics.count_ended()
        if self._peer_relay is not None:
            await self._peer_relay.aclose()

    # --- sessions ------------------------------------------------------------------------------------------------

    async def create(self, caller: Caller, asked: CreateSession, *, idempotency_key: str | None) -> SessionDescriptor:
        """Create a session: assigned at once if a slot is free, otherwise queued.

        Raises:
            PeerError: the idempotency key is empty or too long.
            NotFoundError: no such model; the message names the nearest.
            ForbiddenError: the token is not for this model.
            TooLargeError: its arguments for the model are over `START_BYTES`.
            TokenSpentError: the token has used up its sessions (403 with limit and current).
            QuotaError: an allowance of the account is used up (429 with quota_type, limit, current, retry_after).
            UnavailableError: no Worker serves the model and none can be started (`NO_CAPACITY`).
            KeyReusedError: the idempotency key was used for another body (422).
        """
        key = creation.checked_key(idempotency_key)
        request = CreationRequest(caller, asked, ids.session_id(), key, trace=spans.traceparent())
        created = await self._create(request)
        if (session := created.session) is not None:
            self.metrics.created(session)
            self._assignments.follow(session)
            log.info(
                "session created",
                session=session.id,
                account=session.account,
                model=session.model,
                state=session.state.value,
                client=session.client,
            )
        return created.view

    async def may_create(
        self, caller: Caller, asked: CreateSession, *, idempotency_key: str | None
    ) -> SessionDescriptor | None:
        """Return the answer to a repeated request, None for a new one that `create` would accept now.

        Raises:
            as `create`
        """
        request = CreationRequest(caller, asked, "", creation.checked_key(idempotency_key))
        now_us, options, capacity = self.decider.unix_us(), self.decider.options, self.capacity
        return await self.decider.read(lambda tx: creation.check(tx, now_us, options, request, capacity=capacity))

    async def _create(self, request: CreationRequest) -> Created:
        """Create a session, with a shared lock of its queue if the last one had to wait (a good guess), else alone."""
        model = request.body.model.name
        try:
            created = await self.decider.decide(
                creation.create, request, capacity=self.capacity, crowded=model in self._crowded
            )
        except decisions.QueueEmptyError:
            self._crowded.discard(model)
            created = await self.decider.decide(creation.create, request, capacity=self.capacity)
        session = created.session
        if session is not None and session.model == model and session.state is SessionState.QUEUED:
            self._crowded.add(model)
        return created

    async def end(
        self, caller: Caller, session: str, *, reason: str = "stopped", detail: str = "", moderate: bool = False
    ) -> None:
        """End a session; nothing happens if it is over (DELETE is idempotent).

        Args:
            reason: an end reason (`stopped`, `evicted`, …); `moderated` where `moderate`.
            detail: the caller's own words.

        Raises:
            NotFoundError: no such session for this caller; clients take that for success.
            ForbiddenError: the caller may only watch it.
        """

        def end(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[SessionRecord | None, list[Effect]]:
            caller.must_reach(tx.session(session), session)
            caller.need("control")
            return decisions.end_session(
                tx, now_us, options, session=session, reason=reason, detail=detail, moderate=moderate
            )

        await self.decider.decide(end)

    async def running(self, caller: Caller, session: str) -> SessionRecord:
        """Return a session that requests can be relayed for: its worker has accepted it.

        Raises:
            NotFoundError: no such session for this caller, or it is over.
            ConflictError: no worker has accepted it yet.
        """
        record = caller.must_reach(await self.decider.read(lambda tx: tx.session(session)), session)
        caller.need("view")
        if record.state is SessionState.CLOSED:
            raise NotFoundError(f"session {session[:64]!r} has ended ({record.end_reason}); create another")
        if record.state in _WITHOUT_WORKER or record.worker is None:
            raise ConflictError(
                f"session {session[:64]!r} has no worker yet; poll GET /sessions/{{id}} until it has capabilities"
            )
        return record

    async def relay(
        self,
        caller: Caller,
        session: str,
        method: str,
        path: str,
        body: str = "",
        *,
        timeout: float = 30.0,
    ) -> link.Reply:
        """Relay a local-mode request to the session's worker, with the caller's rights, its mark and the fence.

        Raises:
            as `running`; UnavailableError: the Worker's socket is away, or it does not answer in time.
        """
        record = await self.running(caller, session)
        assert record.worker is not None
        assert record.slot is not None
        request = link.Request(
            id=0,
            slot=record.slot,
            fence=record.fence,
            role=caller.role,
            records=caller.records,
            caller=caller.mark,
            link=caller.link,
            method=method,
            path=path,
            headers={spans.HEADER: trace} if (trace := spans.traceparent()) else {},
            body=body,
        )
        waits = iter(UNTOLD)
        while True:
            with self.metrics.relaying():
                reply = await self.forwarder.ask(record.worker, request, timeout=timeout)
            if reply.status != 409:
                return reply
            if (now := await self.running(caller, session)).fence != record.fence:
                raise ConflictError(f"session {session[:64]!r} moved to another worker ({now.worker}); try again")
            if not is_fenced(reply) or (wait := next(waits, None)) is None:
                return reply
            await asyncio.sleep(wait)

    async def prefer(self, session: str) -> None:
        """Serve this session before all others in its queue (for operators); raises `NotFoundError`."""
        await self.decider.decide(decisions.prefer, session=session)

    # --- workers -------------------------------------------------------------------------------------------------

    async def hello(self, hello: link.Hello, *, since: int | None = None) -> link.Welcome | link.Refused:
        """Register a worker, or one that comes back with its sessions.

        Args:
            since: Unix seconds at which a pool made its credential; None = not of a pool.
        """
        try:
            answer = await self.decider.decide(decisions.register, hello=hello, since=since)
        except StoreUnavailableError as error:
            return link.Refused(code="unavailable", message=error.message)
        if isinstance(answer, link.Welcome):
            self._sparse.info(
                "worker registered",
                apart=hello.model,
                worker=hello.worker,
                model=hello.model,
                node=hello.node,
                state=hello.state,
            )
            self.forwarder.arrived(hello.worker)
            if self._peers is not None:
                self._peers.notices.notify([worker_notice(hello.worker)])
        else:
            self._sparse.warning("worker refused", worker=hello.worker, model=hello.model, reason=answer.message)
        return answer

    async def beat(self, worker: str, incarnation: str, beat: link.Beat) -> link.Renewed | link.Refused | None:
        """Renew the worker's lease; None while the store is away: the worker gets no answer, and its own clock runs."""
        self.forwarder.arrived(worker)
        try:
            return await self.decider.decide(decisions.beat, worker=worker, incarnation=incarnation, beat=beat)
        except StoreUnavailableError:
            return None

    async def report(self, worker: str, incarnation: str, report: link.SessionReport) -> None:
        """Apply a report that a session moved; ignored under another fence or incarnation."""
        await self.decider.decide(decisions.report, worker=worker, incarnation=incarnation, report=report)
        self._sparse.info(
            "session moved", apart=report.phase, session=report.session, phase=report.phase, worker=worker
        )

    async def bye(self, worker: str, incarnation: str) -> None:
        """Record a worker's goodbye; sessions that it still holds are queued again or ended."""
        await self.decider.decide(decisions.bye, worker=worker, incarnation=incarnation)
        log.info("worker gone", worker=worker)

    async def worker_died(self, worker: str, *, reason: str, is_final: bool = False) -> None:
        """Lose a worker whose process is gone, as the pool or its supervisor reported, before its lease ends.

        Args:
            is_final: no process has this id again, so nobody may register under it.
        """
        if await self.decider.decide(decisions.worker_lost, worker=worker, reason=reason, is_final=is_final):
            log.warning("worker died", worker=worker, reason=reason)

    async def figures(self, worker: str, slot: int) -> link.Reply:
        """Return the metrics of a worker's slot, from its own `/metrics`.

        Raises:
            NotFoundError: no such Worker, or it has no such Slot.
            UnavailableError: its socket is away, or it does not answer in time.
        """
        record = await self.decider.read(lambda tx: tx.worker(worker))
        if record is None or slot >= record.slots:
            raise NotFoundError(f"no worker {worker[:64]!r} with slot {slot}; `livereactor workers` lists them")
        request = link.Request(id=0, slot=slot, method="GET", path="/metrics")
        return await self.forwarder.ask(worker, request, timeout=FIGURES_TIMEOUT)

    async def drain(self, worker: str) -> None:
        """Drain a worker: it finishes its sessions and ends; raises `NotFoundError`."""
        await self.decider.decide(decisions.drain, worker=worker)

    def _notify(self, effects: Sequence[Effect]) -> None:
        assert self._peers is not None
        notices = [notice for effect in effects if (notice := notice_of(effect)) is not None]
        if notices:
            self._peers.notices.notify(notices)

    async def _home_of(self, worker: str) -> str:
        record = await self.decider.read(lambda tx: tx.worker(worker))
        return "" if record is None else record.home
