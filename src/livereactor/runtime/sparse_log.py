"""Log lines that a client can cause at will: one per kind every few seconds, the next saying what was left out."""

from __future__ import annotations

import time
from typing import Any, Final

INTERVAL: Final = 5.0  # seconds between two lines of one kind (behaviour 29.6)


class SparseLog:
    """Writes to a structlog logger. Loop only.

    Args:
        log: the logger.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def info(self, kind: str, **fields: object) -> None:
        """One line of INFO, or none; `kind` is the constant message."""
        self._write("info", kind, fields)

    def warning(self, kind: str, **fields: object) -> None:
        """One line of WARNING, or none."""
        self._write("warning", kind, fields)

    def _write(self, level: str, kind: str, fields: dict[str, object]) -> None:
        now = time.monotonic()
        if now - self._last.get(kind, -INTERVAL) < INTERVAL:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._last[kind] = now
        if left_out := self._left_out.pop(kind, 0):
            fields["left_out"] = left_out
        getattr(self._log, level)(kind, **fields)
