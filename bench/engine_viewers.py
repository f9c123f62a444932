"""The viewers of `bench.engine`, a process of their own: they obey its orders and time what they see."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from bench.engine_pictures import number_in
from livereactor.engine.default import make_engine
from livereactor.engine.port import (
    CandidateFound,
    Channel,
    ChannelAdded,
    ChannelEvent,
    ChannelOpened,
    Engine,
    MessageReceived,
    Peer,
    PeerConfig,
    PeerEvent,
    Section,
    TrackAdded,
    Use,
)
from livereactor.media.frames import Frame

WATCH = [Section("video", Use.RECEIVE)]


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    ordered = sorted(seconds)
    return {
        "p50_ms": round(statistics.median(ordered) * 1e3, 2),
        "p95_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] * 1e3, 2),
    }


class Wire:
    """JSON lines over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def write(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        while line := await self._reader.readline():
            yield json.loads(line)


@dataclass
class Watching:
    """One viewer in the viewers' process."""

    peer: Peer
    started: float
    channel: Channel | None = None
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    opened_at: float = 0.0
    first_at: float = 0.0
    pictured: asyncio.Event = field(default_factory=asyncio.Event)
    echoes: asyncio.Queue[float] = field(default_factory=asyncio.Queue)
    waited: int = -1
    seen_at: float = 0.0


async def view(name: str, port: int) -> None:
    """The viewers' process."""
    engine = make_engine(name)
    await engine.start()
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
    viewers = Viewers(engine, wire)
    tasks: set[asyncio.Task[None]] = set()
    async for message in wire.messages():
        if "answer" in message:
            viewers.answers[message["viewer"]].set_result(message["answer"])
            continue
        task = asyncio.ensure_future(viewers.obey(message))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


class Viewers:
    """Obeys the bench's orders."""

    def __init__(self, engine: Engine, wire: Wire) -> None:
        self._engine, self._wire = engine, wire
        self._watching: dict[int, Watching] = {}
        self._count = 0
        self._wire_has_offer = 0  # whose candidates may follow
        self.answers: dict[int, asyncio.Future[str]] = {}
        self._loop = asyncio.get_running_loop()

    async def obey(self, order: dict[str, Any]) -> None:
        match order:
            case {"do": "connect", "times": times}:
                self._wire.write(await self._connects(times))
            case {"do": "watch", "viewers": wanted}:
                while len(self._watching) > wanted:
                    await self._leave(next(iter(self._watching)))
                while len(self._watching) < wanted:
                    await self._join()
                self._wire.write({"watching": wanted})
            case {"do": "command", "times": times}:
                self._wire.write({"delays": await self._commands(times)})
            case {"do": "ping", "times": times}:
                self._wire.write({"delays": await self._pings(times)})

    async def _connects(self, times: int) -> dict[str, Any]:
        channel, picture = list[float](), list[float]()
        for _ in range(times):
            number, watching = await self._join()
            await asyncio.wait_for(watching.pictured.wait(), 20.0)
            channel.append(watching.opened_at - watching.started)
            picture.append(watching.first_at - watching.started)
            await self._leave(number)
        return {"channel": spread(channel), "first_frame": spread(picture)}

    async def _commands(self, times: int) -> list[float]:
        watching, delays = next(iter(self._watching.values())), list[float]()
        for trial in range(times):
            watching.pictured.clear()
            watching.waited = 1 + trial
            started = time.perf_counter()
            assert watching.channel
            watching.channel.send(str(1 + trial).encode(), text=True)
            await asyncio.wait_for(watching.pictured.wait(), 5.0)
            delays.append(watching.seen_at - started)
            await asyncio.sleep(0.050 + 0.037 * (trial % 5))  # at any phase of the model's tick
        return delays

    async def _pings(self, times: int) -> list[float]:
        watching, delays = next(iter(self._watching.values())), list[float]()
        for _ in range(times):
            started = time.perf_counter()
            assert watching.channel
            watching.channel.send(b"ping", text=False)
            delays.append(await asyncio.wait_for(watching.echoes.get(), 5.0) - started)
        return delays

    async def _join(self) -> tuple[int, Watching]:
        self._count += 1
        number, candidates = self._count, list[dict[str, Any]]()

        def events(event: PeerEvent) -> None:
            if isinstance(event, ChannelAdded):
                watching.channel = event.channel
                event.channel.listen(lambda heard: self._hear(watching, heard))
            elif isinstance(event, TrackAdded):
                event.track.on_frame(lambda frame: self._see(watching, frame))
            elif isinstance(event, CandidateFound):
                line, mid, index = event.candidate.line, event.candidate.mid, event.candidate.line_index
                candidates.append({"candidate": line, "mid": mid, "index": index, "viewer": number})
                if self._wire_has_offer == number:
                    self._flush(candidates)

        peer = await self._engine.peer(PeerConfig(), events)
        watching = Watching(peer, time.perf_counter())
        self.answers[number] = self._loop.create_future()
        offer = await peer.offer(WATCH, ["data"])
        watching.started = time.perf_counter()
        self._wire.write({"offer": offer, "viewer": number})
        self._wire_has_offer = number
        self._flush(candidates)
        await peer.take_answer(await self.answers[number])
        await asyncio.wait_for(watching.opened.wait(), 20.0)
        self._watching[number] = watching
        return number, watching

    def _flush(self, candidates: list[dict[str, Any]]) -> None:
        for candidate in candidates:
            self._wire.write(candidate)
        candidates.clear()

    async def _leave(self, number: int) -> None:
        watching = self._watching.pop(number)
        self._wire.write({"gone": number})
        await watching.peer.aclose()

    def _hear(self, watching: Watching, event: ChannelEvent) -> None:
        if isinstance(event, ChannelOpened):
            watching.opened_at = time.perf_counter()
            watching.opened.set()
        elif isinstance(event, MessageReceived):
            watching.echoes.put_nowait(time.perf_counter())

    def _see(self, watching: Watching, frame: Frame) -> None:
        """On a thread of the engine."""
        now = time.perf_counter()
        if not watching.first_at:
            watching.first_at = now
            self._loop.call_soon_threadsafe(watching.pictured.set)
        elif number_in(frame.pixels) == watching.waited:
            watching.waited, watching.seen_at = -1, now
            self._loop.call_soon_threadsafe(watching.pictured.set)
