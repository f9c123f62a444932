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

    def decode_client(self, label: str, data: bytes, *, limit: int = ...) -> ClientMessage: ...
    def encode_client(self, message: ClientMessage) -> OutgoingFrame | None: ...
    def decode_server(self, label: str, data: bytes, *, limit: int = ...) -> ServerMessage: ...
    def encode_server(self, message: ServerMessage) -> OutgoingFrame | None: ...


CODECS: Final[Mapping[WireFormat, Codec]] = {WireFormat.V0: v0, WireFormat.V1: v1}
