"""Which wire format a connection speaks, told by its first frame (section 5.2). Pure."""

from __future__ import annotations

from typing import Final

from livereactor.protocol.messages import WireFormat

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
