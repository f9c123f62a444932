"""What HTTP and links ask of the coordinator: each decision one transaction, its effects carried out afterwards.

Loop only. The deciding is `decisions.py`'s and the machines'; long polls wait in `wakes.py`; what passes by itself
(lost leases, dropped Tickets, ends) is `sweeper.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from livereactor.coordinator.caller import Caller
from livereactor.coordinator.effects import Effect
from livereactor.coordinator.links import Links
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.protocol.http import CreateSession, SessionDescriptor
from livereactor.store.port import SessionRecord, SessionState, Store


class Service:
    """The coordinator's decisions, for one replica.

    Args:
        store: where the facts are.
        links: the Workers whose sockets this replica holds.
        unix_us: the clock, microseconds of Unix time.
    """

    def __init__(self, store: Store, links: Links, options: CoordinatorOptions, *, unix_us: Callable[[], int]) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Begin sweeping."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Answer every held poll and sweep no more."""
        raise NotImplementedError

    def listen(self, listener: Callable[[Effect], None]) -> None:
        """Call it, on the loop, with every effect (fleet, uploads, metrics follow what happens this way)."""
        raise NotImplementedError

    # --- sessions ------------------------------------------------------------------------------------------------

    async def create(self, caller: Caller, asked: CreateSession, *, idempotency_key: str | None) -> SessionDescriptor:
        """Make a Session: assigned at once where a Slot is free, else a Ticket.

        Raises:
            NotFoundError: no such model; the message names the nearest.
            ForbiddenError: the token is not for this model, or has had all its Sessions.
            QuotaError: an allowance of the account is used up (429 with quota_type, limit, current, retry_after).
            UnavailableError: no Worker serves the model and none can be started (`NO_CAPACITY`).
            ConflictError: the idempotency key was used for another body.
        """
        raise NotImplementedError

    async def describe(self, caller: Caller, session: str, *, listed: bool = False) -> SessionDescriptor:
        """What S2 says now; a queued Session's client counts as heard of. `listed`: INACTIVE may be said (S3, lists).

        Raises:
            NotFoundError: not there, for this caller.
        """
        raise NotImplementedError

    async def watch(
        self, caller: Caller, session: str, *, wait: float | None = None, version: str | None = None
    ) -> SessionDescriptor:
        """As `describe`, held until there is something to say.

        With `version`: until it is another one, for at most `wait` seconds (20 by default). Without: until the Session
        is ready or over, or its queue moved. While the store is away the hold goes on.
        """
        raise NotImplementedError

    async def end(self, caller: Caller, session: str, *, reason: str = "stopped", moderate: bool = False) -> None:
        """End it; one that is over, or never was, is no error for whoever may end it (DELETE is idempotent)."""
        raise NotImplementedError

    async def sessions(
        self,
        caller: Caller,
        *,
        states: Sequence[SessionState] | None = None,
        model: str | None = None,
        before_seq: int | None = None,
        limit: int = 100,
    ) -> Sequence[SessionRecord]:
        """The caller's own within its reach, newest first; everybody's for `admin`."""
        raise NotImplementedError

    async def running(self, caller: Caller, session: str) -> SessionRecord:
        """A Session that signalling can be relayed for: it has a Slot and its Worker has accepted.

        Raises:
            NotFoundError: not there, for this caller, or over.
            ConflictError: it is still queued.
        """
        raise NotImplementedError

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
        """A local-mode request to the Session's Worker, with the caller's role, under the Session's fence.

        Raises:
            as `running`; UnavailableError: the Worker's socket is away, or it does not answer in time.
        """
        raise NotImplementedError

    async def prefer(self, session: str) -> None:
        """Serve this Ticket before all others (an operator's reordering)."""
        raise NotImplementedError

    # --- workers -------------------------------------------------------------------------------------------------

    async def hello(self, hello: link.Hello) -> link.Welcome | link.Refused:
        """A Worker registers, or comes back with what it holds."""
        raise NotImplementedError

    async def beat(self, worker: str, incarnation: str, beat: link.Beat) -> link.Renewed | link.Refused | None:
        """Renew; None while the store is away: the Worker hears nothing, and its own clock runs."""
        raise NotImplementedError

    async def report(self, worker: str, incarnation: str, report: link.SessionReport) -> None:
        """A Session moved. Of another fence or incarnation: nothing happens."""
        raise NotImplementedError

    async def bye(self, worker: str, incarnation: str) -> None:
        """It ends in order; its Slots are empty."""
        raise NotImplementedError

    async def worker_died(self, worker: str, *, reason: str) -> None:
        """Its process is known to be gone (the pool, or its keeper, said so): what `sweep` would find out later."""
        raise NotImplementedError

    async def drain(self, worker: str) -> None:
        """Let it finish what it has and end; raises NotFoundError."""
        raise NotImplementedError

    # --- looking -------------------------------------------------------------------------------------------------

    async def queue(self, model: str | None = None) -> Sequence[dict[str, Any]]:
        """Tickets in order with position and estimate, for operators."""
        raise NotImplementedError
