"""Where a move of the Session is told: the journal, the metrics, the log, and whoever watches (a Worker). Loop only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from livereactor.runtime.session.event_log import EventLog
from livereactor.runtime.session.events import RecordTransition
from livereactor.runtime.session.lifecycle import SessionState
from livereactor.runtime.session.metrics import Metrics


@dataclass(frozen=True, slots=True)
class SessionTransition:
    """A Session went from one state to the next.

    Attributes:
        session: its id; None where there is none (the model has loaded, or did not).
        reason: why it ends or ended, in our own words for `closing` and what follows it.
    """

    session: str | None
    before: SessionState
    after: SessionState
    reason: str


class SessionTransitions:
    """Tells of every move.

    Attributes:
        watchers: called with each, in order; they must not raise.
    """

    def __init__(self, metrics: Metrics, journal: EventLog) -> None:
        self._metrics, self._journal = metrics, journal
        self.watchers: list[Callable[[SessionTransition], None]] = []

    def moved(self, moved: RecordTransition, *, session: str | None, started: float | None, log: Any) -> None:
        """Tell of one.

        Args:
            started: when the Session began (monotonic).
            log: that of the Session.
        """
        before, after = moved.before, moved.after
        if before is SessionState.WAITING and after is SessionState.STREAMING and started is not None:
            self._metrics.first_client(time.monotonic() - started)
        self._journal.record(before.value, after.value, moved.reason)
        apart = f"{before.value} {after.value}"
        log.info("session state", apart=apart, before=before.value, after=after.value, reason=moved.reason)
        for watcher in self.watchers:
            watcher(SessionTransition(session, before, after, moved.reason))
