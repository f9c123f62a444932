"""The OpenTelemetry tracer of this process, if it has one, and trace contexts as W3C `traceparent` texts.

Nothing is traced and nothing is paid while `tracer()` is None. The tracer is passed on here and not in OpenTelemetry's
global provider: with a global provider, FastAPI adds spans of its own to every request.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, Status, StatusCode, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER: Final = "traceparent"
ROOT: Final = Context()  # spans name their parents: the ambient context of a thread or a task is none
_FORMAT: Final = TraceContextTextMapPropagator()
_MEASURE_EVERY: Final = 60.0  # seconds

_tracer: Tracer | None = None


def tracer() -> Tracer | None:
    """Return the tracer of this process; None = nothing is traced."""
    return _tracer


def trace_to(to: Tracer | None) -> None:
    """Send all spans that begin from now on to this tracer; for `wiring` and for tests."""
    global _tracer
    _tracer = to


def parsed(traceparent: str) -> Context:
    """Return the context of a `traceparent` from elsewhere; empty, which begins a new trace, if it is not valid."""
    return _FORMAT.extract({HEADER: traceparent}, ROOT) if traceparent else ROOT


def traceparent(context: Context | None = None) -> str:
    """Return a context as text; None = the context of this task, "" = nothing in it is traced."""
    carrier: dict[str, str] = {}
    _FORMAT.inject(carrier, context)
    return carrier.get(HEADER, "")


def links(to: Context) -> list[Link]:
    """Return the links of a span that has to do with a context without being a part of it."""
    found = get_current_span(to).get_span_context()
    return [Link(found)] if found.is_valid else []


def inside(span: Span) -> Context:
    """Return the context that the parts of a span begin in."""
    return set_span_in_context(span, ROOT)


@contextmanager
def within(context: Context) -> Generator[None]:
    """Make a context the one of this task in this block."""
    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def failure(code: str) -> Status:
    """Return the status of a span that ended with an error's code; "" = it did not fail."""
    return Status(StatusCode.ERROR, code) if code else Status()


class _UnixTime:
    """Monotonic seconds as nanoseconds of Unix time.

    The distance between the two clocks is measured once a minute. If each span measured it, spans of microseconds
    would change places whenever their thread is interrupted between reading one clock and reading the other.
    """

    def __init__(self) -> None:
        self._ahead_ns, self._measured_at = 0, float("-inf")

    def __call__(self, at: float) -> int:
        now = time.monotonic()
        if now - self._measured_at > _MEASURE_EVERY:
            self._ahead_ns, self._measured_at = time.time_ns() - time.monotonic_ns(), now
        return round(at * 1e9) + self._ahead_ns


unix_ns: Final = _UnixTime()
