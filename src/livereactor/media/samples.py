"""What authors yield for an audio track, turned into Sound. Pure.

Shapes: (samples,) mono, put on every channel; (samples, channels), which wins where both ends fit; (channels, samples).
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from livereactor.base.errors import EmissionError
from livereactor.media.arrays import as_array, described, span
from livereactor.media.frames import Samples, Sound

Array: TypeAlias = NDArray[Any]

LOUDEST: Final = 2.0  # floats beyond 1 are clipped, as mixers do; beyond this they are in another unit
FULL_SCALE: Final = 32767


def as_sound(value: object, *, rate: int, channels: int, where: str) -> Sound:
    """Turn what one audio track was given in one `yield` into Sound.

    Args:
        value: int16, or float in -1..1, of one of the shapes above; or a `Sound` of this rate.
        rate: samples a second, as the track declares it; nothing is resampled.
        channels: of the track.
        where: whose value it is, for the message, such as `Pond.voice`.

    Returns:
        Sound with int16 samples of shape (samples, channels), not copied where it is so already.

    Raises:
        EmissionError: names `where`, what was expected and what came.
    """
    wanted = f"int16, or float in -1..1, of shape (samples,) or (samples, {channels})"
    if isinstance(value, Sound):
        if value.rate != rate:
            raise EmissionError(f"{where}: expected {rate} samples a second, got {value.rate}; declare that rate")
        value = value.samples
    array = as_array(value)
    if array is None:
        raise EmissionError(f"{where}: expected {wanted}, got {type(value).__name__}; yield an array")
    shaped = _with_axes(array, channels)
    if shaped is None or not _fits(array):
        raise EmissionError(f"{where}: expected {wanted}, got {described(array)}; reshape or convert it")
    return Sound(_int16(shaped), rate)


def _fits(array: Array) -> bool:
    low, high = span(array)
    return array.dtype == np.int16 or (np.issubdtype(array.dtype, np.floating) and low >= -LOUDEST and high <= LOUDEST)


def _with_axes(array: Array, channels: int) -> Array | None:
    if array.ndim == 1:
        return np.broadcast_to(array[:, None], (array.shape[0], channels))
    if array.ndim == 2 and array.shape[1] == channels:
        return array
    return array.T if array.ndim == 2 and array.shape[0] == channels else None


def _int16(array: Array) -> Samples:
    if array.dtype == np.int16:
        return np.ascontiguousarray(cast(Samples, array))
    return np.rint(np.clip(array, -1, 1) * np.float32(FULL_SCALE)).astype(np.int16)
