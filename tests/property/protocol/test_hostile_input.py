"""Whatever comes from the network, a parser answers or raises its named error: no crash, no hang, no growth (R2)."""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable

import psutil
import pytest

from livereactor.base.errors import InvalidCommandError, PeerError, TooLargeError
from livereactor.protocol import http, v0, v1
from livereactor.protocol.chunking import Reassembly, declared_limit, split
from livereactor.protocol.codecs import format_of
from livereactor.protocol.json_text import parse_json
from livereactor.protocol.openapi import from_openapi, to_openapi
from livereactor.protocol.playlists import read_playlist
from livereactor.protocol.schema import validate_arguments
from livereactor.protocol.sdp import parse_offer
from tests.unit.protocol.test_playlists import OFFICIAL, URL
from tests.unit.protocol.test_schema import POND
from tests.unit.protocol.test_sdp import OFFER
from tests.unit.protocol.test_wire import CLIENT_V0, CLIENT_V1, CONTROL_V0, SERVER_V0, SERVER_V1

Parser = Callable[[bytes], object]
REFUSALS = (PeerError, InvalidCommandError, TooLargeError)
SLOWEST = 2.0  # seconds of the processor for one input of some kilobytes: generous, since these machines are shared
INTERESTING = [b"", b"\x00", b"\xff\xff\xff\xff\x0f", b"{", b"[" * 50, b'"', b"\\ud800", b"1e999", b"NaN", b"a=", b"\n"]


def pair(decode: Callable[[str, bytes], object]) -> Parser:
    """One parser of both channels: the first byte picks the label."""
    return lambda data: decode("control" if data[:1] < b"@" else "data", data[1:])


def read_sdp(data: bytes) -> object:
    text = data.decode("utf-8", "replace")
    offer = parse_offer(text)
    return offer.ice_ufrag, offer.video_codecs, [(section.direction, section.codecs) for section in offer.media]


def read_body(data: bytes) -> object:
    kinds = (http.StartSession, http.Offer, http.Candidates, http.UploadRequest, http.StopSession)
    return http.read_body(kinds[data[0] % len(kinds)] if data else http.Offer, data[1:])


def read_schema(data: bytes) -> object:
    return to_openapi(from_openapi(parse_json(data, "the schema", limit=1 << 20)))


def read_arguments(data: bytes) -> object:
    command = POND.commands[data[0] % len(POND.commands)] if data else POND.commands[0]
    arguments = parse_json(data[1:], "the arguments", limit=1 << 20)
    return validate_arguments(command, arguments) if isinstance(arguments, dict) else None


def reassemble(data: bytes) -> object:
    """Frames of up to eight bytes, the length of each in its first byte."""
    reassembly, whole, at = Reassembly(limit=64), 0, 0
    while at < len(data):
        size = data[at] % 9
        whole += reassembly.add(data[at + 1 : at + 1 + size], text=False) is not None
        at += 1 + size
    return whole


def labelled(label: str, frame: bytes) -> bytes:
    return (b"!" if label == "control" else b"d") + frame


V0_CLIENT = [labelled("data", text.encode()) for text, _ in CLIENT_V0]
V0_CLIENT += [labelled("control", text.encode()) for text, _ in CONTROL_V0]
ARGUMENTS = [
    b'\x00{"x":0.5,"y":1,"strength":2.0}',
    b'\x01{"steps":3}',
    b'\x02{"prompt":"hi"}',
    b'\x03{"brush":{"size":3,"at":{"x":1,"y":2},"moods":["calm"]},"mood":"wild"}',
    b'\x04{"image":{"upload_id":"u","size":3},"others":[{"upload_id":"v"}]}',
]
BODIES = [
    b'\x00{"extra_args":{"a":1},"generation":"stepped","steps":3,"starting_input":{"state":{"a":1}}}',
    b'\x01{"sdp_offer":"v=0","track_mapping":[{"mid":"0","name":"a","kind":"video","direction":"recvonly"}]}',
    b'\x02{"candidates":[{"candidate":"candidate:1","sdp_mid":"0","sdp_mline_index":0}],"is_final":true}',
    b'\x03{"name":"a.txt","size":5,"mime_type":"text/plain"}',
    b'\x04{"reason":"x","moderate":true}',
]
CHUNKED = [bytes((len(frame),)) + frame for frame in split(b"hello, world", text=True, chunk_bytes=8)]
CHUNKS = [b"".join(CHUNKED), b"\x03\x01ab\x02\x00c"]
PARSERS: dict[str, tuple[Parser, list[bytes]]] = {
    "v0 of a client": (pair(v0.decode_client), V0_CLIENT),
    "v0 of a server": (pair(v0.decode_server), [labelled("data", text.encode()) for text, _ in SERVER_V0]),
    "v1 of a client": (pair(v1.decode_client), [labelled(c, bytes.fromhex(f)) for c, f, _ in CLIENT_V1]),
    "v1 of a server": (pair(v1.decode_server), [labelled(c, bytes.fromhex(f)) for c, f, _ in SERVER_V1]),
    "sniffing": (lambda data: format_of(data, text=False), V0_CLIENT),
    "chunks": (reassemble, CHUNKS),
    "chunk declaration": (lambda data: declared_limit(data.decode("latin-1")), [b"1 max-message-size=67108864;a=b"]),
    "offer": (read_sdp, [OFFER.encode()]),
    "bodies": (read_body, BODIES),
    "schema": (read_schema, [json.dumps(to_openapi(POND)).encode()]),
    "arguments": (read_arguments, ARGUMENTS),
    "playlist": (lambda data: read_playlist(data, URL), [OFFICIAL]),
}


