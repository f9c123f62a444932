"""Notices by Postgres, LISTEN and NOTIFY, on a connection of their own outside the pool.

Never within a transaction that does something else: commits that notify wait for each other. Notices given together
leave together, so a coordinator under load sends few large ones. A pooler that gives a connection to another client
with each transaction (pgbouncer's `transaction` mode) passes none on: then polls find changes within a second.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, Protocol, TypeAlias, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import structlog
from sqlalchemy import URL

from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import set_within
from livereactor.store.sql.postgres import DRIVER_ERRORS

CHANNEL: Final = "livereactor"
PAYLOAD_BYTES: Final = 7_900  # of 8,000 that Postgres takes
MOST_WAITING: Final = 10_000  # notices; while the database is away more would only be old
TIMEOUT: Final = 5.0  # seconds for anything that is asked of the database
QUIET: Final = 10.0  # seconds without a word of ours after which it is asked whether it is there
RETRY: Final = 1.0  # seconds between two attempts to connect

Receive: TypeAlias = Callable[[Sequence[str] | None], None]
log = SparseLog(structlog.get_logger("livereactor.store"))


class PostgresNotices:
    """The notices that one coordinator sends and receives, on the loop that listens.

    Args:
        url: as `PostgresStore` takes it.
    """

    def __init__(self, url: URL) -> None:
        self._dsn = url.render_as_string(hide_password=False)
        self._waiting: dict[str, None] = {}
        self._more = asyncio.Event()

    def notify(self, notices: Collection[str]) -> None:
        """Send notices to the other coordinators, as soon as the database takes them."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.update(dict.fromkeys(notices))
            self._more.set()

    async def listen(self, receive: Receive) -> None:
        """Listen until cancelled, and connect again whenever the connection is lost."""
        while True:
            try:
                await self._once(receive)
            except (*DRIVER_ERRORS, TimeoutError) as error:
                log.warning("notices of other coordinators are late", reason=type(error).__name__)
            self._waiting.clear()  # those who could not be told look for themselves once they listen again
            await asyncio.sleep(RETRY)

    async def _once(self, receive: Receive) -> None:
        connection = await _connect(self._dsn, timeout=TIMEOUT, server_settings={"application_name": "livereactor"})
        me = connection.get_server_pid()

        def heard(_connection: object, pid: int, _channel: str, payload: str) -> None:
            if pid != me:
                receive(_notices(payload))

        try:
            async with asyncio.timeout(TIMEOUT):
                await connection.add_listener(CHANNEL, heard)
            connection.add_termination_listener(lambda _: self._more.set())
            receive(None)
            while not connection.is_closed():
                await self._send(connection)
        finally:
            connection.terminate()

    async def _send(self, connection: _Connection) -> None:
        """Send what waits; after a long silence send an empty notice, to find out whether the server is gone."""
        if not await set_within(self._more, QUIET):
            await connection.execute("SELECT 1", timeout=TIMEOUT)
            return
        self._more.clear()
        while self._waiting and not connection.is_closed():
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, self._next_payload(), timeout=TIMEOUT)

    def _next_payload(self) -> str:
        """Take the oldest notices, as many as one payload holds, and return them as JSON."""
        size, taken = 2, list[str]()
        for notice in self._waiting:
            size += len(json.dumps(notice)) + 2
            if taken and size > PAYLOAD_BYTES:
                break
            taken.append(notice)
        for notice in taken:
            del self._waiting[notice]
        return json.dumps(taken)


class _Connection(Protocol):
    """A connection of asyncpg, which has no types of its own."""

    def get_server_pid(self) -> int: ...
    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None: ...
    def add_termination_listener(self, callback: Callable[[object], None]) -> None: ...
    async def execute(self, query: str, *arguments: Any, timeout: float) -> str: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...


_connect: Final = cast(
    Callable[..., Awaitable[_Connection]],
    asyncpg.connect,  # pyright: ignore[reportUnknownMemberType]
)


def _notices(payload: str) -> Sequence[str] | None:
    """Read a coordinator's notices; None for any other payload, which means that everything may have changed."""
    try:
        found = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(found, list):
        return None
    return [str(each) for each in cast(list[object], found)]
