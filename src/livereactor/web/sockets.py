"""Admission of connections: who may open one more, and whose idle one makes room for it. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from livereactor.base.errors import LivereactorError, QuotaError, UnavailableError
from livereactor.base.limits import Limits
from livereactor.web.rates import network

T = TypeVar("T", bound=Hashable)
RETRY_AFTER = Limits().idle_wait  # seconds; an idle connection is closed within that


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """The answer to a connection that asks to stay.

    Attributes:
        refusal: why it may not.
        displaced: the connection that has to go for it.
    """

    refusal: LivereactorError | None = None
    displaced: T | None = None


class Sockets(Generic[T]):
    """The open connections of one server, and which of them wait for a request.

    Args:
        most: connections of all; past them the one that has waited longest makes room.
        kept: connections above `most`, taken where nobody waits; past half of them only WebSockets are served.
        of_address: connections of one address.
        is_exempt: addresses that are bounded by `most` only: behind a proxy everybody is one address.
    """

    def __init__(self, *, most: int, kept: int, of_address: int, is_exempt: Callable[[str], bool]) -> None:
        self._most, self._kept, self._of_address, self._is_exempt = most, kept, of_address, is_exempt
        self._open: dict[T, str] = {}  # with the network it counts for; "" = none
        self._waiting: OrderedDict[T, None] = OrderedDict()  # longest first
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        """Open connections."""
        return len(self._open)

    @property
    def has_room_for_websockets_only(self) -> bool:
        """Return whether the places that are left are kept for WebSockets, by which workers come in."""
        return len(self._open) > self._most + self._kept // 2

    def full(self) -> UnavailableError:
        """Return the refusal of a server without a place."""
        text = f"{len(self._open)} of {self._most} connections are open; retry in {RETRY_AFTER:g} s"
        return UnavailableError(text, retry_after=RETRY_AFTER)

    def open(self, socket: T, address: str | None) -> Entry[T]:
        """Take a connection in, unless it is refused; it waits for its first request."""
        origin = "" if address is None or self._is_exempt(address) else network(address)
        used = self._counts.get(origin, 0)
        if origin and used >= self._of_address:
            return Entry(
                QuotaError(
                    f"{used} of {self._of_address} connections are open from this address; "
                    f"close one, or retry in {RETRY_AFTER:g} s",
                    quota_type="address_sockets",
                    limit=self._of_address,
                    current=used,
                    retry_after=RETRY_AFTER,
                )
            )
        displaced = next(iter(self._waiting), None) if len(self._open) >= self._most else None
        if displaced is None and len(self._open) >= self._most + self._kept:
            return Entry(self.full())
        if displaced is not None:
            self.close(displaced)
        self._open[socket] = origin
        self._waiting[socket] = None
        if origin:
            self._counts[origin] = self._counts.get(origin, 0) + 1
        return Entry(displaced=displaced)

    def busy(self, socket: T) -> None:
        """Note that a request of it is served: it makes no room."""
        self._waiting.pop(socket, None)

    def waiting(self, socket: T) -> None:
        """Let it wait for its next request, behind those that wait already."""
        if socket in self._open:
            self._waiting[socket] = None

    def hand_over(self, old: T, new: T) -> None:
        """Let a WebSocket take the place of the connection it began as; it counts for no address any more."""
        if old in self._open:
            self.close(old)
            self._open[new] = ""

    def close(self, socket: T) -> None:
        """Forget it. May be called twice."""
        origin = self._open.pop(socket, "")
        self._waiting.pop(socket, None)
        if not origin:
            return
        if (left := self._counts[origin] - 1) > 0:
            self._counts[origin] = left
        else:
            del self._counts[origin]