def mutated(dice: random.Random, seeds: list[bytes]) -> bytes:
    """Random bytes now and then; mostly a valid input with bytes changed, cut, doubled, or spliced with another."""
    if dice.random() < 0.1:
        return dice.randbytes(dice.randrange(40))
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0:
                data[at : at + 1] = bytes((dice.randrange(256),))
            case 1:
                del data[at : at + dice.randint(1, 8)]
            case 2:
                data[at:at] = dice.choice(INTERESTING)
            case 3:
                data[at:at] = data[at : at + dice.randint(1, 32)]
            case _:
                other = dice.choice(seeds)
                data[at:] = other[dice.randrange(len(other) + 1) :]
    return bytes(data)


def refusal(parse: Parser, data: bytes) -> str | None:
    """The sentence that refuses `data`, None when it was taken; anything else than a refusal fails the test."""
    try:
        parse(data)
    except REFUSALS as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} for {data!r}") from error
    return None


def feed(name: str, count: int, seed: int) -> tuple[int, float]:
    """How many of `count` inputs were refused, and the longest time one took, in seconds."""
    parse, seeds = PARSERS[name]
    dice, refused, slowest = random.Random(f"{name} {seed}"), 0, 0.0
    for _ in range(count):
        data = mutated(dice, seeds)
        started = time.thread_time()
        sentence = refusal(parse, data)
        slowest = max(slowest, time.thread_time() - started)
        refused += sentence is not None
        assert sentence is None or len(sentence) < 1000, data
    return refused, slowest


@pytest.mark.parametrize("name", PARSERS)
def test_no_input_does_worse_than_a_named_refusal(name: str) -> None:
    refused, slowest = feed(name, count=1500, seed=1)
    assert slowest < SLOWEST
    if name not in ("sniffing", "chunk declaration"):
        assert refused > 0, "the mutations broke nothing: they test nothing"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_inputs_leave_no_trace() -> None:
    each = 1_000_000 // len(PARSERS) + 1
    process = psutil.Process()
    for name in PARSERS:
        feed(name, count=2_000, seed=0)  # caches and arenas reach their size
    gc.collect()
    before = process.memory_info().rss
    for name in PARSERS:
        _, slowest = feed(name, count=each, seed=2)
        assert slowest < SLOWEST, name
    gc.collect()
    assert process.memory_info().rss - before < 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("v0 of a client", b'd{"scope":"application","data":{"type":"a","data":' + b"[" * 100_000),
        ("v0 of a client", b"d" + b"9" * 250_000),
        ("v0 of a client", b'd{"a":"' + b"\\u0000" * 40_000 + b'"}'),
        ("v1 of a client", b"d" + b"\x52\x80\x80\x10" + b"\x12" * 200_000),
        ("offer", b"v=0\r\n" + b"a=\r\n" * 60_000 + b"m=video 9 X " + b"1 " * 1000 + b"\r\na=mid:0\r\n"),
        ("offer", OFFER.encode() + b"m=video 9 X " + b"96 " * 80_000 + b"\r\na=mid:9\r\n"),
        ("offer", b"v=0\r\n" + b"".join(b"m=video 9 X 96\r\na=mid:%d\r\n" % n for n in range(5_000))),
        ("offer", b"v=0\r\nm=video 9 X " + b" ".join(b"%d" % n for n in range(40_000)) + b"\r\na=mid:0\r\n"),
        ("schema", b'{"paths":{' + b",".join(b'"/events/a%d":{}' % n for n in range(10_000)) + b"}}"),
        ("arguments", b'\x03{"brush":' + b'{"at":' * 30 + b"1" + b"}" * 31),
        ("bodies", b'\x02{"candidates":[' + b",".join([b"{}"] * 100_000) + b"]}"),
    ],
)
def test_a_huge_input_is_answered_in_time(name: str, data: bytes) -> None:
    started = time.thread_time()
    refusal(PARSERS[name][0], data)
    assert time.thread_time() - started < SLOWEST
