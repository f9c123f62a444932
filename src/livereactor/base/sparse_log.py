"""Log lines that a client can cause at will: one per kind every few seconds, the next saying what was left out."""

from __future__ import annotations

import logging
import time
from typing import Any, Final, Self

INTERVAL: Final = 5.0  # seconds between two lines of one kind


class SparseLog:
    """Writes to a structlog logger. On one thread only.

    Args:
        log: the logger.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._last: dict[tuple[str, str], float] = {}
        self._left_out: dict[tuple[str, str], int] = {}

    def bind(self, **fields: object) -> Self:
        """The same with these fields in every line; what one has written the other leaves out."""
        bound = type(self)(self._log.bind(**fields))
        bound._last, bound._left_out = self._last, self._left_out
        return bound

    def info(self, kind: str, *, apart: str = "", **fields: object) -> None:
        """One line of INFO, or none; `kind` is the constant message.

        Args:
            apart: tells kinds with one message apart, from a small set that no client can add to.
        """
        self._write("info", kind, apart, fields)

    def warning(self, kind: str, *, apart: str = "", **fields: object) -> None:
        """One line of WARNING, or none."""
        self._write("warning", kind, apart, fields)

    def error(self, kind: str, *, apart: str = "", **fields: object) -> None:
        """One line of ERROR, or none."""
        self._write("error", kind, apart, fields)

    def exception(self, kind: str, *, apart: str = "", **fields: object) -> None:
        """The traceback of the exception that is handled, or nothing."""
        self._write("exception", kind, apart, fields)

    def _write(self, level: str, kind: str, apart: str, fields: dict[str, object]) -> None:
        now, key = time.monotonic(), (kind, apart)
        if now - self._last.get(key, -INTERVAL) < INTERVAL:
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return
        self._last[key] = now
        if left_out := self._left_out.pop(key, 0):
            fields["left_out"] = left_out
        getattr(self._log, level)(kind, **fields)


class SparseRecords(logging.Filter):
    """Lets one record of `logging` pass per logger and message every few seconds: of libraries, on any thread."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record may be written; its message is taken without its arguments."""
        now, key = time.monotonic(), (record.name, str(record.msg))
        if now - self._last.get(key, -INTERVAL) < INTERVAL:
            return False
        self._last[key] = now
        return True
