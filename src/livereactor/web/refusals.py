"""The audit log of refusals: which address was refused, why and how often, for people and for programs like fail2ban.

A line holds nothing that a client writes but its address, so no client can forge a line of another.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from livereactor.base.errors import ExpiredError, LivereactorError, QuotaError
from livereactor.base.token_bucket import TokenBucket
from livereactor.web.rates import network

EVENT: Final = "request refused"
INTERVAL: Final = 60.0  # seconds between two lines of one address and reason
MANY: Final = 10  # refusals that are told before that time is over, once: a program that bans need not wait
REMEMBERED: Final = 4_096  # pairs of address and reason; past them the one that was refused longest ago is forgotten
LINES: Final = 600  # a minute at most, of all addresses: a log that is flooded tells nothing
_CREDENTIALS: Final = ("authorization", "reactor-api-key", "x-api-key")
_REASONS: Final = {403: "forbidden", 413: "too_large", 431: "too_large", 429: "rate_limited"}

log = structlog.get_logger("livereactor.audit")


@dataclass(slots=True)
class _Told:
    at: float = -INTERVAL  # when the last line was due
    untold: int = 0
    were_many: bool = False  # told since then


class RefusalCounts:
    """Refusals by network and reason. Pure."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], _Told] = OrderedDict()  # refused longest ago first
        self._lines = TokenBucket(LINES / 2 / 60.0, LINES / 2)  # what is saved up and what comes back in a minute

    def __len__(self) -> int:
        """Pairs that are remembered."""
        return len(self._seen)

    def count(self, origin: str, reason: str, now: float) -> int:
        """Count one refusal; return the number to tell now, this one included, or 0 while it is too early."""
        key = (origin, reason)
        seen = self._seen.pop(key, None) or _Told()
        self._seen[key] = seen
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        seen.untold += 1
        is_time = now - seen.at >= INTERVAL
        are_many = seen.untold >= MANY and not seen.were_many
        if not (is_time or are_many) or not self._lines.take(1, now):
            return 0
        if is_time:
            seen.at = now
        seen.were_many = not is_time
        number, seen.untold = seen.untold, 0
        return number


class AuditLog:
    """Writes a line for the first refusal of an address and reason, for the tenth after it, and then one a minute."""

    def __init__(self) -> None:
        self._counts = RefusalCounts()

    def refused(self, address: str | None, status: int, reason: str | None) -> None:
        """Count a refusal, and write a line where it is time; other statuses than those of refusals are ignored."""
        if reason is None:
            return
        if number := self._counts.count(network(address), reason, time.monotonic()):
            log.warning(EVENT, address=address or "unknown", reason=reason, status=status, count=number)


def reason_of(status: int, error: LivereactorError | None, headers: Mapping[str, str]) -> str | None:
    """Return why a request was refused, in one word; None = its answer is no refusal.

    Args:
        error: of the answer; None = a worker gave it, or no error of ours.
        headers: of the request, names in lower case.
    """
    if status == 401 and isinstance(error, ExpiredError):
        return "expired_credentials"
    if status == 401:
        return "wrong_credentials" if any(headers.get(name) for name in _CREDENTIALS) else "no_credentials"
    if isinstance(error, QuotaError):
        return error.quota_type
    return _REASONS.get(status)
