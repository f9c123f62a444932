"""Whether store and coordinator have been there for long enough that somebody's silence means something.

While the store is away, or this process does not run (its host slept), nobody's beats and polls can be written down.
Judged at the first moment back, everybody would have been silent for too long; so there is a grace after every such
gap, after a clock that was set, and after the start, which may end a gap.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from livereactor.store.port import StoreUnavailableError

T = TypeVar("T")
GAP: Final = 5.0  # seconds between two ticks, or that the clocks went apart between them, that are no mere delay
log = structlog.get_logger("livereactor.coordinator")


class Outages:
    """Loop only. Times are monotonic seconds, passed.

    Attributes:
        errors: how many calls found the store away.
        away: the last one did.
    """

    def __init__(self, grace: float, *, now: float) -> None:
        self._grace = grace
        self._steady_from = now + grace
        self._since: float | None = None
        self._ticked: tuple[float, float] | None = None
        self.errors = 0

    @property
    def away(self) -> bool:
        """The last call to the store found it away."""
        return self._since is not None

    def is_steady(self, now: float) -> bool:
        """Silence counts."""
        return self._since is None and now >= self._steady_from

    def tick(self, now: float, unix: float) -> None:
        """To be told about once a second; a tick that comes late, or a clock that jumped, is a gap.

        Args:
            unix: seconds of Unix time, which goes on while the host sleeps, and can be set.
        """
        if self._ticked is not None:
            passed, by_clock = now - self._ticked[0], unix - self._ticked[1]
            if passed > GAP or abs(by_clock - passed) > GAP:
                log.warning("time gap", passed_s=round(passed, 1), clock_s=round(by_clock, 1), grace_s=self._grace)
                self._steady_from = now + self._grace
        self._ticked = now, unix

    async def notice(self, call: Awaitable[T], clock: Callable[[], float]) -> T:
        """Wait for a call to the store, and learn from how, and when, it ends."""
        try:
            result = await call
        except StoreUnavailableError as error:
            self.errors += 1
            if self._since is None:
                self._since = clock()
                log.error("store away", reason=error.message)
            raise
        if self._since is not None:
            now = clock()
            log.warning("store back", away_s=round(now - self._since, 1), grace_s=self._grace)
            self._since, self._steady_from = None, now + self._grace
        return result
