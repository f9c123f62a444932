"""The network between two in-memory peers: an ordered wire, and the data channels that run over it.

Everything arrives on the loop, in the order it was sent, one callback of the loop later. Nothing is lost; a frozen
wire holds what it carries, which is how a test plays a network that has gone silent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from livereactor.base.errors import EngineError, TooLargeError
from livereactor.base.limits import MIB
from livereactor.engine.port import Admit, ChannelClosed, ChannelEvent, ChannelOpened, MessageReceived

MAX_BUFFERED_BYTES = 16 * MIB  # where libwebrtc kills a channel; here `send` refuses first


class Wire:
    """One direction of a connection; `carry` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._held: deque[Callable[[], None]] = deque()
        self._frozen = False

    def carry(self, arrive: Callable[[], None]) -> None:
        """Run `arrive` on the loop, after everything carried before it."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, arrive)

    def freeze(self, frozen: bool) -> None:
        """Hold what comes from now on; with False, deliver it and go on."""
        self._frozen = frozen
        while self._held and not self._frozen:
            self._held.popleft()()

    def _deliver(self, arrive: Callable[[], None]) -> None:
        if self._frozen:
            self._held.append(arrive)
        else:
            arrive()


class MemoryChannel:
    """One end of a data channel; fits `Channel` by shape. Made in pairs by `join_channels`."""

    def __init__(self, label: str, max_message_bytes: int, wire: Wire, admit: Admit | None) -> None:
        self.label, self._wire, self._admit = label, wire, admit
        self.max_message_bytes = max_message_bytes
        self._far: MemoryChannel | None = None
        self._listener: Callable[[ChannelEvent], None] | None = None
        self._kept: deque[ChannelEvent] = deque()
        self.buffered_bytes = 0  # sent and not yet arrived
        self._drained = asyncio.Event()
        self.is_open = False  # whether `send` takes messages

    def listen(self, events: Callable[[ChannelEvent], None]) -> None:
        """Deliver events to `events`, those kept so far first."""
        self._listener = events
        while self._kept:
            events(self._kept.popleft())

    def send(self, data: bytes, *, text: bool) -> None:
        """Queue one message; `TooLargeError` above the limit, `EngineError` when closed or full."""
        if not self.is_open or self._far is None:
            raise EngineError(f"channel {self.label!r} is not open; connect again, then send")
        limit, waiting = self.max_message_bytes, self.buffered_bytes
        if len(data) > limit:
            raise TooLargeError(
                f"a message of {len(data)} bytes exceeds the {limit} of channel {self.label!r}; upload it instead"
            )
        if waiting + len(data) > MAX_BUFFERED_BYTES:
            raise EngineError(f"channel {self.label!r} holds {waiting} unsent bytes; await drain() and retry")
        self.buffered_bytes += len(data)
        message, far = MessageReceived(bytes(data), text), self._far
        self._wire.carry(lambda: self._arrived(far, message))

    async def drain(self, timeout: float) -> bool:
        """True once everything has arrived, False after `timeout` seconds or when closed."""
        try:
            async with asyncio.timeout(timeout):
                while self.is_open and self.buffered_bytes:
                    self._drained.clear()
                    await self._drained.wait()
        except TimeoutError:
            return False
        return self.is_open

    def close(self) -> None:
        """Close both ends; what was sent before still arrives."""
        far = self._far
        if far is not None and self.is_open:
            self._wire.carry(far.shut)
        self.shut()

    def opened(self, far: MemoryChannel) -> None:
        """The two ends know each other: messages may go."""
        self._far, self.is_open = far, True
        self._emit(ChannelOpened())

    def shut(self) -> None:
        """Close this end; a second call does nothing."""
        if self.is_open:
            self.is_open = False
            self._drained.set()
            self._emit(ChannelClosed())

    def _arrived(self, far: MemoryChannel, message: MessageReceived) -> None:
        self.buffered_bytes -= len(message.data)
        if not self.buffered_bytes:
            self._drained.set()
        if far.is_open and (far._admit is None or far._admit(far.label, message.data)):
            far._emit(message)

    def _emit(self, event: ChannelEvent) -> None:
        if self._listener is None:
            self._kept.append(event)
        else:
            self._listener(event)


def join_channels(near: MemoryChannel, far: MemoryChannel) -> None:
    """Make two ends one open channel."""
    near.opened(far)
    far.opened(near)
