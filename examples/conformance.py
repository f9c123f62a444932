"""The model for tests and benchmarks: a moving picture that contains its own number and time.

Run it with `livereactor run examples/conformance.py`. The top sixth of each picture is a barcode with a counter and the
time at which the frame was handed over. A client that decodes it knows which frames were lost and how long they took.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

import livereactor as lr

WIDTH = int(os.environ.get("CONFORMANCE_WIDTH", "1280"))
HEIGHT = int(os.environ.get("CONFORMANCE_HEIGHT", "720"))
FPS = float(os.environ.get("CONFORMANCE_FPS", "30"))
SHIFT = 4  # pixels per frame
PERIOD = 256  # pixels after which the pattern repeats

Pixels = NDArray[np.uint8]
Source = Literal["pattern", "webcam"]
Pacing = Literal["realtime", "backpressure"]


class EchoReply(lr.Message):
    value: Any
    t_mono_us: int


class PromptChanged(lr.Message):
    prompt: str


class SourceChanged(lr.Message):
    source: Source


class PacingChanged(lr.Message):
    pacing: Pacing


class SizeChanged(lr.Message):
    width: int
    height: int


class Flashed(lr.Message):
    color: str
    t_mono_us: int


class ImageReceived(lr.Message):
    filename: str
    mime_type: str
    size: int
    sha256: str


class Tick(lr.Message):
    n: int


class WebcamStats(lr.Message):
    frames: int
    decoded: int
    last_counter: int
    width: int
    height: int


class ModelState(lr.Message):
    prompt: str
    source: Source
    pacing: Pacing
    emitted: int
    counter: int
    pid: int
    cpu_s: float


class Conformance(lr.Model):
    """A moving pattern with a barcode, and a command for everything a client may want to test."""

    main_video = lr.VideoOut(width=WIDTH, height=HEIGHT, fps=FPS)
    webcam = lr.VideoIn()

    def load(self) -> None:
        self.counter = 0  # may continue from session to session
        self.pattern = Pattern(WIDTH, HEIGHT)

    def open(self, session: lr.Session) -> None:
        self.stepped = session.stepped
        self.prompt = ""
        self.source: Source = "pattern"
        self.color: tuple[int, int, int] | None = None
        self.emitted = self.received = self.decoded = 0
        self.last_counter = -1
        self.newest: Pixels | None = None  # newest frame of the webcam
        self.fresh = False  # `newest` has not been emitted yet
        self._resize(WIDTH, HEIGHT)
        self.pacing: Pacing = "realtime"
        self._pace(self.pacing)

    def stream(self) -> Iterator[Any]:
        due = time.monotonic() - 1 / FPS
        while True:
            if self.pacing == "realtime" and not self.stepped:
                due = max(due + 1 / FPS, time.monotonic() - 1 / FPS)
                time.sleep(max(0.0, due - time.monotonic()))
                yield None  # lets commands that came during the sleep run now, not a frame later
            self._watch()
            yield self._frame()

    # --- commands ------------------------------------------------------------------------------------------------

    @lr.command
    def echo(self, value: Any) -> EchoReply:
        """Reply with the same value."""
        return EchoReply(value=value, t_mono_us=now_us())

    @lr.command
    def set_prompt(self, prompt: str) -> PromptChanged:
        """Set the prompt."""
        self.prompt = prompt
        return PromptChanged(prompt=prompt)

    @lr.command
    def set_source(self, source: Source) -> SourceChanged:
        """Show the pattern or the client's webcam."""
        self._watch()
        self.source, self.newest, self.fresh = source, None, False
        return SourceChanged(source=source)

    @lr.command
    def set_pacing(self, pacing: Pacing) -> PacingChanged:
        """Choose whether the model paces itself or the runtime does."""
        self._pace(pacing)
        return PacingChanged(pacing=pacing)

    @lr.command
    def set_size(
        self, width: Annotated[int, Interval(ge=64, le=3840)], height: Annotated[int, Interval(ge=64, le=2160)]
    ) -> SizeChanged:
        """Change the size of the pattern's frames."""
        self._resize(width, height)
        return SizeChanged(width=width, height=height)

    @lr.command
    def flash(self, color: str = "") -> Flashed:
        """Cover the middle with a colour (`rrggbb`) from the next frame on. An empty text removes it."""
        self.color = parse_color(color)
        return Flashed(color=color, t_mono_us=now_us())

    @lr.command
    def set_image(self, image: lr.File) -> ImageReceived:
        """Report the file that arrived."""
        digest = hashlib.sha256(image.data).hexdigest()
        return ImageReceived(filename=image.name, mime_type=image.mime_type, size=len(image.data), sha256=digest)

    @lr.command
    def send_ticks(self, count: Annotated[int, Interval(ge=1, le=10_000)]) -> None:
        """Send numbered messages to every client."""
        for n in range(count):
            self.send(Tick(n=n))

    @lr.command
    def fail(self, code: str, message: str) -> None:
        """Refuse with this code and message."""
        raise lr.CommandError(code, message)

    @lr.command
    def crash(self) -> None:
        """Fail as a bug would. The text must not reach the client."""
        raise KeyError("conformance-secret")

    @lr.command
    def webcam_stats(self) -> WebcamStats:
        """Report what arrived on the webcam track."""
        self._watch()
        height, width = (0, 0) if self.newest is None else self.newest.shape[:2]
        return WebcamStats(
            frames=self.received, decoded=self.decoded, last_counter=self.last_counter, width=width, height=height
        )

    @lr.command
    def get_state(self) -> ModelState:
        """Report the state of the session and its CPU time."""
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

    # --- implementation ------------------------------------------------------------------------------------------

    def _pace(self, pacing: Pacing) -> None:
        self.pacing = pacing
        # A model that paces itself must not be paced a second time by the runtime.
        self.main_video.pacing = "free" if pacing == "realtime" else "eager"

    def _resize(self, width: int, height: int) -> None:
        if self.pattern.size != (width, height):
            self.pattern = Pattern(width, height)

    def _watch(self) -> None:
        """Count the frames on the webcam track, and keep the newest."""
        while frames := self.webcam.take():  # a batch ends where the size changes
            self.received += len(frames)
            self.newest, self.fresh = frames[-1].pixels, True
            for counter in filter(None, (read_counter(frame.pixels) for frame in frames)):
                self.decoded += 1
                self.last_counter = counter

    def _frame(self) -> Pixels | None:
        if self.source == "webcam":
            if not self.fresh:
                return None
            self.fresh = False
            self.emitted += 1
            return self.newest
        self.emitted += 1
        self.counter += 1
        return self.pattern.frame(self.counter, self.color)


