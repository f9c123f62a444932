"""Messages received on a data channel, on their way to the listener: in order, and bounded.

Shared by the adapters; touches neither engine. Loop only, but for `arrive`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, TypeAlias

import structlog

from livereactor.base.limits import MIB
from livereactor.engine.port import Admit, ChannelClosed, ChannelEvent, ChannelOpened, MessageReceived

# SCTP is acknowledged by the engine, not by us, so a client that outruns the loop is not slowed down. One chunked
# message may be as large as the bound, hence what waits is compared and not what it would become.
WAITING_BYTES: Final = 64 * MIB
WAITING_MESSAGES: Final = 8192

Post: TypeAlias = Callable[[Callable[[], None]], None]

log = structlog.get_logger("livereactor.engine")


class OpenedChannels:
    """The channels that the other side has opened in the life of a peer. Pure.

    Args:
        most: as `PeerConfig.data_channels` says.
        fail: called with the reason at the first channel past it.
    """

    def __init__(self, most: int, fail: Callable[[str], None]) -> None:
        self._most, self._fail = most, fail
        self._count = 0

    def takes(self) -> bool:
        """Count a channel; return whether it is one of those that may be opened."""
        self._count += 1
        if self._count == self._most + 1:
            self._fail(f"the other side opened more than {self._most} data channels (data_channels); use two")
        return self._count <= self._most


class InboundChannel(ABC):
    """One end of a channel as far as it listens.

    Args:
        label: the name both ends know it by.
        opened: called on the loop when the channel can send.
        closed: called on the loop when it is closed, once; not where it was cut.
        admit: of the Peer's configuration.
    """

    def __init__(
        self, label: str, opened: Callable[[], None], closed: Callable[[], None], admit: Admit | None = None
    ) -> None:
        self.label = label
        self._admit = admit
        self._opened, self._closed = opened, closed
        self._listener: Callable[[ChannelEvent], None] | None = None
        self._unheard: list[ChannelEvent] = []
        self._is_open = self._is_closed = False
        # Two pairs of counters, each with one writing thread, so that no thread waits for the other.
        self._arrived = self._arrived_bytes = 0  # where messages arrive
        self._heard = self._heard_bytes = 0  # on the loop
        self._flooded = False

    @abstractmethod
    def close(self) -> None:
        """Close the channel; ChannelClosed follows."""

    def listen(self, events: Callable[[ChannelEvent], None]) -> None:
        """Deliver events to `events`, those kept so far first."""
        self._listener = events
        unheard, self._unheard = self._unheard, []
        for event in unheard:
            self._hand_over(events, event)

    def cut(self) -> None:
        """Let go of everything; no event comes any more."""
        self._is_closed = True
        self._listener = None
        self._unheard.clear()
        self._opened = self._closed = _nothing

    def arrive(self, message: MessageReceived, post: Post) -> None:
        """A message came, on any one thread; `post` runs a callable on the loop, in order."""
        if self._flooded or (self._admit is not None and not self._admit(self.label, message.data)):
            return
        messages, size = self._arrived - self._heard, self._arrived_bytes - self._heard_bytes
        if messages >= WAITING_MESSAGES or size >= WAITING_BYTES:
            self._flooded = True
            post(lambda: self._give_up(messages, size))
            return
        self._arrived += 1
        self._arrived_bytes += len(message.data)
        post(lambda: self._deliver(message))

    def _give_up(self, messages: int, size: int) -> None:
        if not self._is_closed:
            log.warning(
                "channel closed: messages arrive faster than they are handled",
                channel=self.label,
                messages_waiting=messages,
                bytes_waiting=size,
            )
            self.close()

    def on_open(self) -> None:
        """The channel can send; a second time does nothing."""
        if not self._is_open and not self._is_closed:
            self._is_open = True
            self._opened()
            self._deliver(ChannelOpened())

    def _on_close(self) -> None:
        if not self._is_closed:
            self._deliver(ChannelClosed())
            self._is_closed = True
            self._closed()

    def _deliver(self, event: ChannelEvent) -> None:
        if self._is_closed:
            return
        if self._listener is None:
            self._unheard.append(event)
        else:
            self._hand_over(self._listener, event)

    def _hand_over(self, listener: Callable[[ChannelEvent], None], event: ChannelEvent) -> None:
        if isinstance(event, MessageReceived):
            self._heard += 1
            self._heard_bytes += len(event.data)
        listener(event)


def _nothing() -> None:
    """Do nothing: the listener once the channel is cut."""
