"""The client's side of a connection, for tests of whatever answers: over any Engine, the in-memory one first of all.

It offers sections and channels, keeps every event and message, and waits for what a test names. No test sleeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from livereactor.engine.port import (
    Channel,
    ChannelAdded,
    ChannelEvent,
    Engine,
    MessageReceived,
    Negotiated,
    Peer,
    PeerConfig,
    PeerEvent,
    PeerState,
    ReceivedTrack,
    Section,
    StateChanged,
    TrackAdded,
)

PATIENCE = 10.0  # seconds; a machine under load is slow, a test that hangs is worse
Event = TypeVar("Event")


class ClientSide:
    """One client's Peer and what has happened to it.

    Attributes:
        peer: to use the port itself.
        events: of the Peer, oldest first.
        channels: by label, once open.
        channel_events: by label, oldest first; messages are kept in `receive`'s queue as well.
        tracks: what the other side may send, by mid.
        outputs: what we may send, once the answer is taken.
    """

    def __init__(self) -> None:
        self.peer: Peer
        self.events: list[PeerEvent] = []
        self.channels: dict[str, Channel] = {}
        self.channel_events: dict[str, list[ChannelEvent]] = {}
        self.tracks: dict[str, ReceivedTrack] = {}
        self.outputs = Negotiated("")
        self._messages: dict[str, asyncio.Queue[MessageReceived]] = {}
        self._changed = asyncio.Event()

    @classmethod
    async def make(cls, engine: Engine, config: PeerConfig | None = None) -> ClientSide:
        """A client with a new Peer of `engine`."""
        client = cls()
        client.peer = await engine.peer(config or PeerConfig(), client.handle)
        return client

    async def offer(self, sections: Sequence[Section] = (), channels: Sequence[str] = ("data", "control")) -> str:
        """An offer, as a client posts it; the channels are opened in this order."""
        return await self.peer.offer(sections, channels)

    async def take_answer(self, answer: str) -> None:
        """Apply the answer, as a client does that polled for it."""
        self.outputs = await self.peer.take_answer(answer)

    async def connected(self, *labels: str) -> None:
        """Wait until the transport is connected and these channels are open."""
        await self.until(lambda: self.state is PeerState.CONNECTED and all(label in self.channels for label in labels))

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until `condition` holds; looked at after every event. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def seen(self, kind: type[Event], timeout: float = PATIENCE) -> Event:
        """Wait for the first event of this type."""
        await self.until(lambda: any(isinstance(event, kind) for event in self.events), timeout)
        return next(event for event in self.events if isinstance(event, kind))

    @property
    def state(self) -> PeerState:
        """As the last `StateChanged` said."""
        states = [event.state for event in self.events if isinstance(event, StateChanged)]
        return states[-1] if states else PeerState.NEW

    def send(self, label: str, message: bytes | str) -> None:
        """Send text or bytes on an open channel."""
        text = isinstance(message, str)
        self.channels[label].send(message.encode() if isinstance(message, str) else message, text=text)

    async def receive(self, label: str, timeout: float = PATIENCE) -> MessageReceived:
        """The next message on a channel; raises `TimeoutError`."""
        async with asyncio.timeout(timeout):
            return await self._queue(label).get()

    def unread(self, label: str) -> int:
        """Return the number of messages on a channel that `receive` has not returned yet."""
        return self._queue(label).qsize()

    def notice(self) -> None:
        """Look at the waiting conditions again: for callbacks of a test, on the loop."""
        self._changed.set()

    async def aclose(self) -> None:
        """Close the Peer."""
        await self.peer.aclose()

    def handle(self, event: PeerEvent) -> None:
        self.events.append(event)
        if isinstance(event, TrackAdded):
            self.tracks[event.mid] = event.track
        elif isinstance(event, ChannelAdded):
            label = event.channel.label
            self.channels[label] = event.channel
            event.channel.listen(lambda happened: self._channel_event(label, happened))
        self._changed.set()

    def _channel_event(self, label: str, event: ChannelEvent) -> None:
        self.channel_events.setdefault(label, []).append(event)
        if isinstance(event, MessageReceived):
            self._queue(label).put_nowait(event)
        self._changed.set()

    def _queue(self, label: str) -> asyncio.Queue[MessageReceived]:
        return self._messages.setdefault(label, asyncio.Queue())