class Pattern:
    """Gradients and a chequerboard that move by SHIFT pixels per frame, under a barcode."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        x, y = np.arange(width + PERIOD), np.arange(height)[:, None]
        wave = np.abs(x % PERIOD - PERIOD // 2) / (PERIOD // 2)  # a triangle wave: no jump where it repeats
        chequer = np.where((x // 32 + y // 32) % 2 == 0, 24, -24)
        rise = y / height
        planes = (60 + 130 * wave + 0 * y, 60 + 130 * rise + 0 * x, 60 + 65 * (wave + 1 - rise))
        self._wide = np.stack([np.clip(plane + chequer, 0, 255) for plane in planes], axis=2).astype(np.uint8)
        self._cells = (np.arange(width) * 32 // width)[:, None].repeat(3, axis=1)  # the barcode cell of each byte
        self._edges = [-(-row * height // 18) for row in range(4)]

    def frame(self, counter: int, color: tuple[int, int, int] | None) -> Pixels:
        """Return a new array, shape (height, width, 3), stamped just before it is handed over.

        It copies whole rows, never single bytes, because the benchmarks measure the runtime, not the model.
        """
        width, height = self.size
        left = counter * SHIFT % PERIOD
        pixels = self._wide[:, left : left + width].copy()
        if color is not None:
            begin, end = width // 4, width * 3 // 4
            pixels[height // 3 : height * 2 // 3, begin:end] = np.full((end - begin, 3), color, np.uint8)
        self._draw(pixels, counter, now_us())
        return pixels

    def _draw(self, pixels: Pixels, counter: int, clock_us: int) -> None:
        body = counter.to_bytes(4, "big") + (clock_us % 2**48).to_bytes(6, "big")
        code = body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")
        cells = np.where(np.unpackbits(np.frombuffer(code, np.uint8)), 235, 16).astype(np.uint8).reshape(3, 32)
        for row, line in enumerate(cells):
            pixels[self._edges[row] : self._edges[row + 1]] = line[self._cells]


def read_counter(pixels: Pixels) -> int | None:
    """Return the barcode's counter with its client bit, or None if the CRC does not match."""
    height, width = pixels.shape[:2]
    if width < 64 or height < 36:
        return None
    rows = [[int((row + share) * height / 18) for share in (0.35, 0.5, 0.65)] for row in range(3)]
    columns = [[int((column + share) * width / 32) for share in (0.35, 0.5, 0.65)] for column in range(32)]
    samples = pixels[np.ravel(rows)[:, None], np.ravel(columns)[None, :], 1]
    levels = samples.reshape(3, 3, 32, 3).mean(axis=(1, 3))
    code = np.packbits(levels >= 128).tobytes()
    if binascii.crc_hqx(code[:10], 0xFFFF) != int.from_bytes(code[10:], "big"):
        return None
    return int.from_bytes(code[:4], "big")


def parse_color(text: str) -> tuple[int, int, int] | None:
    if not text:
        return None
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError:
        raise lr.CommandError("invalid_color", f"{text!r} is not a colour; send six hex digits, like ff8800") from None
    return red, green, blue


def now_us() -> int:
    return time.monotonic_ns() // 1000
