"""Views of `livereactor connect`: pictures in the terminal, in a window, or nowhere."""

from __future__ import annotations

import threading
import time
from typing import Any, Final, Self

import cv2
import numpy as np
from rich.console import Console

from livereactor.base.errors import UsageError
from livereactor.media.frames import Pixels

HALF: Final = "▀"  # upper half in the text colour, lower half in the background colour: two pixels per cell
DRAWN: Final = 15.0  # pictures a second in a terminal, each of which takes 100 KB of text


class View:
    """A place to show pictures until the user closes it. This one shows nothing, and cannot be closed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def add(self, pixels: Pixels) -> None:
        """Take a new picture. Called on a thread of the track."""

    def turn(self) -> bool:
        """Do the work that needs the main thread. Called often; returns False once the user has closed the view."""
        return True


class TerminalView(View):
    """View on the terminal's alternate screen, in half blocks. Ctrl-C closes it, and the old content returns.

    Args:
        console: a terminal with colours.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._screen = console.screen()
        self._lock = threading.Lock()  # nothing may be drawn after leaving the alternate screen
        self._is_open = False

    def __enter__(self) -> Self:
        self._screen.__enter__()
        self._is_open = True
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._is_open = False
            self._screen.__exit__(None, None, None)

    def add(self, pixels: Pixels) -> None:
        """Draw the picture over the last one. Runs on its own thread and may be slow."""
        due = time.monotonic() + 1 / DRAWN
        columns, rows = self._console.size
        text = half_blocks(pixels, columns, rows, exact=self._console.color_system == "truecolor")
        with self._lock:
            if not self._is_open:
                return
            self._console.file.write("\x1b[H" + text)
            self._console.file.flush()
        time.sleep(max(0.0, due - time.monotonic()))


def half_blocks(pixels: Pixels, columns: int, rows: int, *, exact: bool) -> str:
    """Return a picture as text with escape sequences, as large as fits into `columns` x `rows` cells.

    Args:
        pixels: uint8, shape (height, width, 3), RGB.
        exact: use 24-bit colours; otherwise the 216-colour cube that most terminals have.
    """
    height, width = pixels.shape[:2]
    scale = min(columns / width, 2 * rows / height)
    size = max(1, int(width * scale)), 2 * max(1, int(height * scale) // 2)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if exact:
        codes = [[f"2;{red};{green};{blue}" for red, green, blue in row] for row in small.tolist()]
    else:
        cube = 16 + np.round(small / 51).astype(int) @ (36, 6, 1)
        codes = [[f"5;{colour}" for colour in row] for row in cube.tolist()]
    return "\r\n".join(map(_line, codes[0::2], codes[1::2]))


def _line(above: list[str], below: list[str]) -> str:
    parts: list[str] = []
    last = ("", "")
    for pair in zip(above, below, strict=True):
        if pair != last:
            parts.append(f"\x1b[38;{pair[0]};48;{pair[1]}m")
            last = pair
        parts.append(HALF)
    return "".join(parts) + "\x1b[0m\x1b[K"


class WindowView(View):
    """View in a pygame window, created and updated on the main thread."""

    def __init__(self, title: str) -> None:
        try:
            import pygame
        except ImportError as error:
            raise UsageError("--show needs pygame; run: pip install 'livereactor[window]'") from error
        self._pygame: Any = pygame
        self._title = title
        self._newest: Pixels | None = None

    def __enter__(self) -> Self:
        self._pygame.display.init()
        return self

    def __exit__(self, *error: object) -> None:
        self._pygame.display.quit()

    def add(self, pixels: Pixels) -> None:
        """Keep the picture for the next `turn`."""
        self._newest = pixels

    def turn(self) -> bool:
        """Draw the newest picture, scaled to the window; return False once it was closed by its button, Escape or Q."""
        display, keys = self._pygame.display, (self._pygame.K_ESCAPE, self._pygame.K_q)
        pixels, self._newest = self._newest, None
        if pixels is not None:
            size = pixels.shape[1::-1]
            if display.get_surface() is None:
                display.set_mode(size, self._pygame.RESIZABLE)
                display.set_caption(self._title)
            picture = self._pygame.image.frombuffer(np.ascontiguousarray(pixels), size, "RGB")
            window = display.get_surface()
            self._pygame.transform.scale(picture.convert(window), window.get_size(), window)
            display.flip()
        if display.get_surface() is None:
            return True
        return not any(
            event.type == self._pygame.QUIT or (event.type == self._pygame.KEYDOWN and event.key in keys)
            for event in self._pygame.event.get()
        )
