"""The limit of wrong keys from one address. Guessing is hopeless, and trying all day must cost the server little."""

from __future__ import annotations

import ipaddress
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from livereactor.base.errors import QuotaError

ALLOWED: Final = 30  # a minute; a mistyped key in a retry loop is still told what is wrong
_NETWORK_BITS: Final = 64  # of IPv6: what one customer has, and changes its address within


class FailedAttempts:
    """Counts wrong keys by the address they come from."""

    def __init__(self) -> None:
        self._limit = RateLimitItemPerMinute(ALLOWED)
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def must_not_be_too_many(self, peer: str | None) -> None:
        """Raise `QuotaError` (429) while an address has shown too many."""
        if not self._counter.test(self._limit, network(peer)):
            text = f"{ALLOWED} of {ALLOWED} wrong API keys a minute came from this address; mend the key, retry in 60 s"
            raise QuotaError(text, quota_type="wrong_keys", limit=ALLOWED, current=ALLOWED, retry_after=60)

    def count(self, peer: str | None) -> None:
        """One more wrong key."""
        self._counter.hit(self._limit, network(peer))


def network(peer: str | None) -> str:
    """Whom an address belongs to, as far as it tells."""
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return "unknown"
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
    return str(address)
