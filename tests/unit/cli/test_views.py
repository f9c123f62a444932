"""A picture in a terminal and in a window, looked at as they show it."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from livereactor.cli.views import HALF, TerminalView, WindowView, half_blocks

RED, BLUE = (255, 0, 0), (0, 0, 255)


def halves(width: int = 64, height: int = 36) -> np.ndarray:
    """Red above, blue below."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2], picture[height // 2 :] = RED, BLUE
    return picture


def test_a_cell_is_two_pixels_one_above_the_other() -> None:
    (line,) = half_blocks(halves(2, 2), 2, 1, exact=True).split("\r\n")
    assert line == f"\x1b[38;2;255;0;0;48;2;0;0;255m{HALF}{HALF}\x1b[0m\x1b[K"


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (20, 40), (300, 10), (1, 1)])
def test_a_picture_fits_and_keeps_its_proportions(columns: int, rows: int) -> None:
    lines = half_blocks(halves(), columns, rows, exact=True).split("\r\n")
    widths = {line.count(HALF) for line in lines}
    assert len(widths) == 1
    width = widths.pop()
    assert width <= columns
    assert len(lines) <= rows
    assert width == columns or len(lines) == rows or width / len(lines) == pytest.approx(2 * 64 / 36, rel=0.2)


def test_a_terminal_without_24_bits_gets_colours_of_the_cube() -> None:
    shown = half_blocks(halves(), 20, 10, exact=False)
    assert set(re.findall(r"38;5;(\d+)", shown)) == {"196", "21"}


def test_the_terminal_comes_back_as_it_was_and_nothing_is_drawn_after() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="truecolor", width=40, height=12)
    view = TerminalView(console)
    with view:
        view.add(halves())
    assert HALF in file.getvalue()
    assert file.getvalue().rstrip().endswith("\x1b[?1049l\x1b[?25h")
    length = len(file.getvalue())
    view.add(halves())
    assert len(file.getvalue()) == length


def test_a_window_shows_the_newest_picture_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame = pytest.importorskip("pygame")
    with WindowView("pond") as view:
        assert view.turn()
        view.add(np.zeros((36, 64, 3), np.uint8))
        view.add(halves())
        assert view.turn()
        window = pygame.display.get_surface()
        assert window.get_size() == (64, 36)
        assert tuple(window.get_at((5, 5)))[:3] == RED
        assert tuple(window.get_at((5, 30)))[:3] == BLUE
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE))
        assert not view.turn()
