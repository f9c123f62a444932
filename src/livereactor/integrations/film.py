"""Frames into an MP4, by PyAV."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

import av
import numpy as np

from livereactor.media.fit import fitted
from livereactor.media.frames import Pixels

TICKS: Final = 90_000  # a second; the clock of video (RFC 3551), fine enough for any frame rate


class Film:
    """A film of what is shown, each Frame for as long as it was shown: `track.on_frame(film.add)`. For any thread.

    The first Frame settles the size; others are fitted into it, with black bars where the proportions differ. The file
    is there, playable, once the film is closed; without a Frame there is none.

    Args:
        path: where to; `.mp4` and whatever else PyAV knows by its ending.
        crf: quality of H.264, 0 (lossless) to 51; 18 looks like the original.

    Attributes:
        frames: how many are in it.
    """

    def __init__(self, path: str | Path, *, crf: int = 18) -> None:
        self._path, self._crf = Path(path), crf
        self._lock = threading.Lock()
        self._is_closed = False
        self._container: Any = None  # PyAV's types are partly unknown
        self._stream: Any = None
        self._began = 0.0
        self._last = -1
        self.frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def add(self, pixels: Pixels, *, at: float | None = None) -> None:
        """Add one Frame; one that comes when the film is closed is left out.

        Args:
            pixels: uint8, shape (height, width, 3), RGB, both sides at least 2; only read.
            at: seconds at which it is shown, on any clock that goes forward; None = now. One that is not after the
                last is left out.

        Raises:
            OSError: it cannot be written there.
        """
        with self._lock:
            if not self._is_closed:
                self._add(pixels, time.monotonic() if at is None else at)

    def close(self) -> None:
        """Finish the file; may be called twice."""
        with self._lock:
            container, self._container, self._is_closed = self._container, None, True
            if container is not None:
                container.mux(self._stream.encode(None))
                container.close()

    def _add(self, pixels: Pixels, at: float) -> None:
        stream = self._opened(pixels, at) if self._stream is None else self._stream
        ticks = round((at - self._began) * TICKS)
        if ticks <= self._last:
            return
        picture = fitted(pixels, width=stream.width, height=stream.height, fit="contain")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = ticks, Fraction(1, TICKS)
        self._last = ticks
        self.frames += 1
        self._container.mux(stream.encode(frame))

    def _opened(self, pixels: Pixels, at: float) -> Any:
        height, width = pixels.shape[:2]
        options = {"movflags": "faststart"} if self._path.suffix.lower() in (".mp4", ".mov", ".m4v") else {}
        container: Any = av.open(str(self._path), "w", options=options)
        # veryfast: it is encoded while it is watched.
        stream = container.add_stream(
            "libx264", rate=Fraction(30), options={"crf": str(self._crf), "preset": "veryfast"}
        )
        stream.width, stream.height = width - width % 2, height - height % 2  # 4:2:0 has even sides
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, TICKS)
        container.start_encoding()  # the file is made here, not when the encoder gives its first bytes
        self._container, self._stream, self._began = container, stream, at
        return stream
