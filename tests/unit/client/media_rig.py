"""Tracks on an in-memory connection: a server that shows and hears, a port that grants or refuses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from livereactor.client.errors import ReactorError
from livereactor.client.tracks.tracks import Tracks
from livereactor.client.types import TrackCapability
from livereactor.engine.memory.engine import MemoryEngine
from livereactor.engine.memory.media import MemoryInput, MemoryVideoOutput
from livereactor.engine.port import (
    AudioOutput,
    EngineCapabilities,
    KeyFrameWanted,
    Peer,
    PeerConfig,
    PeerEvent,
    RateChanged,
    Section,
    Use,
    VideoOutput,
)
from livereactor.media.frames import Frame, Pixels, Sound
from tests.tools.client_side import ClientSide

PATIENCE = 30.0  # seconds for what takes a moment on an idle machine
DECLARED = (
    TrackCapability("main_video", "video", "recvonly"),
    TrackCapability("main_audio", "audio", "recvonly"),
    TrackCapability("webcam", "video", "sendonly"),
    TrackCapability("mic", "audio", "sendonly"),
)
NAMES = {str(mid): track.name for mid, track in enumerate(DECLARED)}
USES = {"recvonly": Use.RECEIVE, "sendonly": Use.SEND}


class Got:
    """What was put in, from any thread, and a way to wait for more."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def __call__(self, *item: Any) -> None:
        self.items.append(item[0] if len(item) == 1 else item)
        self._loop.call_soon_threadsafe(self._changed.set)

    async def until(self, holds: Callable[[list[Any]], bool]) -> list[Any]:
        async with asyncio.timeout(PATIENCE):
            while not holds(self.items):
                self._changed.clear()
                if holds(self.items):
                    break
                await self._changed.wait()
        return list(self.items)

    async def count(self, count: int) -> list[Any]:
        return await self.until(lambda items: len(items) >= count)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what tells nobody when it happens, such as a count of another thread's."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def ended(threads: Iterable[threading.Thread]) -> bool:
    """Wait for threads of ours; those that asyncio keeps are its own."""
    ours = [thread for thread in threads if not thread.name.startswith("asyncio")]
    await eventually(lambda: not any(thread.is_alive() for thread in ours))
    return True


class Port:
    """Fits `TrackPort` by shape."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.reports: list[ReactorError] = []
        self.refusal: ReactorError | None = None
        self.answers = asyncio.Event()  # cleared, the server is silent
        self.answers.set()

    async def pause(self, name: str) -> None:
        await self._ask("pause", name)

    async def resume(self, name: str) -> None:
        await self._ask("resume", name)

    async def publish(self, name: str) -> None:
        await self._ask("publish", name)

    async def unpublish(self, name: str) -> None:
        await self._ask("unpublish", name)

    def report(self, error: ReactorError) -> None:
        self.reports.append(error)

    async def _ask(self, verb: str, name: str) -> None:
        self.asked.append((verb, name))
        await self.answers.wait()
        if self.refusal is not None:
            raise self.refusal


class Wire:
    """One connection: what the server shows and hears; fits `TrackTransport` by shape."""

    def __init__(self, server: ClientSide, client: ClientSide, shown: Any) -> None:
        self.server, self.client, self._shown = server, client, shown
        named = {**client.outputs.video, **client.outputs.audio}
        self.outputs: dict[str, VideoOutput | AudioOutput] = {NAMES[mid]: output for mid, output in named.items()}

    def show(self, shade: int, *, width: int = 64, height: int = 48, tag: bytes = b"", at: int | None = None) -> None:
        """A picture of the model's."""
        output = self._shown.video["0"]
        assert isinstance(output, MemoryVideoOutput)
        output.show(Frame(flat(shade, width=width, height=height), tag, at))

    def say(self, level: int, *, samples: int = 480, rate: int = 48_000) -> None:
        """A block of the model's sound."""
        self._shown.audio["1"].send(Sound(np.full((samples, 1), level, np.int16), rate))

    def input(self, name: str) -> MemoryInput:
        """What the server receives on one of its inputs."""
        track = self.server.tracks[next(mid for mid, other in NAMES.items() if other == name)]
        assert isinstance(track, MemoryInput)
        return track

    def pictures(self) -> Got:
        """Decoded webcam Frames, from now on."""
        got = Got()
        self.input("webcam").on_frame(got)
        return got

    def encoded(self) -> Got:
        """Webcam Frames as they were sent, from now on."""
        got = Got()
        self.input("webcam").on_encoded(got)
        return got

    def sounds(self) -> Got:
        """Blocks of the microphone, from now on."""
        got = Got()
        self.input("mic").on_sound(got)
        return got


class Heard:
    """An engine whose peers' events go to a second listener too."""

    def __init__(self, engine: MemoryEngine, listener: Callable[[PeerEvent], None]) -> None:
        self._engine, self._listener = engine, listener

    @property
    def capabilities(self) -> EngineCapabilities:
        return self._engine.capabilities

    async def start(self) -> None:
        await self._engine.start()

    async def peer(self, config: PeerConfig, events: Callable[[PeerEvent], None]) -> Peer:
        def both(event: PeerEvent) -> None:
            events(event)
            self._listener(event)

        return await self._engine.peer(config, both)

    async def aclose(self) -> None:
        await self._engine.aclose()


class Rig:
    """Tracks, their port, and connections one after the other."""

    def __init__(self) -> None:
        self.port = Port()
        self.tracks = Tracks(self.port)
        self.engine = MemoryEngine()

    async def connect(self, *, resumes: bool = True) -> Wire:
        """A connection, up, with everything declared and attached."""
        server = await ClientSide.make(self.engine)
        client = await ClientSide.make(Heard(self.engine, self._forward))
        offer = await client.offer([Section(track.kind, USES[track.direction], track.name) for track in DECLARED])
        answers = {Use.SEND: Use.RECEIVE, Use.RECEIVE: Use.SEND}
        shown = await server.peer.accept(offer, {m: answers[USES[DECLARED[int(m)].direction]] for m in NAMES})
        await client.take_answer(shown.answer)
        await client.connected("data", "control")
        wire = Wire(server, client, shown)
        self.tracks.declare(DECLARED, resumes=resumes)
        for mid, source in client.tracks.items():
            self.tracks.arrived(NAMES[mid], source)
        self.tracks.attach(wire)
        return wire

    def _forward(self, event: PeerEvent) -> None:
        if isinstance(event, KeyFrameWanted):
            self.tracks.key_frame_wanted(NAMES[event.mid])
        elif isinstance(event, RateChanged):
            self.tracks.rate_changed(NAMES[event.mid], event.bps)


@asynccontextmanager
async def rigged() -> AsyncIterator[Rig]:
    rig = Rig()
    try:
        yield rig
    finally:
        await rig.tracks.release()
        await rig.engine.aclose()


def flat(shade: int, *, width: int = 64, height: int = 48) -> Pixels:
    return np.full((height, width, 3), shade, np.uint8)


def shade(frame: Frame) -> int:
    """The brightness of a decoded flat picture."""
    return round(float(frame.pixels.mean()))
