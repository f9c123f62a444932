"""The messages that a Connection may send: how large, how many, and what happens past that.

`Allowance` decides and is pure. `InboundGate` is its shell, on the thread where messages arrive: a message over the
allowance costs no decode, and the loop does not hear of it but for the first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from livereactor.base.errors import LimitError, LivereactorError, TooLargeError
from livereactor.base.limits import Limits
from livereactor.base.token_bucket import TokenBucket
from livereactor.protocol import messages as m
from livereactor.runtime.interfaces import Role

# A client may send this many seconds' worth at once. Owners: a script's thousand commands, or 40 MB, are legal, and
# four thousand fit the model's queue. Links that may steer: what a hand did while the network paused, since all that
# comes at once is worked off at once, and the owner's commands wait behind it. Viewers: one request for each of many
# tracks, when they connect.
OWNER_BURST: Final = 20.0
LINK_BURST: Final = 2.0
VIEWER_BURST: Final = 5.0
WINDOW: Final = 5.0  # seconds after which it is judged whether a client slowed down
IGNORED: Final = 3.0  # times its rate, on top of what was taken: the client does not listen
TOGGLE_BURST: Final = 4.0  # seconds' worth of pauses and resumes at once: all tracks of a model as its client connects
LEASE: Final = 32  # messages, and an eighth of what is left at most, that pass without a look at the clock
KEPT: Final = 256  # allowances of Connections that were closed
# A flood is so many times the rate, dropped within a second: a message costs the network's thread some 70 us before it
# can be dropped, and the messages of other clients wait meanwhile. Owners keep their own waiting: they have a second
# to hear that they were told.
FLOOD: Final = 10.0
FLOOD_SECONDS: Final = 2
LINK_FLOOD: Final = 2.0  # of links that may steer, whose rate is an owner's
LINK_FLOOD_SECONDS: Final = 1
# Of a link's messages so many are read at once, then so many times `message_rate`: each may cost the loop 0.2 ms, and
# 400 that arrive together kept the owner's commands waiting for 80 ms.
AT_ONCE: Final = 8
PACE: Final = 1.0
# Owners are held to the same while a session has several: at `run` everybody is one. Their burst is longer than a
# link's, as a script may send a thousand commands beside the page of its author.
COMPANY_BURST: Final = 5.0
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
        pause_rate: pauses and resumes a second.
        flood: times its rate; what more is dropped within a second is a flood.
        flood_seconds: of a flood, one after the other, in whose last the Connection is closed.
        pace: messages a second that are read after AT_ONCE, but for those that were answered; 0 = as they arrive.
        repays: an answered request counts no longer: for an owner's scripts, and for steps.
        counts_bytes: False in a stepped session, whose frames are paced by the results of its steps.
    """

    largest: int
    rate: float
    byte_rate: float
    names: tuple[str, str]
    burst: float
    pause_rate: float
    flood: float = FLOOD
    flood_seconds: int = FLOOD_SECONDS
    pace: float = 0.0
    repays: bool = False
    counts_bytes: bool = True

    def in_company(self) -> Bounds:
        """Return the bounds while others own the Session too; those of a link are such already."""
        if self.pace:
            return self
        pace = PACE * self.rate
        return replace(self, burst=COMPANY_BURST, flood=LINK_FLOOD, flood_seconds=LINK_FLOOD_SECONDS, pace=pace)


def bounds_of(limits: Limits, role: Role, *, stepped: bool, link: str = "") -> Bounds:
    """Return the bounds of a Connection with this role, whose client came by this share link, or by none."""
    if role == "viewer":
        names = ("viewer_message_rate", "viewer_message_rate_bytes")
        return Bounds(
            limits.viewer_message_bytes,
            limits.viewer_message_rate,
            limits.viewer_message_rate_bytes,
            names,
            VIEWER_BURST,
            limits.pause_rate,
            FLOOD,
            LINK_FLOOD_SECONDS,
            PACE * limits.message_rate,
        )
    largest = limits.chunked_message_bytes if stepped else limits.message_bytes
    names = ("message_rate", "message_rate_bytes")
    return Bounds(
        largest,
        limits.message_rate,
        limits.message_rate_bytes,
        names,
        LINK_BURST if link else OWNER_BURST,
        limits.pause_rate,
        LINK_FLOOD if link else FLOOD,
        LINK_FLOOD_SECONDS if link else FLOOD_SECONDS,
        PACE * limits.message_rate if link else 0.0,
        repays=stepped or not link,
        counts_bytes=not stepped,
    )


