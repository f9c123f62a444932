"""Requests of Tracks to the server, sent over the transport in use."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from livereactor.client.errors import ReactorError, error_of
from livereactor.client.transport.link import Link
from livereactor.protocol import messages as m

REPLY: Final = 10.0  # seconds


class LinkHolder(Protocol):
    """The holder of the transport in use: the connection."""

    @property
    def link(self) -> Link | None: ...
    async def settled_link(self, operation: str) -> Link: ...
    def report(self, error: ReactorError) -> None: ...


class TrackRequests:
    """Sends the requests of `TrackPort`. Without a transport, the next one starts as the Tracks remember."""

    def __init__(self, holder: LinkHolder) -> None:
        self._holder = holder

    async def pause(self, name: str) -> None:
        if (link := self._holder.link) is not None:
            link.say(m.PauseTrack(name))

    async def resume(self, name: str) -> None:
        if (link := self._holder.link) is not None:
            link.say(m.ResumeTrack(name))

    async def publish(self, name: str) -> None:
        link = await self._holder.settled_link("publish_track")
        try:
            reply = await link.request(m.PublishTrack(name), REPLY)
        except asyncio.CancelledError:
            _give_back(link, name)
            raise
        except ReactorError as error:
            if error.code not in ("REQUEST_TIMEOUT", "MESSAGE_SEND_FAILED"):
                raise
            _give_back(link, name)
            words = f"could not start sending `{name}`: {error.message}"
            raise error_of("TRACK_PUBLISH_FAILED", words, reason=error.reason, operation="publish_track") from error
        if isinstance(reply, m.PublishRefused):
            words = reply.message or f"`{name}` is published by another connection"
            raise error_of("TRACK_PUBLISH_FAILED", words, reason="publish_refused", operation="publish_track")
        await link.answered()

    async def unpublish(self, name: str) -> None:
        if (link := self._holder.link) is not None:
            link.say(m.UnpublishTrack(name))

    def report(self, error: ReactorError) -> None:
        self._holder.report(error)


def _give_back(link: Link, name: str) -> None:
    """Give a claim back that was given up: it may have been granted all the same, and would keep others out."""
    with suppress(ReactorError):
        link.say(m.UnpublishTrack(name))
