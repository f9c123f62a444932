"""Links to a scripted server, or to any other, over one engine for both ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from livereactor.client.http.api import Api
from livereactor.client.http.credentials import Credentials
from livereactor.client.transport.events import MessageArrived, PeerTransportEvent, PeerTransportOptions
from livereactor.client.transport.peer_transport import PeerTransport
from livereactor.client.transport.signalling import format_for
from livereactor.client.types import TrackCapability
from livereactor.engine.memory.engine import MemoryEngine
from livereactor.engine.port import Engine
from livereactor.protocol.http import SessionDescriptor
from tests.tools.scripted_server import ScriptedServer, scripted

PATIENCE = 30.0  # seconds for what takes a moment on an idle machine


class Linked:
    """One Session at a server, the Links to it, and what they tell."""

    def __init__(self, api: Api, engine: Engine, descriptor: SessionDescriptor) -> None:
        self.api, self.engine, self.descriptor = api, engine, descriptor
        self.events: list[PeerTransportEvent] = []
        self._changed = asyncio.Event()
        self._links: list[PeerTransport] = []

    @property
    def tracks(self) -> list[TrackCapability]:
        assert self.descriptor.capabilities is not None
        return [TrackCapability(t.name, t.kind, t.direction) for t in self.descriptor.capabilities.tracks]

    def begin(self, **options: Any) -> PeerTransport:
        """A PeerTransport on its way."""
        options.setdefault("wire", format_for(self.descriptor.server_info.server_version))
        made = PeerTransportOptions(self.tracks, **options)
        link = PeerTransport(self.api, self.engine, self.descriptor.session_id, made, self._tell)
        self._links.append(link)
        return link

    async def link(self, **options: Any) -> PeerTransport:
        """One that is up."""
        link = self.begin(**options)
        await link.ready()
        return link

    def messages(self, kind: type[Any] = object) -> list[Any]:
        """What was said, of one kind."""
        said = [event.message for event in self.events if isinstance(event, MessageArrived)]
        return [message for message in said if isinstance(message, kind)]

    def told(self, kind: type[Any]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Until it holds, looked at after every event."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def aclose(self) -> None:
        for link in self._links:
            await link.aclose()
        await self.api.aclose()

    def _tell(self, event: PeerTransportEvent) -> None:
        self.events.append(event)
        self._changed.set()


@asynccontextmanager
async def linking(*, engine: Engine | None = None, **script: Any) -> AsyncIterator[tuple[ScriptedServer, Linked]]:
    """A local scripted server with a Session of ours."""
    engine = engine or MemoryEngine()
    async with scripted(engine=engine, **{"style": "local", **script}) as server:
        api = Api(server.url, local=True, credentials=Credentials())
        linked = Linked(api, engine, (await api.create_session("m")).descriptor)
        try:
            yield server, linked
        finally:
            await linked.aclose()