class Allowance:
    """The messages and bytes that a Connection may still send. Pure.

    Attributes:
        alone: the bounds of the Connection while its Session has no other owner.
        bounds: those that hold now.
        toggles: pauses and resumes that it may still ask for. Loop only; the rest is used where messages arrive.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.alone = self.bounds = bounds
        self.toggles = TokenBucket(bounds.pause_rate, bounds.pause_rate * TOGGLE_BURST)
        self._messages = TokenBucket(bounds.rate, bounds.rate * bounds.burst)
        self._bytes = TokenBucket(bounds.byte_rate, bounds.byte_rate * bounds.burst)
        self._window: float | None = None  # when the current one began; None while the client keeps to its rate
        self._over = self._over_bytes = 0  # dropped in it
        self._second = float("-inf")  # when the current one began
        self._flood = self._flood_bytes = 0  # dropped in it
        self._flooded = 0  # seconds so far, one after the other

    def hold_to(self, bounds: Bounds) -> None:
        """Let other bounds hold, which differ in what may come at once, in pace and in floods. Any thread."""
        self.bounds = bounds
        self._messages.burst = bounds.rate * bounds.burst
        self._bytes.burst = bounds.byte_rate * bounds.burst

    def take(self, size: int, now: float) -> Verdict:
        """Decide about a message of `size` bytes."""
        size = size if self.bounds.counts_bytes else 0
        if self._messages.take(1, now):
            if self._bytes.take(size, now):
                return Verdict.TAKEN
            self._messages.give(1)
        return self._dropped(size, now)

    def spend(self, size: int) -> None:
        """Use up to so many bytes more, or all that are left."""
        if self.bounds.counts_bytes:
            self._bytes.take_share(1, size)

    def lease(self) -> tuple[int, int]:
        """Hand out messages and bytes to be used without another `take`; what is not used is given back."""
        largest = self.bounds.largest
        size = self._bytes.take_share(1 / 8, largest) if self.bounds.counts_bytes else largest
        return self._messages.take_share(1 / 8, LEASE), size

    def give_back(self, messages: int, size: int) -> None:
        """Take what is left of a lease."""
        self._messages.give(messages)
        if self.bounds.counts_bytes:
            self._bytes.give(size)

    def repay(self, messages: int, size: int, now: float) -> None:
        """Give back what messages and their bytes took: their answers have been sent, so the client waits for us.

        A client that has just sent too much does not wait, and is held to its rate.
        """
        if self._window is None or now - self._window >= 2 * WINDOW:
            self.give_back(messages, size)

    def is_full(self, now: float) -> bool:
        """Return whether a fresh allowance would be the same."""
        buckets = (self._messages, self._bytes, self.toggles)
        listens = self._window is None or now - self._window >= 2 * WINDOW
        return listens and all(each.is_full(now) for each in buckets)

    def error(self, size: int) -> LimitError:
        """Return the error for a client whose message was dropped."""
        bounds = self.bounds
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
            ignored = self._over > most * self.bounds.rate or self._over_bytes > most * self.bounds.byte_rate
            self._window, self._over, self._over_bytes = now, 0, 0
            if ignored and not quiet:
                return Verdict.IGNORED
        self._over += 1
        self._over_bytes += size
        if self._floods(size, now):
            return Verdict.IGNORED
        return Verdict.TOLD if quiet else Verdict.DROPPED

    def _floods(self, size: int, now: float) -> bool:
        """Count a message that is dropped; True where the client has flooded for as long as it may."""
        if (passed := now - self._second) >= 1:
            self._flooded = self._flooded + 1 if self._is_flood(passed) else 0
            self._second, self._flood, self._flood_bytes = now, 0, 0
        self._flood += 1
        self._flood_bytes += size
        if self._flooded + 1 < self.bounds.flood_seconds or not self._is_flood(1.0):
            return False
        self._flooded = self._flood = self._flood_bytes = 0
        return True

    def _is_flood(self, seconds: float) -> bool:
        most = self.bounds.flood * seconds
        return self._flood > most * self.bounds.rate or self._flood_bytes > most * self.bounds.byte_rate


class Allowances:
    """The allowances of a Session's clients. Pure.

    Those of clients that have left are kept until full again: who comes back has what was left. While there are
    several owners, each is held to its bounds in company.
    """

    def __init__(self) -> None:
        self._used: list[Allowance] = []
        self._kept: deque[tuple[Hashable, Allowance]] = deque()

    def take(self, client: Hashable, bounds: Bounds, now: float) -> Allowance:
        """Return the allowance for a client's next Connection: one of its own that was kept, or a fresh one."""
        self._kept = deque(each for each in self._kept if not each[1].is_full(now))
        allowance = self._back(client, bounds) or Allowance(bounds)
        self._used.append(allowance)
        self._hold()
        return allowance

    def _back(self, client: Hashable, bounds: Bounds) -> Allowance | None:
        for kept in self._kept:
            if kept[0] == client and kept[1].alone == bounds:
                self._kept.remove(kept)
                return kept[1]
        return None

    def _hold(self) -> None:
        has_company = sum(not each.alone.pace for each in self._used) > 1
        for each in self._used:
            each.hold_to(each.alone.in_company() if has_company else each.alone)

    def keep(self, client: Hashable, allowance: Allowance) -> None:
        """Keep what a client left; the oldest go, which are the fullest."""
        self._used.remove(allowance)
        self._hold()
        self._kept.append((client, allowance))
        if len(self._kept) > KEPT:
            self._kept.popleft()

    def forget(self) -> None:
        """Drop what is kept: another Session begins."""
        self._kept.clear()


