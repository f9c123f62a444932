"""Attacks by messages, of holders of share links who are connected to the owner's session."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from bench.hostile.attack import BEAT, BOTH, Attack, Run, Tally, Target, paced, together, words
from bench.hostile.visiting import Visitor, again
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.protocol.chunking import split
from livereactor.protocol.codecs import Codec

FLOOD = 8_000.0  # messages a second of each of two attackers
KIB = 1024
TOLD = "202 429 RATE_LIMITED closed"  # by every attack: places of a link run out, and a rate is met
OUT = f"{TOLD} evicted put_out no_transport"
NOISE = random.Random(1).randbytes(4 * KIB)
LARGE = list(split(b'{"scope": "application", "data": {"type": "x", "data": {"a": [' + b"1," * 20_000_000, text=True))
DENSE = b'{"scope": "application", "data": {"type": "echo", "data": {"value": [' + b"[]," * (60 * KIB) + b"[]]}}}"


def storm(
    links: Callable[[Target], Sequence[str]],
    say: Callable[[Visitor, int], bool],
    *,
    rate: float = FLOOD,
    codec: Codec = v1,
) -> Run:
    """Return an attack of two visitors, each of whom says something `rate` times a second, and comes again.

    Args:
        links: by which they come, each by one of its own.
        say: says it; False where the transport takes no more now.
    """

    async def attack(target: Target, tally: Tally) -> None:
        async def flooding(visitor: Visitor) -> None:
            visitor.say(m.Ping())  # a client whose format is not known is told nothing
            async for count in paced(rate):
                if visitor.is_gone:
                    return
                if say(visitor, count):
                    tally.sent += 1
                else:
                    await asyncio.sleep(BEAT)

        async def one(number: int) -> None:
            await again(target, links(target)[number], tally, flooding, codec)

        await together(2, one)

    return attack


def watchers(target: Target) -> Sequence[str]:
    """Links that may only watch."""
    return target.watch


def steerers(target: Target) -> Sequence[str]:
    """Links that may steer."""
    return target.steer


def _part(visitor: Visitor, count: int) -> bool:
    return visitor.send("data", LARGE[count % len(LARGE)], text=False)


def _noise(visitor: Visitor, count: int) -> bool:
    return visitor.send("control", NOISE[: 1 + count % len(NOISE)], text=False)


def _turn(visitor: Visitor, count: int) -> bool:
    return visitor.say(m.ResumeTrack("main_video") if count % 2 else m.PauseTrack("main_video"))


def _echo(visitor: Visitor, count: int) -> bool:
    return visitor.say(m.Command("echo", {"value": count}, request_id=f"data_{count}"))


ATTACKS = (
    Attack(
        "large-messages",
        "two viewers send messages of 40 MB, one a second, cut as if the server had offered to put them together",
        "viewer_message_bytes, before anything is parsed",
        storm(watchers, _part, rate=640),
        may=words(f"{OUT} MESSAGE_TOO_LARGE"),
        must=words("RATE_LIMITED"),
        programs=BOTH,
    ),
    Attack(
        "dense-messages",
        "two links that may steer send commands of 180 KB with 60,000 lists, ten a second",
        "json_nodes, message_rate_bytes",
        storm(steerers, lambda visitor, _: visitor.send("data", DENSE, text=True), rate=10, codec=v0),
        may=words(OUT),
        programs=BOTH,
    ),
    Attack(
        "pings-json",
        "two viewers send 16,000 pings a second, in JSON",
        "viewer_message_rate; told once, put out after 200 more",
        storm(watchers, lambda visitor, _: visitor.say(m.Ping()), codec=v0),
        may=words(OUT),
        must=words("RATE_LIMITED"),
        programs=BOTH,
    ),
    Attack(
        "pings-protobuf",
        "two viewers send 16,000 pings a second, in protobuf",
        "viewer_message_rate; told once, put out after 200 more",
        storm(watchers, lambda visitor, _: visitor.say(m.Ping())),
        may=words(OUT),
        must=words("RATE_LIMITED"),
        programs=BOTH,
    ),
    Attack(
        "pauses",
        "two viewers pause and resume the picture 200 times a second",
        "pause_rate, viewer_message_rate",
        storm(watchers, _turn, rate=200),
        may=words(OUT),
        must=words("RATE_LIMITED"),
        programs=BOTH,
    ),
    Attack(
        "commands-json",
        "two links that may steer send 2,000 commands a second, in JSON",
        "message_rate, read at a pace; told once, put out after 400 more",
        storm(steerers, _echo, rate=1000, codec=v0),
        may=words(OUT),
        must=words("RATE_LIMITED"),
        programs=BOTH,
    ),
    Attack(
        "commands-protobuf",
        "two links that may steer send 2,000 commands a second, in protobuf",
        "message_rate, read at a pace; told once, put out after 400 more",
        storm(steerers, _echo, rate=1000),
        may=words(OUT),
        must=words("RATE_LIMITED"),
        programs=BOTH,
    ),
    Attack(
        "schemas",
        "two viewers ask for the schema 500 times a second: small questions with large answers",
        "viewer_message_rate",
        storm(watchers, lambda visitor, count: visitor.say(m.RequestSchema(f"ctrl_{count}")), rate=250),
        may=words(OUT),
        must=words("RATE_LIMITED"),
    ),
    Attack(
        "clips",
        "two viewers ask for clips, which they may not, 20 times a second",
        "scope of the link",
        storm(watchers, lambda visitor, count: visitor.say(m.RequestClip(300.0, f"ctrl_{count}")), rate=10),
        may=words(f"{TOLD} FORBIDDEN"),
        must=words("FORBIDDEN"),
    ),
    Attack(
        "garbage",
        "two viewers send 2,000 frames of random bytes a second",
        "viewer_message_rate",
        storm(watchers, _noise, rate=1000),
        may=words(OUT),
        must=words("RATE_LIMITED"),
        programs=BOTH,
    ),
)
