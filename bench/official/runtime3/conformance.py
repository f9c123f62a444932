# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# ruff: noqa: D101  (the messages are named as the specification names them; it describes each)
# The official runtime lives in an environment of its own (bench/official/setup.sh), never in ours.
"""The conformance model for the official runtime 3.10: the rival in `make bench`.

`Conformance` paces itself or leaves it to `emit()`, as the model of the specification does, so it has a loop of its
own; `SteppedConformance` is the same model in the runtime's default loop, which alone can be stepped; `Chunks` makes
several frames at once, `Textured` shows what is hard to encode.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from typing import Any, Literal

import numpy as np
from picture import FPS, HEIGHT, WIDTH, Pattern, Texture, now_us, parse_color, read_counter
from reactor_runtime import (
    ApplicationError,
    CommandError,
    MediaInput,
    ModelMessage,
    Output,
    ReactorApp,
    ReadMode,
    UploadedFile,
    Video,
    event,
    session_started,
)
from reactor_runtime.core.fields import InputField


class Sent(Output):
    main_video: Video


class Received(MediaInput):
    webcam: Video


class EchoReply(ModelMessage):
    value: Any
    t_mono_us: int


class PromptChanged(ModelMessage):
    prompt: str


class SourceChanged(ModelMessage):
    source: str


class PacingChanged(ModelMessage):
    pacing: str


class SizeChanged(ModelMessage):
    width: int
    height: int


class Flashed(ModelMessage):
    color: str
    t_mono_us: int


class ImageReceived(ModelMessage):
    filename: str
    mime_type: str
    size: int
    sha256: str


class Tick(ModelMessage):
    n: int


class WebcamStats(ModelMessage):
    frames: int
    decoded: int
    last_counter: int
    width: int
    height: int


class ModelState(ModelMessage):
    prompt: str
    source: str
    pacing: str
    emitted: int
    counter: int
    pid: int
    cpu_s: float


class SteppedConformance(ReactorApp):
    """A moving pattern with a barcode, and a command for everything a client may want to try."""

    fps = FPS
    media: Received

    def load(self, config_path: Any) -> None:
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

    @session_started
    def started(self) -> None:
        self._reset()

    async def process_input(self) -> Any:
        self.watch()
        frame = self.frame()
        if frame is None:
            raise ApplicationError("no new frame")
        return frame

    def generate(self, input: Any) -> Sent:
        return Sent(main_video=input)

    def watch(self) -> None:
        while (frames := self.media.webcam.try_read(1, ReadMode.FIFO)) is not None:
            self.received += 1
            self.newest, self.fresh = frames[0].data, True
            counter = read_counter(frames[0].data)
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

    @event(name="echo", description="Answer with the same value.")
    async def echo(self, value: Any) -> EchoReply:
        return EchoReply(value=value, t_mono_us=now_us())

    @event(name="set_prompt", description="Keep a text.")
    async def set_prompt(self, prompt: str) -> PromptChanged:
        self.prompt = prompt
        return PromptChanged(prompt=prompt)

    @event(name="set_source", description="Show the pattern or what the client sends.")
    async def set_source(self, source: Literal["pattern", "webcam"]) -> SourceChanged:
        self.watch()
        self.source, self.newest, self.fresh = source, None, False
        return SourceChanged(source=source)

    @event(name="set_pacing", description="Let the model sleep itself, or leave that to the runtime.")
    async def set_pacing(self, pacing: Literal["realtime", "backpressure"]) -> PacingChanged:
        self.pacing = pacing
        return PacingChanged(pacing=pacing)

    @event(name="set_size", description="Change the size of the pattern's frames.")
    async def set_size(
        self, width: int = InputField(ge=64, le=3840), height: int = InputField(ge=64, le=2160)
    ) -> SizeChanged:
        self.pattern = Pattern(width, height)
        return SizeChanged(width=width, height=height)

    @event(name="flash", description="Cover the middle with a colour.")
    async def flash(self, color: str = "") -> Flashed:
        self.color = parse_color(color)
        return Flashed(color=color, t_mono_us=now_us())

    @event(name="set_image", description="Say what arrived.")
    async def set_image(self, image: UploadedFile) -> ImageReceived:
        digest = hashlib.sha256(image.data).hexdigest()
        return ImageReceived(filename=image.name, mime_type=image.mime_type, size=image.size, sha256=digest)

    @event(name="send_ticks", description="Send numbered messages to everybody.")
    async def send_ticks(self, count: int = InputField(ge=1, le=10_000)) -> None:
        for n in range(count):
            await self.send(Tick(n=n))

    @event(name="fail", description="Refuse, with the code and message given.")
    async def fail(self, code: str, message: str) -> None:
        raise CommandError(code, message)

    @event(name="crash", description="Fail as a bug would.")
    async def crash(self) -> None:
        raise KeyError("conformance-secret")

    @event(name="webcam_stats", description="Say what came in on the webcam track.")
    async def webcam_stats(self) -> WebcamStats:
        self.watch()
        height, width = (0, 0) if self.newest is None else self.newest.shape[:2]
        return WebcamStats(
            frames=self.received, decoded=self.decoded, last_counter=self.last_counter, width=width, height=height
        )

    @event(name="get_state", description="Say everything that a session has set, and what it costs.")
    async def get_state(self) -> ModelState:
        times = os.times()
        return ModelState(
            prompt=self.prompt,
            source=self.source,
            pacing=self.pacing,
            emitted=self.emitted,
            counter=self.counter,
            pid=os.getpid(),
            cpu_s=times.user + times.system,
        )


class Conformance(SteppedConformance):
    """The same with a loop of its own, which paces itself on request."""

    async def run(self) -> None:
        due = time.monotonic()
        while True:
            await self.connected.wait()
            if self.pacing == "realtime":
                due = max(due + 1 / FPS, time.monotonic() - 1 / FPS)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.watch()
            frame = self.frame()
            if frame is None:
                await asyncio.sleep(0.002)
                continue
            await self.emit(Sent(main_video=frame))


class Textured(Conformance):
    """The same with a picture that is hard to encode."""

    def load(self, config_path: Any) -> None:
        super().load(config_path)
        self.pattern = Texture(WIDTH, HEIGHT)


class Chunks(ReactorApp):
    """Sixteen frames every 700 ms, as video diffusion makes them; the runtime paces the playout."""

    def load(self, config_path: Any) -> None:
        self.pattern = Pattern(WIDTH, HEIGHT)
        self.counter = 0

    def generate(self, input: Any) -> Sent:
        began = time.monotonic()
        frames = []
        for _ in range(16):
            self.counter += 1
            frames.append(self.pattern.frame(self.counter, None))
        time.sleep(max(0.0, 0.7 - (time.monotonic() - began)))
        return Sent(main_video=np.stack(frames))
