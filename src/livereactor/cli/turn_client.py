"""Minimal TURN client (RFC 8656) for `livereactor doctor`: allocates a relay and releases it at once."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

_URL: Final = re.compile(r"(turns?):(\[[0-9a-fA-F:.]+\]|[^:?\s]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?")
_NO_SERVER: Final = "the answer is not from a TURN server"
_TIMEOUT: Final = 3.0  # seconds
_TRIES: Final = 3  # over UDP, within that time
_MAGIC: Final = 0x2112A442  # RFC 8489, section 5
_HEADER: Final = struct.Struct("!HHI12s")
_ALLOCATE, _REFRESH, _ERROR = 0x0003, 0x0004, 0x0110  # message types; _ERROR is added to the request's
_USERNAME, _INTEGRITY, _ERROR_CODE, _REALM, _NONCE = 0x0006, 0x0008, 0x0009, 0x0014, 0x0015  # attribute types
_LIFETIME, _RELAYED, _TRANSPORT = 0x000D, 0x0016, 0x0019
_UNAUTHORIZED: Final = 401
_UDP: Final = struct.pack("!B3x", 17)


class RelayRefusedError(Exception):
    """The server refused the relay.

    Attributes:
        code: error code of RFC 8656, section 19; 401 = wrong credentials.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"the server refuses with {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class _Answer:
    kind: int
    attributes: Mapping[int, bytes]

    def code(self) -> int:
        """Return the error code, or 0 if the answer is not an error."""
        if self.kind & _ERROR != _ERROR:
            return 0
        value = self.take(_ERROR_CODE).ljust(4, b"\0")
        if not value[2]:
            raise ValueError(_NO_SERVER)
        return (value[2] & 7) * 100 + value[3]

    def take(self, name: int) -> bytes:
        if name not in self.attributes:
            raise ValueError(_NO_SERVER)
        return self.attributes[name]


def relayed_address(url: str, username: str, password: str) -> str:
    """Return the address from which the server would relay, and release the relay.

    Args:
        url: such as `turn:host:port?transport=udp`.

    Raises:
        RelayRefusedError: the server rejects the credentials or has no relay left.
        OSError: no answer.
        ValueError: `url` is malformed, or the answer is not from a TURN server.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(f"{url!r} is not a TURN server; write 'turn:host:port?transport=udp'")
    scheme, host, port, transport = match.groups()
    is_tls = scheme == "turns"
    place = (host.strip("[]"), int(port or (5349 if is_tls else 3478)))
    with closing(_dial(place, is_stream=is_tls or transport == "tcp", is_tls=is_tls)) as channel:
        answer, shown = _asked(channel, _ALLOCATE, [(_TRANSPORT, _UDP)]), None
        if answer.code() == _UNAUTHORIZED:  # the usual first answer, which contains what to sign
            shown = _Shown(username, password, answer.take(_REALM), answer.take(_NONCE))
            answer = _asked(channel, _ALLOCATE, [(_TRANSPORT, _UDP)], shown)
        if code := answer.code():
            raise RelayRefusedError(code)
        _asked(channel, _REFRESH, [(_LIFETIME, bytes(4))], shown)
        return _address(answer.take(_RELAYED))


@dataclass(frozen=True, slots=True)
class _Shown:
    """Long-term credentials (RFC 8489, section 9.2)."""

    username: str
    password: str
    realm: bytes
    nonce: bytes

    def sign(self, kind: int, transaction: bytes, attributes: bytes) -> bytes:
        named = [(_USERNAME, self.username.encode()), (_REALM, self.realm), (_NONCE, self.nonce)]
        attributes += b"".join(_attribute(*each) for each in named)
        # The scheme requires MD5. The signature counts into the length too (RFC 8489, section 14.5).
        key = hashlib.md5(b":".join((self.username.encode(), self.realm, self.password.encode()))).digest()
        signed = _HEADER.pack(kind, len(attributes) + 24, _MAGIC, transaction) + attributes
        return attributes + _attribute(_INTEGRITY, hmac.new(key, signed, hashlib.sha1).digest())


def _dial(place: tuple[str, int], *, is_stream: bool, is_tls: bool) -> socket.socket:
    if is_stream:
        channel = socket.create_connection(place, timeout=_TIMEOUT)
        return ssl.create_default_context().wrap_socket(channel, server_hostname=place[0]) if is_tls else channel
    family, kind, protocol, _, address = socket.getaddrinfo(*place, type=socket.SOCK_DGRAM)[0]
    channel = socket.socket(family, kind, protocol)
    channel.settimeout(_TIMEOUT / _TRIES)
    channel.connect(address)
    return channel


def _asked(
    channel: socket.socket, kind: int, attributes: Sequence[tuple[int, bytes]], shown: _Shown | None = None
) -> _Answer:
    transaction = secrets.token_bytes(12)
    body = b"".join(_attribute(*each) for each in attributes)
    if shown is not None:
        body = shown.sign(kind, transaction, body)
    request = _HEADER.pack(kind, len(body), _MAGIC, transaction) + body
    is_stream = channel.type == socket.SOCK_STREAM
    for left in reversed(range(1 if is_stream else _TRIES)):
        channel.sendall(request)
        try:
            return _read(_message(channel) if is_stream else channel.recv(2048), transaction)
        except TimeoutError:
            if not left:
                raise TimeoutError("no answer") from None
    raise AssertionError("the last try returns or raises")


def _message(channel: socket.socket) -> bytes:
    """Read one message from a stream."""
    head = _exactly(channel, _HEADER.size)
    _, size, magic, _ = _HEADER.unpack(head)
    if magic != _MAGIC:  # then its size means nothing either
        raise ValueError(_NO_SERVER)
    return head + _exactly(channel, size)


def _exactly(channel: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = channel.recv(size - len(found))
        if not piece:
            raise ConnectionResetError("the server closed the connection")
        found += piece
    return found


def _read(message: bytes, transaction: bytes) -> _Answer:
    kind, size, magic, named = _HEADER.unpack_from(message.ljust(_HEADER.size, b"\0"))
    if magic != _MAGIC or named != transaction:
        raise ValueError(_NO_SERVER)
    attributes: dict[int, bytes] = {}
    rest = message[_HEADER.size : _HEADER.size + size]
    while len(rest) >= 4:
        name, length = struct.unpack_from("!HH", rest)
        attributes.setdefault(name, rest[4 : 4 + length])
        rest = rest[4 + length + -length % 4 :]
    return _Answer(kind, attributes)


def _attribute(name: int, value: bytes) -> bytes:
    return struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)


def _address(value: bytes) -> str:
    """Decode an XOR-RELAYED-ADDRESS (RFC 8489, section 14.2); always IPv4, as we request no IPv6 relay."""
    return str(ipaddress.IPv4Address(int.from_bytes(value[4:8]) ^ _MAGIC))
