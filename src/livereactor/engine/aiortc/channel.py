"""Data channels of aiortc. All on the loop: aiortc has no threads here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiortc import RTCDataChannel, RTCSctpTransport

from livereactor.base.errors import EngineError, PeerError, TooLargeError
from livereactor.base.limits import MIB, Limits
from livereactor.engine.channel_inbound import InboundChannel, OpenedChannels
from livereactor.engine.port import MessageReceived, PeerConfig
from livereactor.protocol.chunking import Reassembly, split

MAX_BUFFERED_BYTES: Final = 8 * MIB  # the same as the other adapter's: seconds of delay already
DRAIN_STEP: Final = 0.005  # seconds; aiortc has no event for "left", only for "handed to SCTP"
WEBRTC_STRING, WEBRTC_BINARY, WEBRTC_STRING_EMPTY, WEBRTC_BINARY_EMPTY = 51, 53, 56, 57  # RFC 8831, section 8
WEBRTC_DCEP, DATA_CHANNEL_OPEN = 50, b"\x03"  # RFC 8832, section 8.2
# Of messages that have not arrived whole, or wait behind one that was lost. An honest sender stays below aiortc's
# receive window, 1 MiB; aiortc keeps what comes beyond it.
PARTIAL_BYTES: Final = 2 * MIB
PARTIAL_FRAGMENTS: Final = 32_768
# Of one message: aiortc looks at all that came of it with each that arrives. 256 KiB are 230 of the usual size.
MESSAGE_FRAGMENTS: Final = 2048


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """The largest messages that the other side takes, bytes; `chunked_bytes` is None without chunking."""

    plain_bytes: int = Limits().message_bytes
    chunked_bytes: int | None = None


class AiortcChannel(InboundChannel):
    """Fits the Protocol `Channel` in port.py.

    Args:
        native: aiortc's channel.
        limits: largest messages, and whether the channel is chunked (docs/protocol.md).
        config: of the Peer.
        opened: called when the channel can send.
        closed: called when it is closed.
    """

    def __init__(
        self,
        native: RTCDataChannel,
        limits: MessageLimits,
        config: PeerConfig,
        opened: Callable[[AiortcChannel], None],
        closed: Callable[[AiortcChannel], None],
    ) -> None:
        super().__init__(native.label, lambda: opened(self), lambda: closed(self), config.admit)
        self._native, self._limits = native, limits
        self._reassembly = Reassembly(config.receive_bytes)
        native.on("open", self.on_open)
        native.on("close", self._on_close)

    @property
    def is_open(self) -> bool:
        """Whether `send` takes messages."""
        return self._is_open and not self._is_closed and self._native.readyState == "open"

    @property
    def max_message_bytes(self) -> int:
        """Largest message `send` takes."""
        return self._limits.chunked_bytes or self._limits.plain_bytes

    @property
    def buffered_bytes(self) -> int:
        """Bytes not sent yet: aiortc's own count leaves out what SCTP has cut into chunks and not sent."""
        sctp: Any = self._native.transport
        chunks = sum(len(chunk.user_data) for chunk in sctp._outbound_queue if chunk.stream_id == self._native.id)
        return self._native.bufferedAmount + chunks

    def negotiated(self, limits: MessageLimits) -> None:
        """Set the largest messages that the other side takes, known once its description is."""
        self._limits = limits

    def send(self, data: bytes, *, text: bool) -> None:
        """Queue one message."""
        if len(data) > self.max_message_bytes:
            raise TooLargeError(
                f"a message of {len(data)} bytes is over the limit of {self.max_message_bytes} on channel"
                f" {self.label!r}; use an upload"
            )
        if not self.is_open:
            raise EngineError(f"channel {self.label!r} is not open; wait until it opens, or connect again")
        chunked = self._limits.chunked_bytes is not None
        # A chunked message may be larger than the buffer: it goes where nothing else waits.
        if self.buffered_bytes and self.buffered_bytes + len(data) > MAX_BUFFERED_BYTES:
            raise EngineError(f"channel {self.label!r} is full; the receiver is too slow, drain it first")
        for frame in split(data, text=text) if chunked else (data,):
            self._queue(frame, text=text and not chunked)

    def _queue(self, data: bytes, *, text: bool) -> None:
        """Queue a message for SCTP. aiortc's own `send` takes text only as `str`, and would have to encode it again."""
        sctp: Any = self._native.transport
        empty = (WEBRTC_STRING_EMPTY if text else WEBRTC_BINARY_EMPTY, b"\0")
        protocol, payload = (WEBRTC_STRING if text else WEBRTC_BINARY, data) if data else empty
        native: Any = self._native
        native._addBufferedAmount(len(payload))
        sctp._data_channel_queue.append((native, protocol, payload))
        self._flushing = asyncio.ensure_future(sctp._data_channel_flush())

    async def drain(self, timeout: float) -> bool:
        """True once everything queued has left, False after `timeout` seconds or when closed."""
        try:
            async with asyncio.timeout(timeout):
                while self.is_open and self.buffered_bytes:  # noqa: ASYNC110  (see DRAIN_STEP)
                    await asyncio.sleep(DRAIN_STEP)
        except TimeoutError:
            return False
        return self.is_open

    def close(self) -> None:
        """Close the channel; what was sent before still leaves, then ChannelClosed follows."""
        if not self._is_closed:
            self._native.close()

    def receive(self, data: bytes, text: bool) -> None:
        """One message of SCTP has arrived; a broken chunk closes the channel, one too large is skipped."""
        if self._limits.chunked_bytes is None:
            self.arrive(MessageReceived(data, text), _at_once)
            return
        try:
            whole = self._reassembly.add(data, text=text)
        except PeerError:
            self.close()
        except TooLargeError:
            if self._admit is not None:
                self._admit(self.label, data)  # a frame without an end costs what messages cost
        else:
            if whole is not None:
                self.arrive(MessageReceived(whole.data, whole.text), _at_once)


