"""Where a client's log goes in a program that has not set structlog up: warnings, on stderr, and nothing on stdout."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up_log(level: int | str | None) -> None:
    """Log from `level` on; with None, leave a program's own set-up as it is.

    Raises:
        ValueError: there is no such level.
    """
    if level is None and structlog.is_configured():
        return
    number = logging.getLevelNamesMapping().get(level.upper()) if isinstance(level, str) else level
    if isinstance(level, str) and number is None:
        raise ValueError(f"no log level {level!r}; there are {', '.join(logging.getLevelNamesMapping())}")
    structlog.configure(
        # Plain tracebacks: those with the values of variables would show what no log may.
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if number is None else number),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # whatever that is when a line is written
    )
