"""Media as data: frames and sound as arrays, and encoded frames as bytes. Shared without copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # a client that only holds Frames' types must not load numpy for them
    import numpy as np
    from numpy.typing import NDArray

Pixels: TypeAlias = "NDArray[np.uint8]"  # shape (height, width, 3), RGB
Samples: TypeAlias = "NDArray[np.int16]"  # shape (samples, channels)


class VideoCodec(StrEnum):
    """Codecs that we encode ourselves. VP8 is the one that every client has."""

    VP8 = "VP8"
    H264 = "H264"


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no one truth to compare by
class Frame:
    """One picture.

    Attributes:
        pixels: uint8, shape (height, width, 3), RGB. Not copied: do not write into it after handing it over.
        user_data: at most 1 KiB that travels with this Frame where the receiver negotiated frame metadata.
        captured_us: monotonic microseconds of the sender's clock; None = now.
        number: counts from 1 on its track; 0 = not counted yet.
        client: the Connection an input Frame came from; None for outputs.
    """

    pixels: Pixels
    user_data: bytes = b""
    captured_us: int | None = None
    number: int = 0
    client: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A block of samples.

    Attributes:
        samples: int16, shape (samples, channels).
        rate: samples a second.
        captured_us: as in `Frame`.
        client: as in `Frame`.
    """

    samples: Samples
    rate: int
    captured_us: int | None = None
    client: int | None = None


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One encoded picture; the same object goes to every viewer and to the recording.

    Attributes:
        codec: what the bytes are: Annex B for H.264, a raw frame for VP8.
        data: the bytes.
        key: decodable without any other Frame.
        number: counts from 1 per encoder, without gaps: a gap seen by a sink is a loss.
        width, height: pixels of the encoded picture.
        captured_us: monotonic microseconds at which the model handed the Frame over.
        user_data: the Frame's tag.
    """

    codec: VideoCodec
    data: bytes
    key: bool
    number: int
    width: int
    height: int
    captured_us: int
    user_data: bytes = b""


class PixelBound:
    """Most pixels of a frame of one peer; the first frame over it is reported, once.

    Args:
        most: as `PeerConfig.video_pixels` says.
        exceeded: called with the reason, on the thread where the frame is.
    """

    def __init__(self, most: int, exceeded: Callable[[str], None]) -> None:
        self._most, self._exceeded = most, exceeded
        self._is_exceeded = False

    def takes(self, width: int, height: int) -> bool:
        """Whether a frame of this size may go on; none may after one that was too large."""
        if width * height > self._most and not self._is_exceeded:
            self._is_exceeded = True
            self._exceeded(
                f"the client sent video of {width}x{height} = {width * height:,} pixels and {self._most:,} are taken "
                "(video_pixels); connect again and send smaller video"
            )
        return not self._is_exceeded