def _at_once(callback: Callable[[], None]) -> None:
    """aiortc has no threads here: what arrives is on the loop already."""
    callback()


def route_messages(sctp: RTCSctpTransport, channels: Mapping[int, AiortcChannel], opened: OpenedChannels) -> None:
    """Deliver messages by stream id to our channels, as bytes: aiortc decodes text itself, and one message that is no
    UTF-8 or one channel opened twice ends its whole connection.

    Args:
        sctp: the connection's.
        channels: by stream id; filled as channels open.
        opened: of the peer.
    """
    native: Any = sctp
    receive = native._data_channel_receive

    async def routed(stream_id: int, protocol: int, data: bytes) -> None:
        channel = channels.get(stream_id)
        if protocol == WEBRTC_DCEP and data[:1] == DATA_CHANNEL_OPEN and not opened.takes():
            return
        if channel is None or protocol not in (WEBRTC_STRING, WEBRTC_BINARY, WEBRTC_STRING_EMPTY, WEBRTC_BINARY_EMPTY):
            try:
                await receive(stream_id, protocol, data)
            except (AssertionError, UnicodeDecodeError):
                return
        else:
            empty = protocol in (WEBRTC_STRING_EMPTY, WEBRTC_BINARY_EMPTY)
            channel.receive(b"" if empty else data, protocol in (WEBRTC_STRING, WEBRTC_STRING_EMPTY))

    native._data_channel_receive = routed


def bound_partial_messages(sctp: RTCSctpTransport, fail: Callable[[str], None]) -> None:
    """End the peer of a sender that sends more of unfinished messages than a receive window holds.

    Args:
        sctp: the connection's.
        fail: called with the reason, once.
    """
    native: Any = sctp
    receive, window = native._receive_data_chunk, native._advertised_rwnd
    fragments, failed = 0, False

    async def bounded(chunk: Any) -> None:
        nonlocal fragments, failed
        if failed:
            return
        before = len(_waiting(native, chunk.stream_id))
        await receive(chunk)
        waiting = _waiting(native, chunk.stream_id)
        fragments += len(waiting) - before
        is_endless = len(waiting) >= MESSAGE_FRAGMENTS and waiting[0].stream_seq == waiting[-1].stream_seq
        if is_endless or fragments > PARTIAL_FRAGMENTS or window - native._advertised_rwnd > PARTIAL_BYTES:
            failed = True
            fail("the other side sent more of an unfinished message than any receiver takes; send it in parts")

    native._receive_data_chunk = bounded


def _waiting(native: Any, stream_id: int) -> Sequence[Any]:
    """Return the fragments of a stream that wait for others."""
    stream = native._inbound_streams.get(stream_id)
    return () if stream is None else stream.reassembly
