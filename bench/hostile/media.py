"""Attacks on the media side: offers that cost sockets or time, and packets at the ports of an established peer."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import closing

from bench.hostile.asking import ask, http
from bench.hostile.attack import BOTH, Attack, Run, Tally, Target, paced, words
from tests.hostile.offers import good, offer, section

OFFERS = "202 400 409 429 503"
PACKETS = 2_000.0  # a second: 16 Mbit/s of the largest; floods that fill a line are stopped in front of a server
MAGIC = 0x2112A442
DICE = random.Random(1)


def offering(texts: Sequence[str], rate: float) -> Run:
    """Return an attack of a viewer who posts these offers, `rate` a second, each on a connection of its own."""

    async def attack(target: Target, tally: Tally) -> None:
        base = f"/sessions/{target.session}/transport/webrtc/connections"
        async with http(target, target.watch[0]) as client, asyncio.TaskGroup() as group:
            asking = asyncio.Semaphore(16)

            async def one(number: int) -> None:
                async with asking:
                    body = {"sdp_offer": texts[number % len(texts)], "want_answer": True}
                    await ask(client, tally, "POST", f"{base}/{2000 + number % 2000}/sdp_params", json=body)

            async for number in paced(rate):
                if not asking.locked():
                    group.create_task(one(number))

    return attack


def pelting(packet: Callable[[int], bytes]) -> Run:
    """Return an attack of packets at every UDP port by which the owner's session is connected."""

    async def attack(target: Target, tally: Tally) -> None:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as end:
            end.setblocking(False)
            end.bind(("", 0))  # the system's own address: media may come from anywhere
            async for number in paced(PACKETS):
                try:
                    end.sendto(packet(number), target.media[number % len(target.media)])
                except (BlockingIOError, ConnectionRefusedError):
                    continue
                tally.sent += 1

    return attack


def stun(number: int) -> bytes:
    """Return a binding request (RFC 8489) of nobody whom the server knows, or one that is cut short."""
    name = b"L4Px:" + number.to_bytes(4, "big").hex().encode()
    name += bytes(-len(name) % 4)
    username = struct.pack(">HH", 0x0006, len(name)) + name
    integrity = struct.pack(">HH", 0x0008, 20) + DICE.randbytes(20)
    body = username + integrity
    packet = struct.pack(">HHI", 0x0001, len(body), MAGIC) + DICE.randbytes(12) + body
    return packet[: DICE.randrange(len(packet))] if number % 4 == 0 else packet


def rtp(number: int) -> bytes:
    """Return RTP (RFC 3550) that nobody encrypted, with headers that promise more than there is."""
    first = 0x80 | DICE.choice((0x00, 0x0F, 0x10, 0x20, 0x3F))  # contributors, an extension, padding
    header = struct.pack(">BBHII", first, DICE.choice((96, 97, 0xE0)), number & 0xFFFF, number * 3000 & 0xFFFFFFFF, 1)
    extension = struct.pack(">HH", 0xBEDE, DICE.choice((0, 1, 0xFFFF)))
    return header + extension + DICE.randbytes(DICE.randrange(1100))


def rtcp(number: int) -> bytes:
    """Return RTCP whose counts and lengths are wrong: reports, feedback, goodbyes and key frame requests."""
    kind = DICE.choice((200, 201, 202, 203, 204, 205, 206, 207))
    length = DICE.choice((0, 1, 6, 0xFFFF))
    return struct.pack(">BBHI", 0x80 | number % 32, kind, length, 1) + DICE.randbytes(DICE.randrange(200))


def dtls(number: int) -> bytes:
    """Return a ClientHello (RFC 9147) with a session of its own, or a fragment of one that never comes whole."""
    body = b"\xfe\xfd" + DICE.randbytes(32) + b"\x00\x00\x00\x02\xc0\x2b\x01\x00"
    whole = len(body) if number % 2 else 0x00FFFF
    message = b"\x01" + whole.to_bytes(3, "big") + bytes(2) + bytes(3) + len(body).to_bytes(3, "big") + body
    return b"\x16\xfe\xfd" + bytes(2) + number.to_bytes(6, "big") + len(message).to_bytes(2, "big") + message


