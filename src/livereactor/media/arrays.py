"""Arrays of any library as numpy arrays, and how to name them in a message. Pure."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def as_array(value: object) -> Array | None:
    """`value` as a numpy array, sharing its memory where that is possible; None where it is no array.

    Takes numpy, PIL images (as RGB or grey), and anything with DLPack or `__array__`; a tensor that needs gradients or
    lives on another device is detached and fetched by its own `detach` and `cpu`.
    """
    if isinstance(value, np.ndarray):
        return cast(Array, value)
    if hasattr(value, "mode") and hasattr(value, "convert"):
        image = cast(Any, value)
        return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    if hasattr(value, "__dlpack__"):
        return _from_dlpack(cast(Any, value))
    if hasattr(value, "__array__"):
        return np.asarray(value)
    return None


def _from_dlpack(tensor: Any) -> Array | None:
    if hasattr(tensor, "detach"):
        tensor = tensor.detach()
    if hasattr(tensor, "cpu"):
        tensor = tensor.cpu()
    if "bfloat16" in str(tensor.dtype) and hasattr(tensor, "float"):
        tensor = tensor.float()  # numpy has no bfloat16
    try:
        return cast(Array, np.from_dlpack(tensor))
    except (BufferError, RuntimeError, TypeError, ValueError):
        # Another device without `cpu`, or a type DLPack cannot name: the library's own way, where it has one.
        return np.asarray(tensor) if hasattr(tensor, "__array__") else None


def span(array: Array) -> tuple[float, float]:
    """Lowest and highest value; NaN where one is NaN, and (0, 0) where there is none or it has no order."""
    if array.size == 0 or array.dtype.kind not in "buif":
        return 0.0, 0.0
    return float(array.min()), float(array.max())


def described(array: Array) -> str:
    """Type, shape and range, such as `float32 (3, 360, 640) in 0..255`."""
    low, high = span(array)
    return f"{array.dtype} {array.shape} in {low:g}..{high:g}"
