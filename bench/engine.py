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
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.engine_pictures import Texture
from bench.engine_viewers import Wire, spread, view
from livereactor.base.clock import monotonic_us
from livereactor.base.errors import EngineError
from livereactor.engine.default import make_engine
from livereactor.engine.port import (
    Candidate,
    Channel,
    ChannelAdded,
    ChannelEvent,
    KeyFrameWanted,
    MessageReceived,
    Peer,
    PeerConfig,
    PeerEvent,
    Use,
    VideoOutput,
)
from livereactor.media.encoder import VideoEncoder
from livereactor.media.frames import VideoCodec

FPS = 30
SIZES = {"360p": (640, 360, 2_000_000), "720p": (1280, 720, 4_000_000)}
TRIALS = 60


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


if __name__ == "__main__":
    main()
