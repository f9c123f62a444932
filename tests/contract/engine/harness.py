"""Two Peers in one process, joined without any signalling: what every test of an engine starts from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from livereactor.engine.port import (
    CandidateFound,
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
    Use,
)

TIMEOUT = 10.0  # seconds; what is waited for takes milliseconds, on a busy machine some hundred
T = TypeVar("T")

ANSWERS = {Use.SEND: Use.RECEIVE, Use.RECEIVE: Use.SEND, Use.INACTIVE: Use.INACTIVE}


class Inbox:
    """Everything that was delivered, and a way to wait for what is to come."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def put(self, item: Any) -> None:
        self.items.append(item)
        self._changed.set()

    def put_threadsafe(self, item: Any) -> None:
        self._loop.call_soon_threadsafe(self.put, item)

    def all(self, kind: type[T], where: Callable[[T], bool] = lambda _: True) -> list[T]:
        return [item for item in self.items if isinstance(item, kind) and where(item)]

    async def get(self, kind: type[T], where: Callable[[T], bool] = lambda _: True, timeout: float = TIMEOUT) -> T:
        """The first item of this kind that fits, past or to come."""
        async with asyncio.timeout(timeout):
            while not (found := self.all(kind, where)):
                self._changed.clear()
                await self._changed.wait()
        return found[0]

    async def until(self, condition: Callable[[], bool], timeout: float = TIMEOUT) -> None:
        """Return once `condition` holds; looked at whenever something is delivered."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Side:
    """A Peer with what it said."""

    peer: Peer
    inbox: Inbox

    async def state(self, state: PeerState) -> None:
        await self.inbox.get(StateChanged, lambda event: event.state is state)

    def reasons(self, state: PeerState) -> list[str]:
        """What was said each time the peer came to this state."""
        return [event.reason for event in self.inbox.all(StateChanged) if event.state is state]

    async def channel(self, label: str) -> Heard:
        added = await self.inbox.get(ChannelAdded, lambda event: event.channel.label == label)
        return hear(added.channel)

    async def track(self, mid: str) -> ReceivedTrack:
        return (await self.inbox.get(TrackAdded, lambda event: event.mid == mid)).track

    async def frames(self, mid: str) -> Inbox:
        """Decoded Frames of one section, from now on."""
        inbox = Inbox()
        (await self.track(mid)).on_frame(inbox.put_threadsafe)
        return inbox


@dataclass
class Heard:
    """A Channel with what came over it."""

    channel: Channel
    inbox: Inbox = field(default_factory=Inbox)

    async def messages(self, count: int) -> list[MessageReceived]:
        await self.inbox.until(lambda: len(self.inbox.all(MessageReceived)) >= count)
        return self.inbox.all(MessageReceived)


def hear(channel: Channel) -> Heard:
    heard = Heard(channel)

    def put(event: ChannelEvent) -> None:
        heard.inbox.put(event)

    channel.listen(put)
    return heard


@dataclass
class Link:
    """A server's and a client's Peer, joined. `accepted` is the server's answer with its outputs."""

    server: Side
    client: Side
    offer: str
    accepted: Negotiated
    client_accepted: Negotiated

    async def connected(self) -> None:
        await self.server.state(PeerState.CONNECTED)
        await self.client.state(PeerState.CONNECTED)


async def make_side(engine: Engine, config: PeerConfig | None = None) -> Side:
    inbox = Inbox()

    def put(event: PeerEvent) -> None:
        inbox.put(event)

    return Side(await engine.peer(config or PeerConfig(), put), inbox)


def trickle(source: Side, sink: Side) -> None:
    """Add the candidates of one side to the other as they come; the first ones too."""
    tasks: set[asyncio.Task[None]] = set()

    def forward(event: CandidateFound) -> None:
        task = asyncio.ensure_future(sink.peer.add_candidate(event.candidate))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    put = source.inbox.put

    def put_and_forward(event: PeerEvent) -> None:
        put(event)
        if isinstance(event, CandidateFound):
            forward(event)

    source.inbox.put = put_and_forward  # type: ignore[method-assign]
    for event in source.inbox.all(CandidateFound):
        forward(event)


@asynccontextmanager
async def link(
    server_engine: Engine,
    client_engine: Engine,
    sections: Sequence[Section] = (),
    *,
    channels: Sequence[str] = ("data", "control"),
    uses: Mapping[str, Use] | None = None,
    server_config: PeerConfig | None = None,
    client_config: PeerConfig | None = None,
    rewrite: Callable[[str], str] = lambda offer: offer,
) -> AsyncIterator[Link]:
    """Join two Peers: the client offers `sections`; `uses` is what the server does with them, else their mirror."""
    server, client = await make_side(server_engine, server_config), await make_side(client_engine, client_config)
    try:
        offer = rewrite(await client.peer.offer(sections, channels))
        mirrored = {str(index): ANSWERS[section.use] for index, section in enumerate(sections)}
        accepted = await server.peer.accept(offer, mirrored if uses is None else uses)
        trickle(client, server)
        client_accepted = await client.peer.take_answer(accepted.answer)
        yield Link(server, client, offer, accepted, client_accepted)
    finally:
        await client.peer.aclose()
        await server.peer.aclose()
