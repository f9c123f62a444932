# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# ruff: noqa: D101  (the messages are named as the specification names them; it describes each)
# The official runtime lives in an environment of its own (bench/official/setup.sh), never in ours.
"""The conformance model for the official runtime 2.10.1: the rival of the JavaScript client in `make bench`.

This runtime knows no replies, no errors of commands and no argument of any JSON type; what the clients measured here
need of the model is there.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from dataclasses import dataclass
from typing import Any, Literal, Optional

from picture import FPS, HEIGHT, WIDTH, Pattern, now_us, parse_color, read_counter
from reactor_runtime import ClientInfo, Input, InputField, ModelMessage, Output, ReactorModel, Video, event
from reactor_runtime.interface import UploadedFile


@dataclass
class Sent(Output):
    main_video: Video


@dataclass
class Received(Input):
    webcam: Video


@dataclass
class EchoReply(ModelMessage):
    value: float
    t_mono_us: int


@dataclass
class PromptChanged(ModelMessage):
    prompt: str


@dataclass
class SourceChanged(ModelMessage):
    source: str


@dataclass
class PacingChanged(ModelMessage):
    pacing: str


@dataclass
class SizeChanged(ModelMessage):
    width: int
    height: int


@dataclass
class Flashed(ModelMessage):
    color: str
    t_mono_us: int


@dataclass
class ImageReceived(ModelMessage):
    filename: str
    mime_type: str
    size: int
    sha256: str


@dataclass
class Tick(ModelMessage):
    n: int


@dataclass
class WebcamStats(ModelMessage):
    frames: int
    decoded: int
    last_counter: int
    width: int
    height: int


@dataclass
class ModelState(ModelMessage):
    prompt: str
    source: str
    pacing: str
    emitted: int
    counter: int
    pid: int
    cpu_s: float


class Conformance(ReactorModel):
    """A moving pattern with a barcode, and a command for everything a client may want to try."""

    fps = int(FPS)
    media: Received

    def load(self, config: Any) -> None:
        self.counter = 0
        self.pattern = Pattern(WIDTH, HEIGHT)
        self._reset()

    def _reset(self) -> None:
        self.prompt, self.source, self.pacing = "", "pattern", "realtime"
        self.color: tuple[int, int, int] | None = None
        self.emitted = self.received = self.decoded = 0
        self.last_counter = -1
        self.newest: Any = None
        self.fresh = False
        if self.pattern.size != (WIDTH, HEIGHT):
            self.pattern = Pattern(WIDTH, HEIGHT)

    async def run(self) -> None:
        due = time.monotonic()
        while True:
            if not self.connected.is_set():  # one connection a session here
                await self.connected.wait()
                self._reset()
            if self.pacing == "realtime":
                due = max(due + 1 / FPS, time.monotonic() - 1 / FPS)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.watch()
            frame = self.frame()
            if frame is None:
                await asyncio.sleep(0.002)
                continue
            await self.emit(Sent(main_video=frame))

    def watch(self) -> None:
        while (frame := self.media.webcam.try_read()) is not None:
            pixels = (frame[0] if isinstance(frame, list) else frame).data
            self.received += 1
            self.newest, self.fresh = pixels, True
            counter = read_counter(pixels)
            if counter is not None:
                self.decoded += 1
                self.last_counter = counter

    def frame(self) -> Any:
        if self.source == "webcam":
            if not self.fresh:
                return None
            self.fresh = False
            self.emitted += 1
            return self.newest
        self.emitted += 1
        self.counter += 1
        return self.pattern.frame(self.counter, self.color)

    @event(name="echo", description="Answer with the same number.")
    async def echo(self, client: ClientInfo, value: float = 0.0) -> None:
        await client.send(EchoReply(value=value, t_mono_us=now_us()))

    @event(name="set_prompt", description="Keep a text.")
    async def set_prompt(self, client: ClientInfo, prompt: str = "") -> None:
        self.prompt = prompt
        await client.send(PromptChanged(prompt=prompt))

    @event(name="set_source", description="Show the pattern or what the client sends.")
    async def set_source(self, client: ClientInfo, source: Literal["pattern", "webcam"] = "pattern") -> None:
        self.watch()
        self.source, self.newest, self.fresh = source, None, False
        await client.send(SourceChanged(source=source))

    @event(name="set_pacing", description="Let the model sleep itself, or leave that to the runtime.")
    async def set_pacing(self, client: ClientInfo, pacing: Literal["realtime", "backpressure"] = "realtime") -> None:
        self.pacing = pacing
        await client.send(PacingChanged(pacing=pacing))

    @event(name="set_size", description="Change the size of the pattern's frames.")
    async def set_size(
        self,
        client: ClientInfo,
        width: int = InputField(default=WIDTH, ge=64, le=3840),
        height: int = InputField(default=HEIGHT, ge=64, le=2160),
    ) -> None:
        self.pattern = Pattern(width, height)
        await client.send(SizeChanged(width=width, height=height))

    @event(name="flash", description="Cover the middle with a colour.")
    async def flash(self, client: ClientInfo, color: str = "") -> None:
        self.color = parse_color(color)
        await client.send(Flashed(color=color, t_mono_us=now_us()))

    @event(name="set_image", description="Say what arrived.")
    async def set_image(self, client: ClientInfo, image: Optional[UploadedFile] = None) -> None:  # noqa: UP045
        if image is None:
            return
        digest = hashlib.sha256(image.data).hexdigest()
        await client.send(
            ImageReceived(filename=image.name, mime_type=image.mime_type, size=len(image.data), sha256=digest)
        )

    @event(name="send_ticks", description="Send numbered messages to everybody.")
    async def send_ticks(self, count: int = InputField(default=1, ge=1, le=10_000)) -> None:
        for n in range(count):
            await self.send(Tick(n=n))

    @event(name="webcam_stats", description="Say what came in on the webcam track.")
    async def webcam_stats(self, client: ClientInfo) -> None:
        self.watch()
        height, width = (0, 0) if self.newest is None else self.newest.shape[:2]
        await client.send(
            WebcamStats(
                frames=self.received, decoded=self.decoded, last_counter=self.last_counter, width=width, height=height
            )
        )

    @event(name="get_state", description="Say everything that a session has set, and what it costs.")
    async def get_state(self, client: ClientInfo) -> None:
        times = os.times()
        await client.send(
            ModelState(
                prompt=self.prompt,
                source=self.source,
                pacing=self.pacing,
                emitted=self.emitted,
                counter=self.counter,
                pid=os.getpid(),
                cpu_s=times.user + times.system,
            )
        )
