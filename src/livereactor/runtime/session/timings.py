"""Where the time of one Session goes, as it is told: its own stages, and what its clients report. Loop only."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Final

from livereactor.base.timing import StageFigures, StageName, Timings, in_order
from livereactor.engine.port import PeerStats
from livereactor.protocol import messages as m
from livereactor.protocol.stages import SessionStages, StageRow, TrackPictures
from livereactor.runtime.interfaces import CallMarks
from livereactor.runtime.session.trace import SessionTrace

_REPORTED: Final = {each.value: each for each in (StageName.JITTER_BUFFER, StageName.DECODE)}
_LONGEST_MS: Final = 60_000.0  # what a client claims a Frame took
_FRAMES: Final = 10_000  # in one report


class SessionTimes:
    """The stages of one Session.

    Args:
        session: its id; "" = there is none.

    Attributes:
        trace: what a tracer is told of it.
        timings: what the model's thread and the outputs' add to.
    """

    def __init__(self, session: str = "") -> None:
        self.trace = SessionTrace(session)
        self.timings = Timings()
        self._began = time.monotonic()
        self._wait = self.timings.of(StageName.COMMAND_WAIT)
        self._handler = self.timings.of(StageName.COMMANDS)
        self._reply = self.timings.of(StageName.COMMAND_REPLY)

    def command(self, name: str, marks: CallMarks, now: float, failed: str) -> None:
        """A Command that the model's thread ran has its outcome on the channel; `failed`: the code of an error."""
        self.trace.command(name, marks, now, failed)
        self._wait.add(marks.taken - marks.asked)
        self._handler.add(marks.done - marks.taken)
        self._reply.add(now - marks.done)

    def add_client_stats(self, stats: m.ClientStats, tracks: Collection[str]) -> None:
        """What a client says of its own stages (protocol 5.11); odd figures and unknown tracks are left out."""
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
        """All of it, the network as the Peers have it now, and what became of the pictures."""
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
