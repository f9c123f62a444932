"""Rate limits by address: of wrong keys, and of all requests. Plain ASGI, behind the guard, which answers 429.

Guessing keys is hopeless, and trying all day must cost the server little.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from livereactor.base.errors import QuotaError
from livereactor.web.access import is_on_this_machine, peer

ALLOWED: Final = 30  # a minute; a mistyped key in a retry loop is still told what is wrong
_NETWORK_BITS: Final = 64  # of IPv6: what one customer has, and changes its address within


class FailedAttempts:
    """Counts wrong keys by the address they come from.

    Args:
        what: the name of such keys, in the plural.
    """

    def __init__(self, what: str = "API keys") -> None:
        self._what = what
        self._limit = RateLimitItemPerMinute(ALLOWED)
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def refusal(self, peer: str | None) -> QuotaError | None:
        """Return the refusal (429) of an address that has shown too many; to be asked before a guess is compared."""
        if self._counter.test(self._limit, network(peer)):
            return None
        text = f"{ALLOWED} of {ALLOWED} wrong {self._what} a minute came from this address; mend it, retry in 60 s"
        return QuotaError(text, quota_type="wrong_keys", limit=ALLOWED, current=ALLOWED, retry_after=60)

    def must_not_be_too_many(self, peer: str | None) -> None:
        """Raise `QuotaError` (429) while an address has shown too many."""
        if (refusal := self.refusal(peer)) is not None:
            raise refusal

    def count(self, peer: str | None) -> None:
        """Count a wrong key."""
        self._counter.hit(self._limit, network(peer))


def network(peer: str | None) -> str:
    """Return the network of one customer that an address belongs to, as far as it tells."""
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return "unknown"
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
    return str(address)


RETRY_AFTER: Final = 5.0  # seconds; a sliding window has room again long before it is over
_NOT_CREATING: Final = ("/sdp_params", "/ice_candidates")  # POSTs that a live Session makes in bursts


class RateGate:
    """ASGI middleware.

    Args:
        knows: whether a request shows credentials that are right; any others are none.
        anonymous: requests and handshakes of WebSockets a minute without them; 0 = unlimited.
        creating: requests a minute that make something; 0 = unlimited.
    """

    def __init__(
        self, app: ASGIApp, knows: Callable[[HTTPConnection], Awaitable[bool]], *, anonymous: int, creating: int
    ) -> None:
        self._app, self._knows = app, knows
        self._anonymous = RateLimitItemPerMinute(anonymous, namespace="anonymous") if anonymous else None
        self._creating = RateLimitItemPerMinute(creating, namespace="creating") if creating else None
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            await self._count(HTTPConnection(scope))
        await self._app(scope, receive, send)

    async def _count(self, request: HTTPConnection) -> None:
        if is_on_this_machine(request):
            return
        origin = network(peer(request))
        if self._anonymous is not None and not await self._knows(request):
            self._hit(self._anonymous, origin, "requests without a token")
        if self._creating is not None and _is_creating(request):
            self._hit(self._creating, origin, "requests that create something")

    def _hit(self, item: RateLimitItem, peer: str, what: str) -> None:
        if self._counter.hit(item, peer):
            return
        raise QuotaError(
            f"{item.amount} of {item.amount} {what} a minute came from this address; retry in {RETRY_AFTER:g} s",
            quota_type="requests_per_minute",
            limit=item.amount,
            current=item.amount,
            retry_after=RETRY_AFTER,
        )


def _is_creating(request: HTTPConnection) -> bool:
    scope = request.scope
    return scope.get("method") == "POST" and not scope["path"].endswith(_NOT_CREATING)
