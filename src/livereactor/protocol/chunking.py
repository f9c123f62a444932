"""Chunk framing of data-channel messages over 256 KiB (docs/protocol.md). Pure.

Each SCTP message is one header byte and a payload, always binary: bit 0 more follows, bit 1 the message was text,
bits 2 to 7 the version, 0. For engines that do not frame by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from livereactor.base.errors import PeerError, TooLargeError
from livereactor.base.limits import Limits

CHUNKING_ATTRIBUTE: Final = "x-reactor-dc-chunking"
DEFAULT_LIMIT: Final = Limits().message_bytes  # of a side that declares no max-message-size
CHUNK_BYTES: Final = 64 * 1024  # header included, as the official native client cuts
_MORE, _TEXT, _VERSION = 0x01, 0x02, 0xFC


def split(message: bytes, *, text: bool, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The frames of one message, `chunk_bytes` each at most, to be sent without another message between them."""
    if chunk_bytes < 2:
        raise ValueError(f"a chunk of {chunk_bytes} bytes has no room for header and payload; want at least 2")
    size, flag = chunk_bytes - 1, _TEXT if text else 0
    for start in range(0, max(len(message), 1), size):
        more = _MORE if start + size < len(message) else 0
        yield bytes((flag | more,)) + message[start : start + size]


@dataclass(frozen=True, slots=True)
class Reassembled:
    """One whole message."""

    data: bytes
    text: bool


class Reassembly:
    """The frames of one channel, in order, back into messages.

    Args:
        limit: bytes of a message; a larger one is skipped to its end and reported, and the channel lives on.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()  # not a list of parts: those of one byte each would cost forty times their size
        self._bytes = 0  # of the message so far, kept or skipped
        self._text: bool | None = None  # None between messages

    def add(self, frame: bytes, *, text: bool) -> Reassembled | None:
        """The message that `frame` ends, None while more is to follow.

        Raises:
            TooLargeError: it ends a message over the limit; go on with the next frame.
            PeerError: it breaks the framing; close the channel.
        """
        flags = _header(frame, text)
        is_text, more = bool(flags & _TEXT), bool(flags & _MORE)
        if self._text is not None and is_text != self._text:
            raise PeerError("a chunked message changed between text and binary; close the channel")
        self._text = is_text
        self._bytes += len(frame) - 1
        if self._bytes <= self._limit:
            self._buffer += memoryview(frame)[1:]
        else:
            self._buffer.clear()
        return None if more else self._finished()

    def _finished(self) -> Reassembled:
        size, message = self._bytes, Reassembled(bytes(self._buffer), bool(self._text))
        self._buffer, self._bytes, self._text = bytearray(), 0, None
        if size > self._limit:
            raise TooLargeError(f"a message of {size} bytes is over the limit of {self._limit}; upload large content")
        return message


def _header(frame: bytes, text: bool) -> int:
    if text:
        raise PeerError("a text frame on a chunked channel; frames are binary")
    if not frame:
        raise PeerError("an empty frame on a chunked channel; each has a header byte")
    if frame[0] & _VERSION:
        raise PeerError(f"chunk framing of version {frame[0] >> 2}; this side speaks version 0")
    return frame[0]


def declared_limit(attribute: str | None) -> int | None:
    """The receive limit that a value of `a=x-reactor-dc-chunking` declares, bytes; None = no chunking.

    Another version or a line that cannot be read counts as not declared; unknown keys are ignored.
    """
    version, _, parameters = (attribute or "").strip().partition(" ")
    if version != "1":
        return None
    limit = DEFAULT_LIMIT
    for parameter in filter(None, (part.strip() for part in parameters.split(";"))):
        key, equals, value = (part.strip() for part in parameter.partition("="))
        if not equals:
            return None
        if key == "max-message-size":
            if not re.fullmatch(r"[1-9][0-9]{0,11}", value):
                return None
            limit = int(value)
    return limit


def with_declared(description: str, limit: int) -> str:
    """The description with `limit` as the receive limit that it declares, where it declares chunking."""
    return re.sub(rf"(?m)^a={CHUNKING_ATTRIBUTE}:[^\r\n]*", f"a={declaration(limit)}", description)


def declaration(limit: int) -> str:
    """The session attribute, without `a=`, by which this side declares chunking and its receive limit."""
    return f"{CHUNKING_ATTRIBUTE}:1 max-message-size={limit}"