class InboundGate:
    """The entrance of a Connection's messages; called on the one thread where they arrive.

    Args:
        allowance: of the Connection; nobody else uses it meanwhile.
        post: runs a callable on the loop.
        refused: called on the loop with the channel, the error and the head of a message that was dropped.
        ignored: called on the loop when the Connection is to be closed.
    """

    def __init__(
        self,
        allowance: Allowance,
        post: Callable[[Callable[[], None]], None],
        *,
        refused: Callable[[m.ChannelLabel, LivereactorError, bytes], None],
        ignored: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.allowance, self._largest = allowance, allowance.bounds.largest
        self._post, self._refused, self._ignored, self._clock = post, refused, ignored, clock
        self._closed = False
        self._left = self._left_bytes = 0  # of a lease
        # Pairs of counters, each with one writing thread, so that no thread waits for the other.
        self._repaid: int = 0
        self._repaid_bytes: int = 0
        self._taken_back: int = 0
        self._taken_back_bytes: int = 0

    def repay(self, size: int) -> None:
        """Give back what a message of `size` bytes took. Loop only."""
        if self.allowance.bounds.repays:
            self._repaid_bytes += size
            self._repaid += 1

    def close(self) -> None:
        """Admit no more messages, but for a few of a lease."""
        self._closed = True

    def __call__(self, label: str, data: bytes) -> bool:
        """Return whether a message is to be read."""
        left, left_bytes = self._left - 1, self._left_bytes - len(data)
        if left >= 0 and left_bytes >= 0:  # the usual way, without a look at the clock
            self._left, self._left_bytes = left, left_bytes
            return True
        return not self._closed and self._judge(label, data)

    def _judge(self, label: str, data: bytes) -> bool:
        allowance, now, size = self.allowance, self._clock(), len(data)
        allowance.give_back(self._left, self._left_bytes)
        self._left = self._left_bytes = 0
        if self._repaid != self._taken_back:
            repaid, repaid_bytes = self._repaid, self._repaid_bytes
            allowance.repay(repaid - self._taken_back, repaid_bytes - self._taken_back_bytes, now)
            self._taken_back, self._taken_back_bytes = repaid, repaid_bytes
        channel: m.ChannelLabel = m.CONTROL if label == m.CONTROL else m.DATA
        match allowance.take(min(size, self._largest), now):
            case Verdict.TAKEN if size <= self._largest:
                self._left, self._left_bytes = allowance.lease()
                return True
            case Verdict.TAKEN:
                allowance.spend(size - self._largest)
                self._tell(channel, TooLargeError(_too_large(size, self._largest)), data[:HEAD_BYTES])
            case Verdict.DROPPED:
                pass
            case Verdict.TOLD:
                self._tell(channel, allowance.error(size), b"")
            case Verdict.IGNORED:
                self._closed = True
                self._post(self._ignored)
        return False

    def _tell(self, channel: m.ChannelLabel, error: LivereactorError, head: bytes) -> None:
        self._post(lambda: self._refused(channel, error, head))


def _too_large(size: int, largest: int) -> str:
    return f"a message of {size} bytes is over the limit of {largest} for this connection; upload large content"
