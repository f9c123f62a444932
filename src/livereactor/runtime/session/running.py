"""The running Session: the state that belongs to one Session and is dropped with it, and the time that it takes.

The start of a Session and the connects of its clients are parts of the trace of the request that made it. Commands, and
Frames (`outputs/video.py`), are traces of their own that link to that one: a Session has thousands, too many for one
picture of a trace, and each is sampled by itself. Loop only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from typing import Final

from opentelemetry.context import get_current
from opentelemetry.trace import Span

from livereactor.base import spans
from livereactor.base.errors import LivereactorError
from livereactor.base.spans import unix_ns
from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import TaskSet
from livereactor.base.timing import StageFigures, StageName, Timings, in_order
from livereactor.engine.port import PeerStats
from livereactor.protocol import messages as m
from livereactor.protocol.stages import SessionStages, StageRow, TrackPictures
from livereactor.runtime.execution.model_thread import ModelThread
from livereactor.runtime.interfaces import (
    SESSION_ATTRIBUTE,
    CallMarks,
    ClientInfo,
    SessionObserver,
    SessionOrigin,
    SessionStart,
)
from livereactor.runtime.outputs.outputs import Outputs
from livereactor.runtime.session.lifecycle import SessionRequested

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
            name, self.origin.trace or now, attributes={SESSION_ATTRIBUTE: self.origin.session}, links=spans.links(now)
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


class RunningSession:
    """The state that belongs to one Session; each Session gets a new one.

    Args:
        number: of this Session in its process; 0 = no Session runs.
        id: in every line of `log`.

    Attributes:
        clients: the clients that the model knows, by connection.
        times: where the Session's time goes.
        opening: completes when the model has opened the Session.
        tasks: background work that ends with the Session.
    """

    def __init__(self, number: int, log: SparseLog, id: str | None = None) -> None:
        self.number, self.id = number, id
        self.log = log if id is None else log.bind(session=id)
        self.clients: dict[int, ClientInfo] = {}
        self.times = SessionTimes(id or "")
        self.opening: Future[None] | None = None
        self.tasks = TaskSet()

    def start(self, request: SessionRequested, observer: SessionObserver) -> SessionStart:
        """Return what the model's thread opens the Session with."""
        return SessionStart(
            request.id,
            request.extra_args,
            request.stepped,
            request.starting,
            request.steps,
            number=self.number,
            observer=observer,
            timings=self.times.timings,
        )

    async def close_model(self, model: ModelThread, outputs: Outputs, reason: str, patience: float) -> str | None:
        """Close the Session in the model, wait for it, and drop the Session's pictures.

        Args:
            patience: seconds that a step may take to end.

        Returns:
            The reason for which the model cannot serve any more; None = it can.
        """
        try:
            await asyncio.wait_for(asyncio.wrap_future(model.close(reason)), patience)
            outputs.reset()
        except TimeoutError:
            return f"the model did not end its step within {patience:g} s"
        except LivereactorError as error:  # the model's thread has stopped: the process ends anyway
            self.log.info("model thread already stopped", reason=error.message)
        except Exception:  # whatever it is, the next client must not find what is left of this one
            self.log.exception("session not closed")
            return "the model could not close a session; its log has the traceback"
        return None
