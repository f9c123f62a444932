"""Sound of any rate and channel count as an input track declares it. Keeps the filter's state between blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from livereactor.media.frames import Samples, Sound

if TYPE_CHECKING:
    from av.audio.resampler import AudioResampler


class Resampler:
    """Brings one track's blocks to its rate and channels; what already fits passes untouched.

    Args:
        rate, channels: what comes out.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._source: tuple[int, int] | None = None  # rate and channels that `_filter` was made for
        self._filter: AudioResampler | None = None

    def sound(self, sound: Sound) -> Sound | None:
        """The block in the track's form; None while the filter still fills."""
        source = (sound.rate, sound.samples.shape[1])
        if source == (self._rate, self._channels):
            return sound
        if self._filter is None or source != self._source:
            self._source, self._filter = source, self._made()
        samples = self._filtered(self._filter, sound)
        return Sound(samples, self._rate, sound.captured_us, sound.client) if len(samples) else None

    def _made(self) -> AudioResampler:
        # FFmpeg through PyAV, imported at first need: a model without sound never pays for it.
        from av.audio.resampler import AudioResampler

        return AudioResampler("s16", _layout(self._channels), self._rate)

    def _filtered(self, resampler: AudioResampler, sound: Sound) -> Samples:
        from av.audio.frame import AudioFrame

        packed = np.ascontiguousarray(sound.samples).reshape(1, -1)
        frame = AudioFrame.from_ndarray(packed, format="s16", layout=_layout(sound.samples.shape[1]))
        frame.sample_rate = sound.rate
        parts = [made.to_ndarray().reshape(-1, self._channels) for made in resampler.resample(frame)]
        return cast("Samples", np.concatenate(parts)) if parts else np.empty((0, self._channels), np.int16)


def _layout(channels: int) -> str:
    return "mono" if channels == 1 else "stereo"
