"""PCM to Opus in packets of 10 ms (RFC 6716), and their RTP time. One per listener; no IO, not for two threads at once.

aiortc's own encoder waits for 20 ms, in a pool of threads, and counts samples where time should be counted: after a
pause its listener would play late for good.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final, cast

import av
import numpy as np

from livereactor.media.frames import Samples, Sound

RATE: Final = 48_000
BLOCK: Final = 480  # samples of 10 ms
MAX_DRIFT: Final = 4800  # samples: sound this far from where the last ended has been paused


class OpusBlocks:
    """An encoder and the samples that did not fill a packet yet."""

    def __init__(self) -> None:
        self._encoder: Any = None
        self._resampler: av.AudioResampler | None = None
        self._channels = 0
        self._rest: Samples = np.empty((0, 1), np.int16)
        self._time = 0  # samples; of the first one in `_rest`

    def encode(self, sound: Sound, captured_us: int) -> list[Any]:
        """The packets (`av.Packet`, timed in samples) that `sound` completes.

        Args:
            sound: any rate, one or two channels.
            captured_us: monotonic microseconds of its first sample.
        """
        if self._encoder is None or sound.samples.shape[1] != self._channels:
            self._open(sound.samples.shape[1])
        samples = self._at_48k(sound)
        now = captured_us * 48 // 1000
        if abs(now - self._time - len(self._rest)) > MAX_DRIFT:
            self._time, self._rest = now, samples
        else:
            self._rest = np.concatenate([self._rest, samples])
        packets: list[Any] = []
        while len(self._rest) >= BLOCK:
            packets += self._encode(self._rest[:BLOCK])
            self._rest = self._rest[BLOCK:]
            self._time += BLOCK
        return packets

    def _open(self, channels: int) -> None:
        encoder = cast("Any", av.CodecContext.create("libopus", "w"))
        encoder.sample_rate, encoder.format = RATE, "s16"
        encoder.layout = "mono" if channels == 1 else "stereo"
        encoder.bit_rate = 64_000 if channels == 1 else 96_000
        encoder.time_base = Fraction(1, RATE)
        encoder.options = {"application": "lowdelay", "frame_duration": "10"}
        self._encoder, self._channels, self._resampler = encoder, channels, None
        self._rest = np.empty((0, channels), np.int16)

    def _at_48k(self, sound: Sound) -> Samples:
        if sound.rate == RATE:
            return sound.samples
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="s16", layout=self._encoder.layout, rate=RATE)
        resampled = [block.to_ndarray() for block in self._resampler.resample(self._block(sound.samples, sound.rate))]
        return (
            cast("Samples", np.concatenate(resampled, axis=1).reshape(-1, self._channels))
            if resampled
            else self._rest[:0]
        )

    def _encode(self, samples: Samples) -> list[Any]:
        packets: list[Any] = self._encoder.encode(self._block(samples, RATE))
        for packet in packets:
            packet.pts, packet.time_base = self._time, Fraction(1, RATE)
        return packets

    def _block(self, samples: Samples, rate: int) -> av.AudioFrame:
        block = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout=self._encoder.layout.name
        )
        block.sample_rate = rate
        return block
