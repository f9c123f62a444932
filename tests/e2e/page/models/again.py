"""The board, whose session goes on at another worker even after its pictures have been seen."""

from __future__ import annotations

from tests.e2e.page.models import board


class Again(board.Board):
    """A board that comes back. Its colour does not."""

    requeue = True
