"""Webhooks: each event as a signed HTTP POST to an operator's service, at least once and in order.

Loop only. The events are those of the store, read behind a cursor that moves once one was taken, so a crash repeats and
never skips. One replica at a time posts. While the receiver is away the cursor stays, and nothing else waits for it;
an event that it refuses for good (4xx) is left out, or it would keep back all later ones.

Signed as the Standard Webhooks specification says (v1, HMAC-SHA256), so its libraries verify it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx2
import stamina
import structlog

from livereactor.base.signatures import signed, signing_key
from livereactor.base.sparse_log import SparseLog
from livereactor.coordinator.cluster.role import Role
from livereactor.store.port import Store, StoreUnavailableError, Tx
from livereactor.store.records import EventRecord

EVERY: Final = 1.0  # seconds between two polls
AT_ONCE: Final = 50  # events in one poll
TIMEOUT: Final = 10.0  # seconds for the receiver to answer
LEADS_FOR: Final = 15.0  # seconds, counted anew with each attempt: what a killed replica keeps the others waiting
ATTEMPTS: Final = 5
FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0  # seconds between two attempts
PAUSE: Final = 30.0  # seconds after all attempts at an event failed
_LATER: Final = frozenset({408, 425, 429})  # the 4xx that mean: not now
_INTERNAL: Final = frozenset({"token"})  # fields of an event that are not posted
log = SparseLog(structlog.get_logger("livereactor.webhooks"))


class Webhooks:
    """Posts events to one URL.

    Args:
        url: of the operator's service.
        secrets: each signs; `whsec_` and base64 as the specification writes it, or any text. At least one.
        unix_us: the clock, microseconds of Unix time.
        client: for tests; closed with this.
    """

    def __init__(
        self,
        store: Store,
        *,
        url: str,
        secrets: Sequence[str],
        unix_us: Callable[[], int],
        client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._store, self._url, self._unix_us = store, url, unix_us
        self._keys = [signing_key(each) for each in secrets]
        self._client = client or httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False)
        # Another URL has another cursor. The name must not contain the URL, which may hold a secret of the operator's.
        self._cursor = f"webhooks.{hashlib.sha256(url.encode()).hexdigest()[:16]}"
        self._role = Role(self._cursor, lasts=LEADS_FOR, unix_us=unix_us)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to post events."""
        self._task = asyncio.create_task(self._run(), name="webhooks")

    async def aclose(self) -> None:
        """Post no more; events not taken are posted after the next start. May be called twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._role.release(self._store)  # the next need not wait
        await self._client.aclose()

    async def deliver(self) -> bool:
        """Post the next events, at most `AT_ONCE`, in order.

        Returns:
            False if an event could not be delivered; True also if another replica posts now.
        """
        try:
            for event in await self._store.transact(self._next):
                if not await self._delivered(event):
                    return False
                await self._store.transact(lambda tx, seq=event.seq: self._advance(tx, seq))
        except _OtherLeadsError:
            pass
        return True

    async def _run(self) -> None:
        while True:
            wait = EVERY
            try:
                if not await self.deliver():
                    wait = PAUSE
            except StoreUnavailableError:
                pass  # the sweeper says so
            except Exception:
                log.exception("webhooks failed")
            await asyncio.sleep(wait)

    def _next(self, tx: Tx) -> Sequence[EventRecord]:
        if not self._role.is_held(tx):
            return []
        begun = f"{self._cursor}.begun"
        if not tx.cursor(begun):  # an operator who switches webhooks on wants new events, not old ones
            tx.put_cursor(begun, 1)
            tx.put_cursor(self._cursor, tx.last_event())
        return tx.events(after_seq=tx.cursor(self._cursor), limit=AT_ONCE)

    def _advance(self, tx: Tx, seq: int) -> None:
        self._must_lead(tx)  # or another's cursor, which is further, would be set back
        tx.put_cursor(self._cursor, seq)

    def _must_lead(self, tx: Tx) -> None:
        if not self._role.is_held(tx):
            raise _OtherLeadsError

    async def _delivered(self, event: EventRecord) -> bool:
        """Return whether the next event is due: this one was taken, or refused for good."""
        try:
            async for attempt in stamina.retry_context(
                on=_DeliveryError, attempts=ATTEMPTS, timeout=None, wait_initial=FIRST_WAIT, wait_max=LONGEST_WAIT
            ):
                with attempt:
                    if attempt.num > 1:  # the waits together are longer than the lead
                        await self._store.transact(self._must_lead)
                    await self._post(event)
        except _DeliveryError as error:
            log.warning("webhook not delivered", reason=str(error), seq=event.seq)
            return False
        return True

    async def _post(self, event: EventRecord) -> None:
        body = payload(event)
        headers = signed(self._keys, f"evt_{event.seq}", self._unix_us() // 1_000_000, body)
        try:
            # Streamed: whatever it answers, only the status is read.
            async with (
                asyncio.timeout(TIMEOUT),
                self._client.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                status = response.status_code
        except (httpx2.TransportError, TimeoutError) as error:
            raise _DeliveryError(type(error).__name__) from None
        if status >= 500 or status in _LATER:
            raise _DeliveryError(f"status {status}")
        if status >= 300:
            log.warning("webhook refused", status=status, seq=event.seq, type=event.kind)


class _DeliveryError(Exception):
    """The receiver did not take the event now. The text is logged, so it has no URL, which may hold a secret."""


class _OtherLeadsError(Exception):
    """The events are now posted by a different replica."""


def payload(event: EventRecord) -> bytes:
    """Return the body: `type`, `timestamp` (ISO 8601), and `data` with the ids of session and account."""
    whom = {"session_id": event.session, "account": event.account}
    data: dict[str, Any] = {name: value for name, value in whom.items() if value is not None}
    data |= {name: value for name, value in event.data.items() if name not in _INTERNAL}
    at = datetime.fromtimestamp(event.at_us / 1e6, UTC)
    return json.dumps({"type": event.kind, "timestamp": at.isoformat(), "data": data}).encode()
