"""What the engines cost and how fast they are: `python -m bench.engine [--seconds 6] [--engines libwebrtc aiortc]`.

One JSON object a line. The server is this process: a model that pans a noisy texture at 30 fps and emits a frame at
once on a command, one encode for all viewers. The viewers are another process, which times command → decoded pixel.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from livereactor.base.clock import monotonic_us
from livereactor.base.errors import EngineError
from livereactor.engine.default import make_engine
from livereactor.engine.port import (
    Candidate,
    CandidateFound,
    Channel,
    ChannelAdded,
    ChannelEvent,
    ChannelOpened,
    Engine,
    KeyFrameWanted,
    MessageReceived,
    Peer,
    PeerConfig,
    PeerEvent,
    Section,
    TrackAdded,
    Use,
    VideoOutput,
)
from livereactor.media.encoder import VideoEncoder
from livereactor.media.frames import Frame, Pixels, VideoCodec

FPS = 30
SIZES = {"360p": (640, 360, 2_000_000), "720p": (1280, 720, 4_000_000)}
BITS = 16
TRIALS = 60
WATCH = [Section("video", Use.RECEIVE)]


def main() -> None:
    """Run the bench, or be its other process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="+", default=["libwebrtc", "aiortc"])
    parser.add_argument("--seconds", type=float, default=6.0, help="for which CPU is measured")
    parser.add_argument("--viewer", nargs=2, help=argparse.SUPPRESS)  # engine, port: the other process
    arguments = parser.parse_args()
    if arguments.viewer:
        asyncio.run(view(arguments.viewer[0], int(arguments.viewer[1])))
        return
    say(machine=machine())
    for name in arguments.engines:
        try:
            asyncio.run(Bench(name, arguments.seconds).run())
        except EngineError as error:
            say(engine=name, skipped=error.message)


def say(**fields: object) -> None:
    """Print one JSON line."""
    print(json.dumps(fields), flush=True)


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "cpu": platform.processor() or platform.machine(),
    }


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    ordered = sorted(seconds)
    return {
        "p50_ms": round(statistics.median(ordered) * 1e3, 2),
        "p95_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] * 1e3, 2),
    }


# --- pictures ------------------------------------------------------------------------------------------------------


