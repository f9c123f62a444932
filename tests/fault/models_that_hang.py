"""A model whose step never ends, for tests of how its process does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import livereactor as lr


class Hangs(lr.Model):
    """Hangs in its first step."""

    main_video = lr.VideoOut(width=64, height=48, fps=30)
    run_without_viewers = True

    def stream(self) -> Iterator[Any]:
        self.send(Stuck())
        threading.Event().wait()
        yield None


class Stuck(lr.Message):
    """Said before it hangs."""
