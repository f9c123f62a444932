"""Whether the store has been there for long enough that somebody's silence means something.

While it is away nobody's beats and polls can be written down. Judged at its first moment back, everybody would have
been silent for too long; so there is a grace after every outage, and after the start, which may end one.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import structlog

from livereactor.store.port import StoreUnavailableError

T = TypeVar("T")
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
        self.errors = 0

    @property
    def away(self) -> bool:
        """The last call to the store found it away."""
        return self._since is not None

    def is_steady(self, now: float) -> bool:
        """Silence counts."""
        return self._since is None and now >= self._steady_from

    async def notice(self, call: Awaitable[T], now: float) -> T:
        """Wait for a call to the store, and learn from how it ends."""
        try:
            result = await call
        except StoreUnavailableError as error:
            self.errors += 1
            if self._since is None:
                self._since = now
                log.error("store away", reason=error.message)
            raise
        if self._since is not None:
            log.warning("store back", away_s=round(now - self._since, 1), grace_s=self._grace)
            self._since, self._steady_from = None, now + self._grace
        return result
