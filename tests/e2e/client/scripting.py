"""Clients of scripted servers, which end with their test whatever becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from livereactor import Reactor
from livereactor.client.errors import ReactorError
from tests.e2e.client.noting import Noted
from tests.tools.script import Script
from tests.tools.scripted_server import ScriptedServer, scripted

BOUND = 10.0  # seconds that nothing here may take: what hangs fails


@dataclass
class Met:
    """A client and the server it is for.

    Attributes:
        noted: statuses, errors and ends of sessions since the client was made.
    """

    server: ScriptedServer
    reactor: Reactor
    noted: Noted

    async def refused(self, **options: Any) -> ReactorError:
        """Return what `connect()` raises, once everything that is promised of a failure has been checked."""
        with pytest.raises(ReactorError) as caught:
            await self.reactor.connect(**{"timeout": BOUND, **options})
        error = caught.value
        assert self.reactor.status == "disconnected"
        assert self.reactor.session_id is None
        assert self.reactor.last_error is error
        assert self.noted.of("error") == [error]
        assert "\n" not in str(error)
        assert self.server.open_sessions == []
        return error


@asynccontextmanager
async def met(
    script: Script | None = None, *, options: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[Met]:
    """A client for `Script(**more)`; `options` are the client's, a token for a coordinator by itself."""
    async with scripted(script, **more) as server:
        where: dict[str, Any] = {"local": server.url} if server.script.style == "local" else {"api_url": server.url}
        let_in: dict[str, Any] = {} if server.script.style == "local" else {"jwt": "a token"}
        reactor = Reactor("m", **{**where, **let_in, **(options or {})})
        noted = Noted(reactor, "status_changed", "error", "session_ended", "message", "runtime_message", "moderation")
        try:
            yield Met(server, reactor, noted)
        finally:
            await reactor.disconnect()
            reactor.close()


@asynccontextmanager
async def ready(script: Script | None = None, **more: Any) -> AsyncIterator[Met]:
    """The same, connected."""
    async with met(script, **more) as them:
        await them.reactor.connect(timeout=BOUND)
        yield them
