"""A picture as a file, in the format that the file's name ends with."""

from __future__ import annotations

from pathlib import Path

import cv2

from livereactor.media.frames import Pixels


def checked(path: Path) -> Path:
    """`path`, where there is an encoder for its ending.

    Raises:
        ValueError: there is none.
    """
    if not path.suffix or not cv2.haveImageWriter(path.name):
        raise ValueError(f"no encoder for {path.name!r}; end it with .png, .jpg or .webp")
    return path


def write(picture: Pixels, path: Path) -> Path:
    """Write uint8 pixels of shape (height, width, 3), RGB; returns `path`."""
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    path.write_bytes(data.tobytes())
    return path
