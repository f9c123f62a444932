"""The data channels of a Link: messages to frames and back, in the format that the server understands. Loop only."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from livereactor.base.errors import EngineError, LivereactorError, TooLargeError, UsageError
from livereactor.base.limits import KIB
from livereactor.client.errors import ReactorError, error_of
from livereactor.engine.port import Channel, ChannelClosed, ChannelEvent, ChannelOpened, MessageReceived
from livereactor.protocol import messages as m
from livereactor.protocol.codecs import CODECS, format_of
from livereactor.protocol.messages import WireFormat

FALL_BACK: Final = 2.0  # seconds that a server may speak JSON and nothing else, before it is taken to know nothing else

log = structlog.get_logger(__name__)


class Channels:
    """The control channel and the data channel of a Link.

    Args:
        wire: the format to send; JSON, once the server turns out to know no other.
        heard: called with every message.
        changed: called with None when a channel opens, with its label when it closes.
        speaks_json: called when the format changes: the server did not understand earlier messages.
    """

    def __init__(
        self,
        wire: WireFormat,
        heard: Callable[[m.ServerMessage], None],
        changed: Callable[[str | None], None],
        speaks_json: Callable[[], None],
    ) -> None:
        self.wire = wire
        self.faults = Counter[str]()
        self._heard, self._changed, self._speaks_json = heard, changed, speaks_json
        self._open: dict[str, Channel] = {}
        self._is_flat = self._is_closed = False
        self._hears_binary = False
        self._fallback: asyncio.TimerHandle | None = None

    def be_flat(self) -> None:
        """Use JSON and the channel `data` alone, for a server of the flat routes."""
        self._is_flat, self.wire = True, WireFormat.V0

    @property
    def are_open(self) -> bool:
        """True if all needed channels are open."""
        needed = (m.DATA,) if self._is_flat else (m.CONTROL, m.DATA)
        return all(label in self._open for label in needed)

    @property
    def buffered_bytes(self) -> int:
        return sum(channel.buffered_bytes for channel in self._open.values())

    def add(self, channel: Channel) -> None:
        """Listen to one of our channels that has opened; a channel that the server opens by itself is ignored."""
        label = channel.label
        if self._is_closed or label in self._open or label not in (m.CONTROL, m.DATA):
            return
        self._open[label] = channel
        channel.listen(lambda event: self._happened(label, channel, event))
        self._changed(None)

    def say(self, message: m.ClientMessage) -> None:
        """Send a message; see `Link.say`."""
        codec = CODECS[self.wire]
        try:
            frame = codec.encode_client(message)
        except UsageError as error:
            raise ValueError(error.message) from error
        if frame is None or (self._is_flat and frame[0] == m.CONTROL):
            return  # a server of the flat routes starts its tracks by itself
        label, data = frame
        channel = self._open.get(label)
        if channel is None or self._is_closed:
            raise _unsent(f"the channel {label!r} is not open; connect again")
        try:
            channel.send(data, text=codec.TEXT)
        except TooLargeError as error:
            limit = channel.max_message_bytes
            text = f"{_kib(len(data))} exceeds {_kib(limit)}; upload the content and send its FileRef"
            raise error_of("MESSAGE_TOO_LARGE", text, details={"size": len(data), "limit": limit}) from error
        except EngineError as error:
            raise _unsent(error.message) from error

    async def drain(self, timeout: float) -> None:
        """Wait up to `timeout` seconds until all messages have left."""
        unsent = [channel for channel in self._open.values() if channel.is_open and channel.buffered_bytes]
        await asyncio.gather(*(channel.drain(timeout) for channel in unsent), return_exceptions=True)

    def close(self) -> None:
        """Stop listening and sending; the Peer closes the channels themselves."""
        self._is_closed = True
        self._open.clear()
        if self._fallback is not None:
            self._fallback.cancel()

    def _happened(self, label: str, channel: Channel, event: ChannelEvent) -> None:
        if self._is_closed:
            return
        match event:
            case MessageReceived(data, text):
                self._received(label, channel, data, text=text)
            case ChannelClosed() if label == m.DATA or not self._is_flat:
                self._changed(label)
            case ChannelOpened() | ChannelClosed():
                pass

    def _received(self, label: str, channel: Channel, data: bytes, *, text: bool) -> None:
        # By each frame: before the server has heard us, it may have taken us for a listener, in JSON.
        wire = format_of(data, text=text)
        self._notice(wire)
        try:
            message = CODECS[wire].decode_server(label, data, limit=channel.max_message_bytes)
        except LivereactorError as error:
            self._fault(f"{label} {wire.value}", error)
            return
        self._heard(message)

    def _notice(self, wire: WireFormat) -> None:
        if wire is WireFormat.V1:
            self._hears_binary = True
        elif self.wire is WireFormat.V1 and not self._hears_binary and self._fallback is None:
            self._fallback = asyncio.get_running_loop().call_later(FALL_BACK, self._fall_back)

    def _fall_back(self) -> None:
        if self._hears_binary or self._is_closed:
            return
        log.info("the server speaks JSON only; so does this connection from now on")
        self.wire = WireFormat.V0
        self._speaks_json()

    def _fault(self, kind: str, error: LivereactorError) -> None:
        self.faults[kind] += 1
        if self.faults[kind] == 1:
            log.warning("a frame cannot be read; more of its kind are only counted", kind=kind, reason=error.message)


def _unsent(why: str) -> ReactorError:
    return error_of("MESSAGE_SEND_FAILED", why, reason="TRANSPORT_ERROR")


def _kib(size: int) -> str:
    return f"{size / KIB:.0f} KiB" if size >= KIB else f"{size} bytes"
