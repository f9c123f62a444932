"""The sound of a recording: what was played and when, as AAC frames that follow each other from its begin.

Frame n is of the samples from 1,024 n on, at 48,000 a second, and decodes to them without a shift: the frame that an
encoder gives first, of before the begin, is dropped. Where nothing was played a ready-made silent frame is put, of six
bytes; encoding silence would cost as much as music. Not thread-safe.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import av
import numpy as np
from numpy.typing import NDArray

from livereactor.media.boxes import AAC_SAMPLES, AudioTrack
from livereactor.media.frames import Samples

Floats: TypeAlias = NDArray[np.float32]  # shape (channels, samples), -1..1

RATE: Final = 48_000
BPS: Final = 64_000  # for each channel; FFmpeg's encoder takes what a frame may have at most, 288,000, for more
JITTER: Final = RATE // 50  # samples: sound that comes within 20 ms of its place follows on what was before
FULL_SCALE: Final = 32_768


class SoundLine:
    """The sound of one recording.

    Args:
        rate: samples a second of what is played.
        channels: 1 or 2.
        bps: bits a second of each channel.

    Attributes:
        track: what decoders must know.
    """

    def __init__(self, rate: int, channels: int, *, bps: int = BPS) -> None:
        self._rate, self._channels = rate, channels
        self._frames = _Frames(channels, bps)
        self.track: Final = AudioTrack(RATE, channels, self._frames.config)
        self._rest = np.zeros((channels, 0), np.float32)  # of a frame that is not whole yet
        self._placed = 0  # samples from the begin that are in frames or in the rest
        self._run: _Run | None = None

    def play(self, start: float, samples: Samples | NDArray[np.floating[Any]]) -> Sequence[bytes]:
        """Take what is played.

        Args:
            start: seconds of the recording; what is before 0, or before sound that is there already, is left out.
            samples: int16, or float in -1..1, shape (samples, channels).

        Returns:
            The frames that are whole now; they are some 50 ms behind.
        """
        at = round(start * RATE)
        frames = list[bytes]()
        if self._run is None or abs(at - self._run.next) > JITTER:
            frames += self._end_run()
            frames += self._silence(at)
            self._run = _Run(at, self._placed - at, self._rate, self._channels)
        return [*frames, *self._place(self._run.take(_floats(samples)))]

    def until(self, end: float) -> Sequence[bytes]:
        """Return silence for what is missing up to `end` seconds; empty if nothing is missing."""
        at = round(end * RATE)
        if at <= self._placed:
            return ()
        return [*self._end_run(), *self._silence(at)]

    def finish(self, end: float) -> Sequence[bytes]:
        """All that is missing up to `end` seconds; nothing is played after it."""
        # The encoder gives a frame when it has the one after it.
        return [*self.until(end), *self._end_run(), *self._silence(self._placed + 3 * AAC_SAMPLES)]

    def _end_run(self) -> list[bytes]:
        run, self._run = self._run, None
        return [] if run is None else self._place(run.end())

    def _silence(self, until: int) -> list[bytes]:
        missing = until - self._placed
        if missing <= 0:
            return []
        edge = min(missing, -self._placed % AAC_SAMPLES)
        whole, rest = divmod(missing - edge, AAC_SAMPLES)
        frames = self._place(np.zeros((self._channels, edge), np.float32))
        frames += [frame for _ in range(whole) for frame in self._frames.add(None)]
        self._placed += whole * AAC_SAMPLES
        return [*frames, *self._place(np.zeros((self._channels, rest), np.float32))]

    def _place(self, samples: Floats) -> list[bytes]:
        self._placed += samples.shape[1]
        samples = np.concatenate([self._rest, samples], axis=1)
        whole = samples.shape[1] // AAC_SAMPLES
        self._rest = samples[:, whole * AAC_SAMPLES :]
        blocks = np.split(samples[:, : whole * AAC_SAMPLES], whole, axis=1) if whole else []
        return [frame for block in blocks for frame in self._frames.add(block if block.any() else None)]


class _Run:
    """Sound without a hole.

    Args:
        start: where it begins, in samples of the recording.
        missed: how many of its first samples have no place any more.

    Attributes:
        next: where what is taken next belongs.
    """

    def __init__(self, start: int, missed: int, rate: int, channels: int) -> None:
        self._start, self._missed, self._rate = start, missed, rate
        self._layout = "mono" if channels == 1 else "stereo"
        self._taken = 0
        same = rate == RATE
        self._resampler = None if same else av.AudioResampler(format="fltp", layout=self._layout, rate=RATE)

    @property
    def next(self) -> int:
        return self._start + self._taken * RATE // self._rate

    def take(self, samples: Floats) -> Floats:
        self._taken += samples.shape[1]
        if self._resampler is None:
            return self._kept(samples)
        frame = _frame(samples, self._layout, self._rate)
        return self._kept(*(made.to_ndarray() for made in self._resampler.resample(frame)))

    def end(self) -> Floats:
        """Return the samples that the filter still holds."""
        return self._kept(*(made.to_ndarray() for made in self._resampler.resample(None)) if self._resampler else ())

    def _kept(self, *parts: Any) -> Floats:
        channels = 1 if self._layout == "mono" else 2
        samples = np.concatenate([np.zeros((channels, 0), np.float32), *parts], axis=1)
        gone = min(self._missed, samples.shape[1])
        self._missed -= gone
        return samples[:, gone:]


class _Frames:
    """The encoder, which is not asked for frames of silence.

    A frame is made of its own 1,024 samples and the 1,024 after them, and comes when the encoder has those and the
    next. Of a silence it sees the first bits, and of what follows them none but, in effect, the last one, whose frame
    begins the sound that ends the silence.
    """

    def __init__(self, channels: int, bps: int) -> None:
        self._layout = "mono" if channels == 1 else "stereo"
        self._nothing = np.zeros((channels, AAC_SAMPLES), np.float32)
        self._encoder = _opened(self._layout, bps)
        self.config: Final = bytes(self._encoder.extradata)
        self._frames: deque[bytes | None] = deque()  # in order; None = the encoder has not given it yet
        self._awaited = 0  # of them
        self._to_skip = 1  # that the encoder will give and nobody needs; the first is of before the begin
        self._silent = 0  # bits of silence in a row

    def add(self, samples: Floats | None) -> list[bytes]:
        """Take the next 1,024 samples, None = silence; returns the frames that are there."""
        if samples is None and 0 < self._awaited <= self._silent:
            self._skip_silence()
        else:
            self._encode(self._nothing if samples is None else samples)
        self._silent = self._silent + 1 if samples is None else 0
        ready = list[bytes]()
        while self._frames and (frame := self._frames[0]) is not None:
            self._frames.popleft()
            ready.append(frame)
        return ready

    def _skip_silence(self) -> None:
        """All that is awaited is silence, and so is what follows: the encoder's last bit of it moves on to here."""
        for number in range(len(self._frames) - self._awaited, len(self._frames)):
            self._frames[number] = _silent_frame(self._layout)
        self._to_skip += self._awaited - 1
        self._frames.append(None)
        self._awaited = 1

    def _encode(self, samples: Floats) -> None:
        self._frames.append(None)
        self._awaited += 1
        for packet in self._encoder.encode(_frame(samples, self._layout, RATE)):
            if self._to_skip:
                self._to_skip -= 1
                continue
            self._frames[len(self._frames) - self._awaited] = bytes(packet)
            self._awaited -= 1


@lru_cache
def _silent_frame(layout: str) -> bytes:
    encoder, nothing = _opened(layout, BPS), np.zeros((1 if layout == "mono" else 2, AAC_SAMPLES), np.float32)
    return [bytes(packet) for _ in range(4) for packet in encoder.encode(_frame(nothing, layout, RATE))][-1]


def _opened(layout: str, bps: int) -> Any:
    encoder = cast(Any, av.CodecContext.create("aac", "w"))
    encoder.sample_rate, encoder.layout, encoder.format = RATE, layout, "fltp"
    encoder.bit_rate, encoder.time_base = bps * (1 if layout == "mono" else 2), Fraction(1, RATE)
    # Nine thousandths of a core where the default takes 26, and better from 64 kbit/s on (FFmpeg's documentation).
    encoder.options = {"aac_coder": "fast"}
    encoder.open()
    return encoder


def _frame(samples: Floats, layout: str, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", layout)
    frame.sample_rate = rate
    return frame


def _floats(samples: NDArray[Any]) -> Floats:
    if samples.dtype == np.int16:
        return samples.T.astype(np.float32) / np.float32(FULL_SCALE)
    return samples.T.astype(np.float32)
