"""What answers where a TURN server should be may be anything."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from livereactor.cli.turn_client import relayed_address

HEADER = struct.Struct("!HHI12s")


def answering(answer: bytes, *, signed: bool = False) -> str:
    """The URL of something that answers one request so, behind a header that fits it if `signed`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as channel:
            request = channel.recv(2048)
            head = HEADER.pack(0x0113, len(answer), 0x2112A442, request[8:20]) if signed else b""
            channel.sendall(head + answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"turn:127.0.0.1:{listener.getsockname()[1]}?transport=tcp"


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(20_000), HEADER.pack(3, 0, 0, bytes(12))]
)
def test_what_is_no_turn_server_is_called_so(answer: bytes) -> None:
    with pytest.raises(ValueError, match="not from a TURN server"):
        relayed_address(answering(answer), "user", "password")


@pytest.mark.parametrize("attributes", [b"", b"\x00", b"\x00\x09\x00\x40\x00", b"\x00\x09\x00\x04\x00\x00\x04\x01"])
def test_a_refusal_that_says_too_little_is_none_of_a_turn_server(attributes: bytes) -> None:
    """The last is a 401 without realm and nonce."""
    url = answering(attributes, signed=True)
    with pytest.raises(ValueError, match="not from a TURN server"):
        relayed_address(url, "user", "password")


@pytest.mark.parametrize("answer", [b"", b"\x01\x13\x00"])
def test_what_hangs_up_is_away(answer: bytes) -> None:
    with pytest.raises(OSError, match="closed the connection"):
        relayed_address(answering(answer), "user", "password")


@pytest.mark.parametrize("url", ["stun:a:1", "turn:", "turn:a:b", "turn:a?transport=sctp", "turn:a:1?x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="write 'turn:host:port"):
        relayed_address(url, "user", "password")
