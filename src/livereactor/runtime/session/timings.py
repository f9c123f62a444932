"""The time of one Session: figures of its stages, reports of its clients, and spans for a tracer. Loop only.

The start of a Session and the connects of its clients are parts of the trace of the request that made it. Commands, and
Frames (`outputs/frame_spans.py`), are traces of their own that link to that one: a Session has thousands, too many for
one picture of a trace, and each is sampled by itself.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from typing import Final

from opentelemetry.context import get_current
from opentelemetry.trace import Span

from livereactor.base import spans
from livereactor.base.errors import LivereactorError
from livereactor.base.spans import unix_ns
from livereactor.base.timing import StageFigures, StageName, Timings, in_order
from livereactor.engine.port import PeerStats
from livereactor.protocol import messages as m
from livereactor.protocol.stages import SessionStages, StageRow, TrackPictures
from livereactor.runtime.interfaces import SESSION_ATTRIBUTE, CallMarks, SessionOrigin

_REPORTED: Final = {each.value: each for each in (StageName.JITTER_BUFFER, StageName.DECODE)}
_LONGEST_MS: Final = 60_000.0  # a client may claim that a Frame took
_FRAMES: Final = 10_000  # in one report of a client


class SessionTrace:
    """The spans of one Session.

    Args:
        session: its id; "" = no Session.
    """

    def __init__(self, session: str) -> None:
        self.origin = SessionOrigin(session, get_current())
        self._connecting: dict[int, Span] = {}

    def opening(self, opening: Future[None]) -> None:
        """Trace how the model opens the Session, until `opening` is done."""
        if (span := self._part("session.open")) is not None:
            opening.add_done_callback(lambda done: _end(span, _failure(done)))

    def offered(self, connection: int) -> None:
        """Begin to trace a connect, in the request that makes the offer."""
        self.dropped(connection)
        if (span := self._part("connect")) is not None:
            self._connecting[connection] = span

    def connected(self, connection: int) -> None:
        """End the trace of a connect: the model knows the client."""
        if (span := self._connecting.pop(connection, None)) is not None:
            span.set_attribute("livereactor.connection", connection)
            span.end()

    def dropped(self, connection: int) -> None:
        """End the trace of a connect that did not succeed; nothing happens for a client that had connected."""
        if (span := self._connecting.pop(connection, None)) is not None:
            span.set_attribute("livereactor.connection", connection)
            _end(span, "gone")

    def command(self, name: str, marks: CallMarks, now: float, failed: str) -> None:
        """Trace a Command that has its outcome; `failed`: the code of an error."""
        if (tracer := spans.tracer()) is None:
            return
        found = {SESSION_ATTRIBUTE: self.origin.session, "livereactor.command": name}
        links = spans.links(self.origin.trace)
        whole = tracer.start_span("command", spans.ROOT, attributes=found, links=links, start_time=unix_ns(marks.asked))
        inside = spans.inside(whole)
        parts = (("wait", marks.asked, marks.taken), ("run", marks.taken, marks.done), ("reply", marks.done, now))
        for part, began, ended in parts:
            tracer.start_span(part, inside, start_time=unix_ns(began)).end(unix_ns(ended))
        _end(whole, failed, now)

    def _part(self, name: str) -> Span | None:
        """Begin a part of the request that made the Session, linked to the request that is answered now."""
        if (tracer := spans.tracer()) is None:
            return None
        now = get_current()
        return tracer.start_span(
            name,
            self.origin.trace or now,
            attributes={SESSION_ATTRIBUTE: self.origin.session},
            links=spans.links(now),
        )


class SessionTimes:
    """The stages of one Session.

    Args:
        session: its id; "" = no Session.

    Attributes:
        trace: its spans.
        timings: the figures that the model's thread and the outputs' threads add to.
    """

    def __init__(self, session: str = "") -> None:
        self.trace = SessionTrace(session)
        self.timings = Timings()
        self._began = time.monotonic()
        self._wait = self.timings.of(StageName.COMMAND_WAIT)
        self._handler = self.timings.of(StageName.COMMANDS)
        self._reply = self.timings.of(StageName.COMMAND_REPLY)

    def command(self, name: str, marks: CallMarks, now: float, failed: str) -> None:
        """Count a Command that has its outcome; `failed`: the code of an error."""
        self.trace.command(name, marks, now, failed)
        self._wait.add(marks.taken - marks.asked)
        self._handler.add(marks.done - marks.taken)
        self._reply.add(now - marks.done)

    def add_client_stats(self, stats: m.ClientStats, tracks: Collection[str]) -> None:
        """Add a client's figures of its own stages; odd figures and unknown tracks are left out."""
        for track in stats.tracks:
            if track.track not in tracks:
                continue
            for stage in track.stages:
                name = _REPORTED.get(stage.name)
                if name is None or not 0 < stage.frames <= _FRAMES:
                    continue
                mean_ms = stage.total_ms / stage.frames
                if 0 <= mean_ms <= _LONGEST_MS:
                    self.timings.of(name, track.track).add(mean_ms / 1e3, stage.frames)

    def report(self, session: str, peers: Sequence[PeerStats], pictures: Sequence[TrackPictures]) -> SessionStages:
        """Return all figures, with the network as the Peers measure it now, and the counts of pictures."""
        network = Timings()
        ways = network.of(StageName.NETWORK)
        for peer in peers:
            if peer.rtt_ms is not None:
                ways.add(peer.rtt_ms / 2e3)
        rows = in_order([*self.timings.figures(), *network.figures()])
        return SessionStages(
            session_id=session,
            seconds=round(time.monotonic() - self._began, 3),
            clients=len(peers),
            stages=[_row(each) for each in rows],
            pictures=list(pictures),
        )


def _row(figures: StageFigures) -> StageRow:
    return StageRow(
        stage=figures.stage.value,
        track=figures.track,
        count=figures.count,
        total_ms=round(figures.total_ms, 3),
        p50_ms=round(figures.p50_ms, 3),
        p95_ms=round(figures.p95_ms, 3),
        p99_ms=round(figures.p99_ms, 3),
        max_ms=round(figures.max_ms, 3),
    )


def _end(span: Span, failed: str, at: float | None = None) -> None:
    span.set_status(spans.failure(failed))
    span.end(None if at is None else unix_ns(at))


def _failure(done: Future[None]) -> str:
    if done.cancelled():
        return "cancelled"
    error = done.exception()
    return error.code if isinstance(error, LivereactorError) else "" if error is None else "internal_error"
