"""Sound to one viewer: PCM pushed into a source of its own; Opus is libwebrtc's."""

from __future__ import annotations

import reactor_webrtc as rw

from livereactor.base.clock import monotonic_us
from livereactor.base.errors import EngineError
from livereactor.media.frames import Sound


class LibwebrtcAudioOutput:
    """Fits the Protocol `AudioOutput` in port.py."""

    def __init__(self, track: rw.Track) -> None:
        self.track = track
        self.mid = ""
        self._ready = False

    def start(self) -> None:
        """The viewer can receive from now on."""
        self._ready = True

    def stop(self) -> None:
        """The viewer cannot receive now."""
        self._ready = False

    def close(self) -> None:
        self._ready = False

    def send(self, sound: Sound) -> bool:
        samples, channels = sound.samples.shape
        block = sound.rate // 100
        if samples == 0 or samples % block:
            raise EngineError(f"sound of {samples} samples at {sound.rate} Hz is not whole blocks of 10 ms; cut it")
        if not self._ready:
            return False
        captured_us = sound.captured_us if sound.captured_us is not None else monotonic_us()
        for start in range(0, samples, block):
            pcm = sound.samples[start : start + block].astype("<i2", copy=False).tobytes()
            self.track.push_pcm(pcm, sound.rate, channels, captured_us + start * 1_000_000 // sound.rate)
        return True
