"""The two wire formats side by side, to be picked by what `sniff.format_of` decides. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from livereactor.protocol import v0, v1
from livereactor.protocol.messages import ClientMessage, OutgoingFrame, ServerMessage, WireFormat


class Codec(Protocol):
    """A wire format: bytes of one frame to a message and back; the modules `v0` and `v1` fit by shape."""

    @property
    def TEXT(self) -> bool:  # noqa: N802  # a constant of a module
        """Whether its frames are text frames."""
        ...

    def decode_client(self, label: str, data: bytes, *, limit: int = ..., nodes: int = ...) -> ClientMessage: ...
    def encode_client(self, message: ClientMessage) -> OutgoingFrame | None: ...
    def decode_server(self, label: str, data: bytes, *, limit: int = ...) -> ServerMessage: ...
    def encode_server(self, message: ServerMessage) -> OutgoingFrame | None: ...


CODECS: Final[Mapping[WireFormat, Codec]] = {WireFormat.V0: v0, WireFormat.V1: v1}


_WHITESPACE: Final = b" \t\n\r\v\f"
_LEADING_BYTES: Final = 64  # no client pads; a frame of spaces must not be scanned to its end


def format_of(first_frame: bytes, *, text: bool) -> WireFormat:
    """The format that this frame decides for both channels of its connection.

    Args:
        first_frame: the first whole message on either channel; reassembled, where chunking is on.
        text: it came as a text frame (SCTP PPID 51 or 56).
    """
    if text or first_frame[:_LEADING_BYTES].lstrip(_WHITESPACE)[:1] in (b"{", b"["):
        return WireFormat.V0
    return WireFormat.V1
