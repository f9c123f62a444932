"""The messages that a Connection may send: how large, how many, and what happens past that.

`Allowance` decides and is pure. `InboundGate` is its shell, on the thread where messages arrive: a message over the
allowance costs no decode, and the loop does not hear of it but for the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from livereactor.base.errors import LimitError, LivereactorError, TooLargeError
from livereactor.base.limits import Limits
from livereactor.base.token_bucket import TokenBucket
from livereactor.protocol import messages as m
from livereactor.runtime.interfaces import Role

# A client may send this many seconds' worth at once. Owners: a script's thousand commands, or 40 MB, are legal, and
# four thousand fit the model's queue. Viewers: one request for each of many tracks, when they connect.
OWNER_BURST: Final = 20.0
VIEWER_BURST: Final = 5.0
WINDOW: Final = 5.0  # seconds after which it is judged whether a client slowed down
IGNORED: Final = 3.0  # times its rate, on top of what was taken: the client does not listen
HEAD_BYTES: Final = 128  # of a message that is too large: its request's id is in them


class Verdict(Enum):
    """The fate of a message."""

    TAKEN = auto()
    DROPPED = auto()
    TOLD = auto()  # dropped, and the client is to be told
    IGNORED = auto()  # dropped, and the Connection is to be closed


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one Connection.

    Attributes:
        largest: bytes of a message.
        rate, byte_rate: messages and bytes a second.
        names: of the two rates in `Limits`.
        burst: seconds' worth at once.
        counts_bytes: False in a stepped session, whose frames are paced by the results of its steps.
    """

    largest: int
    rate: float
    byte_rate: float
    names: tuple[str, str]
    burst: float
    counts_bytes: bool = True


def bounds_of(limits: Limits, role: Role, *, stepped: bool) -> Bounds:
    """Return the bounds of a Connection with this role."""
    if role == "viewer":
        names = ("viewer_message_rate", "viewer_message_rate_bytes")
        return Bounds(
            limits.viewer_message_bytes,
            limits.viewer_message_rate,
            limits.viewer_message_rate_bytes,
            names,
            VIEWER_BURST,
        )
    largest = limits.chunked_message_bytes if stepped else limits.message_bytes
    names = ("message_rate", "message_rate_bytes")
    return Bounds(largest, limits.message_rate, limits.message_rate_bytes, names, OWNER_BURST, not stepped)


class Allowance:
    """The messages and bytes that a Connection may still send. Pure."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._messages = TokenBucket(bounds.rate, bounds.rate * bounds.burst)
        self._bytes = TokenBucket(bounds.byte_rate, bounds.byte_rate * bounds.burst)
        self._window: float | None = None  # when the current one began; None while the client keeps to its rate
        self._over = self._over_bytes = 0  # dropped in it

    def take(self, size: int, now: float) -> Verdict:
        """Decide about a message of `size` bytes."""
        size = size if self._bounds.counts_bytes else 0
        if self._messages.take(1, now):
            if self._bytes.take(size, now):
                return Verdict.TAKEN
            self._messages.give(1)
        return self._dropped(size, now)

    def repay(self, messages: int) -> None:
        """Give back what messages took: each was a step whose result has been sent, so the client waits for us."""
        self._messages.give(messages)

    def error(self, size: int) -> LimitError:
        """Return the error for a client whose message was dropped."""
        bounds = self._bounds
        if (wait := self._messages.wait(1)) > 0:
            text = f"messages come faster than {bounds.rate:g} a second ({bounds.names[0]})"
        else:
            text = f"messages come faster than {bounds.byte_rate:g} bytes a second ({bounds.names[1]})"
            wait = self._bytes.wait(size)
        return LimitError(f"{text}; they are dropped unread, go on in {wait:.1f} s")

    def _dropped(self, size: int, now: float) -> Verdict:
        quiet = self._window is None or now - self._window >= 2 * WINDOW
        if self._window is None or now - self._window >= WINDOW:
            most = IGNORED * WINDOW
            ignored = self._over > most * self._bounds.rate or self._over_bytes > most * self._bounds.byte_rate
            self._window, self._over, self._over_bytes = now, 0, 0
            if ignored and not quiet:
                return Verdict.IGNORED
        self._over += 1
        self._over_bytes += size
        return Verdict.TOLD if quiet else Verdict.DROPPED


class InboundGate:
    """The entrance of a Connection's messages; called on the one thread where they arrive.

    Args:
        post: runs a callable on the loop.
        refused: called on the loop with the channel, the error and the head of a message that was dropped.
        ignored: called on the loop when the Connection is to be closed.
    """

    def __init__(
        self,
        bounds: Bounds,
        post: Callable[[Callable[[], None]], None],
        *,
        refused: Callable[[m.ChannelLabel, LivereactorError, bytes], None],
        ignored: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowance, self._largest = Allowance(bounds), bounds.largest
        self._post, self._refused, self._ignored, self._clock = post, refused, ignored, clock
        self._closed = False
        # Two counters, each with one writing thread, so that no thread waits for the other.
        self._repaid: int = 0
        self._taken_back: int = 0

    def repay(self) -> None:
        """Give back what one message took. Loop only."""
        self._repaid += 1

    def __call__(self, label: str, data: bytes) -> bool:
        """Return whether a message is to be read."""
        if self._closed:
            return False
        if self._repaid != self._taken_back:
            repaid = self._repaid
            self._allowance.repay(repaid - self._taken_back)
            self._taken_back = repaid
        size = len(data)
        channel: m.ChannelLabel = m.CONTROL if label == m.CONTROL else m.DATA
        match self._allowance.take(min(size, self._largest), self._clock()):
            case Verdict.TAKEN if size <= self._largest:
                return True
            case Verdict.TAKEN:
                self._tell(channel, TooLargeError(_too_large(size, self._largest)), data[:HEAD_BYTES])
            case Verdict.DROPPED:
                pass
            case Verdict.TOLD:
                self._tell(channel, self._allowance.error(size), b"")
            case Verdict.IGNORED:
                self._closed = True
                self._post(self._ignored)
        return False

    def _tell(self, channel: m.ChannelLabel, error: LivereactorError, head: bytes) -> None:
        self._post(lambda: self._refused(channel, error, head))


def _too_large(size: int, largest: int) -> str:
    return f"a message of {size} bytes is over the limit of {largest} for this connection; upload large content"
