"""Chunk framing: the vectors of protocol.md 5.12, and what a channel must survive."""

from __future__ import annotations

import pytest

from livereactor.base.errors import PeerError, TooLargeError
from livereactor.protocol.chunking import Reassembled, Reassembly, declaration, declared_limit, split

VECTORS = [
    (4, False, "", ["00"]),
    (4, True, "", ["02"]),
    (4, False, "616263", ["00616263"]),
    (4, False, "61626364", ["01616263", "0064"]),
    (4, True, "68656c6c6f", ["0368656c", "026c6f"]),
    (2, True, "e282ac", ["03e2", "0382", "02ac"]),
]


@pytest.mark.parametrize(("chunk", "text", "message", "frames"), VECTORS)
def test_a_message_is_cut_and_joined_as_specified(chunk: int, text: bool, message: str, frames: list[str]) -> None:
    assert [frame.hex() for frame in split(bytes.fromhex(message), text=text, chunk_bytes=chunk)] == frames
    reassembly = Reassembly(limit=100)
    results = [reassembly.add(bytes.fromhex(frame), text=False) for frame in frames]
    assert results == [*[None] * (len(frames) - 1), Reassembled(bytes.fromhex(message), text)]


@pytest.mark.parametrize(
    ("frames", "text"),
    [([b""], False), ([b"\x04a"], False), ([b"\x80"], False), ([b"\x00a"], True), ([b"\x01a", b"\x02b"], False)],
)
def test_broken_framing_is_a_peer_error(frames: list[bytes], text: bool) -> None:
    reassembly = Reassembly(limit=100)
    for frame in frames[:-1]:
        reassembly.add(frame, text=text)
    with pytest.raises(PeerError):
        reassembly.add(frames[-1], text=text)


def test_a_message_over_the_limit_is_skipped_to_its_end() -> None:
    reassembly = Reassembly(limit=3)
    assert reassembly.add(b"\x01abc", text=False) is None
    assert reassembly.add(b"\x01d", text=False) is None
    with pytest.raises(TooLargeError, match="5 bytes is over the limit of 3"):
        reassembly.add(b"\x00e", text=False)
    assert reassembly.add(b"\x00xyz", text=False) == Reassembled(b"xyz", False)


@pytest.mark.parametrize(
    ("attribute", "limit"),
    [
        ("1 max-message-size=67108864", 67108864),
        ("1", 262144),
        ("1 max-message-size=1000;colour=red", 1000),
        ("1 colour=red", 262144),
        ("2 max-message-size=67108864", None),
        ("1 max-message-size=many", None),
        ("1 max-message-size=0", None),
        ("1 nonsense", None),
        ("1 max-message-size=\x1e7108864", 7108864),  # a space to str.strip and none to int
        ("", None),
        (None, None),
    ],
)
def test_the_declaration_reads_as_specified(attribute: str | None, limit: int | None) -> None:
    assert declared_limit(attribute) == limit


def test_our_declaration_reads_back() -> None:
    name, _, value = declaration(67108864).partition(":")
    assert name == "x-reactor-dc-chunking"
    assert declared_limit(value) == 67108864