def _full(sections: int) -> str:
    """An offer that is legal and as large as it may be: every section with codecs of all numbers, and extensions."""
    lines = [
        line
        for payload in range(96, 128)
        for line in (
            f"a=rtpmap:{payload} VP8/90000",
            f"a=fmtp:{payload} max-fs=12288;max-fr=60;x-google-min-bitrate=100;x-google-max-bitrate=9000",
            f"a=rtcp-fb:{payload} nack pli",
        )
    ]
    lines += [f"a=extmap:{number} urn:example:extension:{'x' * 60}:{number}" for number in range(1, 15)]
    head = f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, range(96, 128)))}"
    more = [[head, *section("video", f"v{number}")[1:-1], *lines] for number in range(sections)]
    return good(*more, bundles=(" ".join(["0", "d", *(f"v{number}" for number in range(sections))]),))


SOUNDS = [section("audio", f"x{number}") for number in range(98)]
OUTSIDE = good(*SOUNDS[:14])
MANY = good(*SOUNDS)
BROKEN = (
    good().replace("a=rtcp-mux", "a=x:" + "\x0bm=audio 9 UDP/TLS/RTP/SAVPF 96" * 700, 1),
    offer([section("video", "m" * 3000), section("application", "d")], ("m" * 3000 + " d",)),
    good(bundles=()),
    good().replace("a=rtcp-mux\r\n", ""),
    good().replace("actpass", "holdconn"),
    "v=0",
    "",
)

ATTACKS = (
    Attack(
        "a-hundred-sections",
        "a viewer posts offers of 100 sections, 98 of them in no bundle, 20 a second",
        "media_sections",
        offering([MANY], 20),
        may=words("400 429"),
        must=words("400"),
        programs=BOTH,
    ),
    Attack(
        "sections-outside",
        "a viewer posts offers of 16 sections, 14 of them in no bundle, 10 a second, and never connects",
        "no transport outside the first bundle, link_connections",
        offering([OUTSIDE], 10),
        may=words(OFFERS),
        programs=BOTH,
    ),
    Attack(
        "broken-offers",
        "a viewer posts offers with vertical tabs, long mids, roles that are none, or nothing in them, 50 a second",
        "the grammar of an offer",
        offering(BROKEN, 50),
        may=words("400 429"),
        must=words("400"),
        programs=BOTH,
    ),
    Attack(
        "huge-legal-offers",
        "a viewer posts offers of 16 sections with 32 codecs each, 90 KB, five a second, and never connects",
        "link_connections",
        offering([_full(14)], 5),
        may=words(OFFERS),
        programs=BOTH,
    ),
    Attack(
        "stun-flood",
        "2,000 binding requests a second of nobody, a quarter cut short, go to the ports of the owner's session",
        "ICE's password; a packet costs one look",
        pelting(stun),
        may=frozenset(),
        programs=BOTH,
    ),
    Attack(
        "malformed-rtp",
        "2,000 packets a second of unencrypted RTP with wrong headers go to the same ports",
        "ICE and SRTP",
        pelting(rtp),
        may=frozenset(),
        programs=BOTH,
    ),
    Attack(
        "malformed-rtcp",
        "2,000 packets a second of unencrypted RTCP with wrong lengths go to the same ports",
        "ICE and SRTP",
        pelting(rtcp),
        may=frozenset(),
        programs=BOTH,
    ),
    Attack(
        "dtls-hellos",
        "2,000 ClientHellos and fragments of them a second go to the same ports",
        "ICE before DTLS",
        pelting(dtls),
        may=frozenset(),
        programs=BOTH,
    ),
)
