"""Requests of Tracks to the server, sent over the transport in use."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from livereactor.client.errors import ReactorError, error_of
from livereactor.client.transport.peer_transport import PeerTransport
from livereactor.protocol import messages as m

REPLY: Final = 10.0  # seconds


class TransportHolder(Protocol):
    """The holder of the transport in use: the connection."""

    @property
    def transport(self) -> PeerTransport | None: ...
    async def present_transport(self, operation: str) -> PeerTransport: ...
    def report(self, error: ReactorError) -> None: ...


class TrackRequests:
    """Sends the requests of `TrackPort`. Without a transport, the next one starts as the Tracks remember."""

    def __init__(self, holder: TransportHolder) -> None:
        self._holder = holder
        self.report = holder.report

    async def pause(self, name: str) -> None:
        if (transport := self._holder.transport) is not None:
            transport.say(m.PauseTrack(name))

    async def resume(self, name: str) -> None:
        if (transport := self._holder.transport) is not None:
            transport.say(m.ResumeTrack(name))

    async def publish(self, name: str) -> None:
        transport = await self._holder.present_transport("publish_track")
        try:
            reply = await transport.request(m.PublishTrack(name), REPLY)
        except asyncio.CancelledError:
            _give_back(transport, name)
            raise
        except ReactorError as error:
            if error.code not in ("REQUEST_TIMEOUT", "MESSAGE_SEND_FAILED"):
                raise
            _give_back(transport, name)
            words = f"could not start sending `{name}`: {error.message}"
            raise error_of("TRACK_PUBLISH_FAILED", words, reason=error.reason, operation="publish_track") from error
        if isinstance(reply, m.PublishRefused):
            words = reply.message or f"`{name}` is published by another connection"
            raise error_of("TRACK_PUBLISH_FAILED", words, reason="publish_refused", operation="publish_track")
        await transport.answered()

    async def unpublish(self, name: str) -> None:
        if (transport := self._holder.transport) is not None:
            transport.say(m.UnpublishTrack(name))


def _give_back(transport: PeerTransport, name: str) -> None:
    """Give a claim back that was given up: it may have been granted all the same, and would keep others out."""
    with suppress(ReactorError):
        transport.say(m.UnpublishTrack(name))
