"""What of one Session is told to a tracer, if there is one. Loop only.

Its start and its connects are parts of the trace of whoever made it. Commands, and Frames (`frame_spans.py`), are
traces of their own that name that one: a Session has thousands of them, which no viewer of traces shows in one picture,
and each is sampled by itself.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Final

from livereactor.base import spans
from livereactor.base.errors import LivereactorError
from livereactor.base.spans import Span
from livereactor.runtime.interfaces import CallMarks

SESSION: Final = "livereactor.session"


class SessionTrace:
    """The spans of one Session.

    Args:
        session: its id; "" = there is none.

    Attributes:
        context: `traceparent` of what made it; "" = nothing that is traced.
    """

    def __init__(self, session: str) -> None:
        self.session, self.context = session, spans.current()
        self._connecting: dict[int, Span] = {}

    def opening(self, opening: Future[None]) -> None:
        """The model opens it, until `opening` is done."""
        if (span := self._part("session.open")) is not None:
            opening.add_done_callback(lambda done: span.end(failed=_failure(done)))

    def offered(self, connection: int) -> None:
        """A Connection begins to connect, in the request that offers it."""
        self.dropped(connection)
        if (span := self._part("connect")) is not None:
            self._connecting[connection] = span

    def connected(self, connection: int) -> None:
        """It is there: the model knows its client."""
        if (span := self._connecting.pop(connection, None)) is not None:
            span.end(attributes={"livereactor.connection": connection})

    def dropped(self, connection: int) -> None:
        """It is gone, and never was there if it still connected."""
        if (span := self._connecting.pop(connection, None)) is not None:
            span.end(failed="gone", attributes={"livereactor.connection": connection})

    def command(self, name: str, marks: CallMarks, now: float, failed: str) -> None:
        """A Command has its outcome; `failed`: the code of the error that it is."""
        if (tracer := spans.active()) is None:
            return
        found = {SESSION: self.session, "livereactor.command": name}
        whole = tracer.begin("command", at=marks.asked, link=self.context, attributes=found)
        parts = (("wait", marks.asked, marks.taken), ("run", marks.taken, marks.done), ("reply", marks.done, now))
        for part, began, ended in parts:
            tracer.begin(part, at=began, parent=whole.traceparent).end(ended)
        whole.end(now, failed=failed)

    def _part(self, name: str) -> Span | None:
        """A part of what made the Session, that has to do with the request which is answered now."""
        if (tracer := spans.active()) is None:
            return None
        now = spans.current()
        return tracer.begin(name, parent=self.context or now, link=now, attributes={SESSION: self.session})


def _failure(done: Future[None]) -> str:
    if done.cancelled():
        return "cancelled"
    error = done.exception()
    return error.code if isinstance(error, LivereactorError) else "" if error is None else "internal_error"