class Texture:
    """A panning noisy texture with a number as bars in its top eighth."""

    def __init__(self, width: int, height: int) -> None:
        random = np.random.default_rng(7)
        coarse = random.integers(60, 190, (height // 8, width // 4, 3), dtype=np.uint8)
        smooth = np.repeat(np.repeat(coarse, 8, 0), 8, 1)[:height]
        noise = random.integers(0, 24, smooth.shape, dtype=np.uint8)
        self._wide = smooth + noise
        self._width, self._step = width, 0

    def frame(self, number: int) -> Pixels:
        self._step = (self._step + 2) % self._width
        pixels = self._wide[:, self._step : self._step + self._width].copy()
        bar, height = self._width // BITS, pixels.shape[0] // 8
        for bit in range(BITS):
            pixels[:height, bit * bar : (bit + 1) * bar] = 235 if number >> bit & 1 else 20
        return pixels


def number_in(pixels: Pixels) -> int:
    """The number that `Texture.frame` drew."""
    bar, row = pixels.shape[1] // BITS, pixels[pixels.shape[0] // 16]
    return sum(1 << bit for bit in range(BITS) if row[bit * bar + bar // 2].mean() > 128)


# --- the server's side ---------------------------------------------------------------------------------------------


class Model:
    """A thread that makes, encodes and sends frames: at 30 fps, and at once on a command."""

    def __init__(self, size: str) -> None:
        width, height, bps = SIZES[size]
        self._texture = Texture(width, height)
        self._encoder = VideoEncoder(VideoCodec.VP8, fps=FPS, bps=bps)
        self._outputs: tuple[VideoOutput, ...] = ()
        self._wake = threading.Condition()
        self._number, self._commanded, self._key, self._closed = 0, False, False, False
        self._thread = threading.Thread(target=self._run, name="model")
        self._thread.start()

    def add(self, output: VideoOutput) -> None:
        self._outputs = (*self._outputs, output)

    def drop(self, output: VideoOutput) -> None:
        self._outputs = tuple(other for other in self._outputs if other is not output)

    def command(self, number: int) -> None:
        with self._wake:
            self._number, self._commanded = number, True
            self._wake.notify()

    def want_key(self) -> None:
        with self._wake:
            self._key = self._commanded = True
            self._wake.notify()

    def close(self) -> None:
        with self._wake:
            self._closed = self._commanded = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            with self._wake:
                self._wake.wait_for(lambda: self._commanded, timeout=1 / FPS)
                number, key = self._number, self._key
                self._commanded = self._key = False
            pixels = self._texture.frame(number)
            frame = self._encoder.encode(pixels, key=key, captured_us=monotonic_us())
            for output in self._outputs:
                output.send(frame)


@dataclass
class Viewer:
    """One viewer as the server sees it."""

    peer: Peer
    output: VideoOutput | None = None


class Bench:
    """Runs everything with one engine."""

    def __init__(self, name: str, seconds: float) -> None:
        self._name, self._seconds = name, seconds
        self._viewers: dict[int, Viewer] = {}
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def run(self) -> None:
        self._engine = make_engine(self._name)
        await self._engine.start()
        connected: asyncio.Future[Wire] = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(
            lambda reader, writer: connected.set_result(Wire(reader, writer)), "127.0.0.1", 0, limit=1 << 20
        )
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.engine", "--viewer", self._name, str(port)
        )
        self._wire = await asyncio.wait_for(connected, 20.0)
        serving = asyncio.ensure_future(self._serve())
        try:
            await self._round_trips()
            for size in SIZES:
                await self._size(size)
        finally:
            serving.cancel()
            if process.returncode is None:
                process.terminate()
            await process.wait()
            server.close()
            await self._engine.aclose()

    async def _size(self, size: str) -> None:
        with self._model(size):
            say(engine=self._name, what="connect", size=size, **await self._ask(do="connect", times=10))
            for viewers in (1, 2, 4):
                await self._ask(do="watch", viewers=viewers)
                await asyncio.sleep(2.0)  # the estimate climbs
                delays = await self._ask(do="command", times=TRIALS)
                cpu, wall = time.process_time(), time.perf_counter()
                await asyncio.sleep(self._seconds)
                core = (time.process_time() - cpu) / (time.perf_counter() - wall)
                say(
                    engine=self._name,
                    what="command to pixel",
                    size=size,
                    viewers=viewers,
                    **spread(delays["delays"]),
                    server_core=round(core, 3),
                )
            await self._ask(do="watch", viewers=0)

    async def _round_trips(self) -> None:
        with self._model("360p", silent=True):
            await self._ask(do="watch", viewers=1)
            trips = await self._ask(do="ping", times=300)
            say(engine=self._name, what="channel round trip", **spread(trips["delays"]))
            await self._ask(do="watch", viewers=0)

    @contextmanager
    def _model(self, size: str, *, silent: bool = False) -> Iterator[None]:
        self._model_of_size, self._silent = Model(size), silent
        try:
            yield
        finally:
            self._model_of_size.close()

    async def _ask(self, **order: object) -> dict[str, Any]:
        self._wire.write(order)
        return await asyncio.wait_for(self._answers.get(), 60.0)

    async def _serve(self) -> None:
        async for message in self._wire.messages():
            match message:
                case {"offer": offer, "viewer": number}:
                    await self._accept(number, offer)
                case {"candidate": line, "viewer": number}:
                    if viewer := self._viewers.get(number):
                        await viewer.peer.add_candidate(Candidate(line, message["mid"], message["index"]))
                case {"gone": number}:
                    viewer = self._viewers.pop(number)
                    if viewer.output is not None:
                        self._model_of_size.drop(viewer.output)
                    await viewer.peer.aclose()
                case _:
                    self._answers.put_nowait(message)

    async def _accept(self, number: int, offer: str) -> None:
        model = self._model_of_size

        def events(event: PeerEvent) -> None:
            if isinstance(event, KeyFrameWanted):
                model.want_key()
            elif isinstance(event, ChannelAdded):
                event.channel.listen(listener(event.channel, model))

        peer = await self._engine.peer(PeerConfig(), events)
        self._viewers[number] = viewer = Viewer(peer)
        accepted = await peer.accept(offer, {"0": Use.SEND})
        self._wire.write({"answer": accepted.answer, "viewer": number})
        viewer.output = accepted.video["0"]
        if not self._silent:
            model.add(viewer.output)


def listener(channel: Channel, model: Model) -> Callable[[ChannelEvent], None]:
    """What the server does with a viewer's messages: text is a command, binary is echoed."""

    def on_event(event: ChannelEvent) -> None:
        if isinstance(event, MessageReceived) and event.text:
            model.command(int(event.data))
        elif isinstance(event, MessageReceived):
            channel.send(event.data, text=False)

    return on_event


# --- the viewers' side ---------------------------------------------------------------------------------------------


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


if __name__ == "__main__":
    main()
