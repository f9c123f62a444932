"""Messages of data channels, on both sides and in both wire formats; chunks; tags of frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from livereactor.base.errors import PeerError, TooLargeError
from livereactor.base.limits import Limits
from livereactor.engine.aiortc.frame_tags import append_tag, split_tag
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.protocol.chunking import CHUNK_BYTES, Reassembly, declared_limit, split
from livereactor.protocol.codecs import Codec, format_of
from tests.fuzz.promises import Target

SMALL: Final = 256  # bytes of a chunked message: its bound must be in reach of an input


def _labelled(data: bytes) -> tuple[m.ChannelLabel, bytes]:
    """The first byte picks the channel."""
    return (m.CONTROL if data[:1] < b"@" else m.DATA), data[1:]


def _client(codec: Codec) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        label, frame = _labelled(data)
        found = codec.decode_client(label, frame, limit=Limits().message_bytes, nodes=Limits().json_nodes)
        again = codec.encode_client(found) if codec is v1 or not _has_no_request_id(found) else None
        if again is not None:
            assert repr(codec.decode_client(*again)) == repr(found)
        return found, format_of(frame, text=codec.TEXT), v1.request_id_of(frame)

    return read


def _has_no_request_id(found: m.ClientMessage) -> bool:
    return isinstance(found, m.PublishTrack) and found.request_id is None


def _server(codec: Codec) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        label, frame = _labelled(data)
        found = codec.decode_server(label, frame)
        again = codec.encode_server(found)
        if again is not None:
            codec.decode_server(*again)
        return found

    return read


def _chunks(data: bytes) -> object:
    """Frames, the length of each in its first byte; between them no more is kept than a message may have."""
    reassembly, whole, at = Reassembly(limit=SMALL), list[bytes](), 0
    while at < len(data):
        size = data[at]
        try:
            found = reassembly.add(data[at + 1 : at + 1 + size], text=False)
        except TooLargeError:  # reported, and the channel lives on
            found = None
        if found is not None:
            assert len(found.data) <= SMALL
            whole.append(found.data)
            other, last = Reassembly(limit=SMALL), None
            for frame in split(found.data, text=found.text, chunk_bytes=max(2, size % CHUNK_BYTES)):
                assert last is None
                last = other.add(frame, text=False)
            assert last == found
        at += 1 + size
    return whole, declared_limit(data.decode("latin-1"))


def _frame_tag(data: bytes) -> object:
    picture, tag = split_tag(data)
    assert data.startswith(picture)
    if tag is not None:
        assert split_tag(append_tag(picture, tag)) == (picture, tag)
    return picture, tag


TARGETS: Final = {
    "v0_client": Target("v0_client", _client(v0)),
    "v0_server": Target("v0_server", _server(v0)),
    "v1_client": Target("v1_client", _client(v1)),
    "v1_server": Target("v1_server", _server(v1)),
    "chunks": Target("chunks", _chunks, (PeerError, TooLargeError)),
    "frame_tag": Target("frame_tag", _frame_tag, longest=512),
}
