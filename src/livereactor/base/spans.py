"""Telling a tracer what happened when: the port, and the one tracer of a process. No tracer, no cost: `active` is None.

What is told is finished or ends soon; nobody waits for a tracer. Contexts are W3C `traceparent` texts, so they travel
in HTTP headers, in what a Worker is told of a Session, and across threads alike.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Literal, Protocol, TypeAlias

Attributes: TypeAlias = Mapping[str, str | int | float | bool]
Kind: TypeAlias = Literal["internal", "server"]
HEADER: Final = "traceparent"
_TEXT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_current: ContextVar[str] = ContextVar("livereactor_traceparent", default="")


class Span(Protocol):
    """Something that goes on; any thread may end it, once."""

    @property
    def traceparent(self) -> str:
        """The `traceparent` that parts of this span name as their parent."""
        ...

    def end(
        self, at: float | None = None, *, name: str = "", failed: str = "", attributes: Attributes | None = None
    ) -> None:
        """It ended at `at`, monotonic seconds (None = now).

        Args:
            name: as it turned out to be.
            failed: the code of the error that ended it.
        """
        ...


class Spans(Protocol):
    """A tracer. Any thread; nothing here blocks or raises."""

    def begin(
        self,
        name: str,
        *,
        at: float | None = None,
        parent: str = "",
        link: str = "",
        kind: Kind = "internal",
        attributes: Attributes | None = None,
    ) -> Span:
        """Something began at `at`, monotonic seconds (None = now).

        Args:
            parent: `traceparent` of what it is a part of; "" = it is a trace of its own.
            link: of what it has to do with.
        """
        ...


_active: Spans | None = None


def active() -> Spans | None:
    """The tracer of this process; None = nothing is traced."""
    return _active


def trace_to(spans: Spans | None) -> None:
    """From now on; for `wiring` and for tests."""
    global _active
    _active = spans


def current() -> str:
    """`traceparent` of what is being done in this task; "" = nothing that is traced."""
    return _current.get()


@contextmanager
def within(traceparent: str) -> Generator[None]:
    """Make the spans that begin in this block parts of that one."""
    token = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(token)


def parsed(text: str) -> str:
    """A `traceparent` that came from elsewhere; "" where it is none (W3C Trace Context, 3.2: start anew then)."""
    return text if _TEXT.fullmatch(text) else ""
