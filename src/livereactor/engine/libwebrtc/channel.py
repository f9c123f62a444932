"""Data channels of libwebrtc. Its callbacks come on the network thread and only hand over to the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import reactor_webrtc as rw

from livereactor.base.errors import EngineError, TooLargeError
from livereactor.base.limits import MIB
from livereactor.engine.channel_inbound import InboundChannel, Post
from livereactor.engine.port import MessageReceived

# libwebrtc closes a channel with more than 16 MiB waiting in it; half of that is seconds of delay already.
PLAIN_BUFFER_BYTES: Final = 8 * MIB


class LibwebrtcChannel(InboundChannel):
    """Fits the Protocol `Channel` in port.py.

    Args:
        native: libwebrtc's channel.
        post: runs a callable on the loop, from any thread.
        limit: largest message the other side takes, on a chunked channel (True) or a plain one; asked at each send,
            since the offering side learns it with the answer.
        opened: called on the loop when the channel can send.
    """

    def __init__(
        self,
        native: rw.DataChannel,
        post: Post,
        *,
        limit: Callable[[bool], int],
        opened: Callable[[LibwebrtcChannel], None],
    ) -> None:
        super().__init__(native.label(), lambda: opened(self))
        self._native, self._limit = native, limit
        native.on_open(lambda: post(self._on_open))
        native.on_close(lambda: post(self._on_close))
        native.on_message(lambda data, binary: self.arrive(MessageReceived(data, text=not binary), post))
        if native.state() == rw.DataChannelState.Open:  # it may have opened before the callbacks were set
            post(self._on_open)

    @property
    def is_open(self) -> bool:
        return self._is_open and not self._is_closed

    @property
    def max_message_bytes(self) -> int:
        return self._limit(self._native.is_chunked())

    @property
    def buffered_bytes(self) -> int:
        return self._native.buffered_amount()

    def send(self, data: bytes, *, text: bool) -> None:
        limit = self.max_message_bytes
        if len(data) > limit:
            raise TooLargeError(
                f"a message of {len(data)} bytes is over the limit of {limit} on channel {self.label!r}; use an upload"
            )
        if not self.is_open:
            raise EngineError(f"channel {self.label!r} is not open; wait for ChannelOpened or connect again")
        try:
            if not self._native.is_chunked() and self.buffered_bytes + len(data) > PLAIN_BUFFER_BYTES:
                raise rw.DataChannelQueueFull
            self._native.send(data, binary=not text)
        except rw.DataChannelQueueFull as error:
            raise EngineError(f"channel {self.label!r} is full; the receiver is too slow, drain it first") from error
        except RuntimeError as error:
            raise EngineError(f"channel {self.label!r} cannot send: {error}; connect again") from error

    async def drain(self, timeout: float) -> bool:
        if not self.is_open:
            return False
        return await self._native.drain(timeout)

    def close(self) -> None:
        """Close the channel; ChannelClosed follows."""
        if not self._is_closed:
            self._native.close(drain_timeout=0.5)

    def cut(self) -> None:
        """Let go of everything; no event comes any more."""
        super().cut()
        native = self._native
        native.on_open(_nothing)
        native.on_close(_nothing)
        native.on_message(_nothing)


def _nothing(*_: object) -> None:
    """Do nothing: the engine's callback once the channel is cut."""


def run_on(loop: asyncio.AbstractEventLoop) -> Post:
    """A `Post` for this loop; silent once the loop has closed."""

    def post(callback: Callable[[], None]) -> None:
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed: the process is ending
            return

    return post
