"""Attacks by what a token is for: places, connections, uploads, polls and queues."""

from __future__ import annotations

import asyncio
import io
import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx2
from PIL import Image

from bench.hostile.asking import ask, http
from bench.hostile.attack import BOTH, RUN, Attack, Tally, Target, paced, together, words
from bench.hostile.visiting import Visitor, again, offered, side_of, visiting
from livereactor.protocol import messages as m

HELD = 60  # requests at once
DRIP = 0.5  # seconds between two bytes


async def link_places(target: Target, tally: Tally) -> None:
    """Join by one link twelve times at once, and stay."""

    async def staying(visitor: Visitor) -> None:
        while not visitor.is_gone:
            tally.sent += visitor.say(m.Ping())
            await asyncio.sleep(1.0)

    await together(12, lambda number: again(target, target.watch[number % 2], tally, staying))


async def link_storm(target: Target, tally: Tally) -> None:
    """Ask for all that a link to watch does not allow, and for what it does, 200 times a second."""
    session = f"/sessions/{target.session}"
    asked = itertools.cycle(
        [
            ("POST", f"{session}/share", {}),
            ("DELETE", session, None),
            ("POST", f"{session}/uploads", {"name": "a", "size": 1, "mime_type": "a/b"}),
            ("POST", "/sessions", {"model": {"name": "conformance"}}),
            ("POST", "/tokens", {}),
            ("GET", "/admin/overview", None),
            ("GET", "/keys", None),
            ("GET", session, None),
            ("GET", f"{session}/transport/webrtc/ice_servers", None),
        ]
    )

    async def one(number: int) -> None:
        async with http(target, target.watch[number % 4], most=1) as client:
            async for _ in paced(25):
                method, path, body = next(asked)
                await ask(client, tally, method, path, json=body)

    await together(8, one)


async def connection_ids(target: Target, tally: Tally) -> None:
    """Ask for connection numbers, and leave candidates on numbers without an offer, 200 times a second."""
    base = f"/sessions/{target.session}/transport/webrtc/connections"
    candidates = [
        {"candidate": f"candidate:{number} 1 udp 1 192.0.2.1 {1000 + number} typ host", "sdp_mid": "0"}
        for number in range(200)
    ]

    async def one(number: int) -> None:
        async with http(target, target.watch[number % 4], most=1) as client:
            async for count in paced(25):
                if count % 2:
                    await ask(client, tally, "POST", base, json={})
                else:
                    path = f"{base}/{2000 + (number * 500 + count) % 2000}/ice_candidates"
                    await ask(client, tally, "POST", path, json={"candidates": candidates})

    await together(8, one)


async def reconnects(target: Target, tally: Tally) -> None:
    """Connect, and offer anew on the same connection before anything has come up, by two links at once."""

    async def one(number: int) -> None:
        async with http(target, target.watch[number], most=2) as client:
            async for _ in paced(1):
                mine: int | None = None
                for _ in range(8):
                    async with side_of(video=True) as (_side, body):
                        tally.sent += 1
                        with suppress(httpx2.TransportError):
                            found = await offered(client, target, tally, body, mine)
                            mine = found[0] if found else None

    await together(2, one)


async def reconnect_storm(target: Target, tally: Tally) -> None:
    """Come back all at once, as after a restart: sixteen clients connect, watch a moment, and are gone unsaid."""

    async def one(number: int) -> None:
        while True:
            tally.sent += 1
            with suppress(TimeoutError, httpx2.TransportError):
                async with visiting(target, target.watch[number % 4], tally, video=True) as visitor:
                    if visitor is not None:
                        visitor.say(m.ResumeTrack("main_video"))
                        await asyncio.sleep(0.2)
            await asyncio.sleep(0.3)

    await together(16, one)


async def held_polls(target: Target, tally: Tally) -> None:
    """Hold polls of the session that are answered at its next change, sixty at a time, and hang up on half."""

    async def one(number: int) -> None:
        async with http(target, target.watch[number % 4], most=1) as client:
            while True:
                known = await ask(client, tally, "GET", f"/sessions/{target.session}")
                version = known.json().get("version", "") if known is not None and known.status_code == 200 else ""
                path = f"/sessions/{target.session}?wait=20&version={version}"
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0 if number % 2 else None):
                        await ask(client, tally, "GET", path)
                await asyncio.sleep(0.5)

    await together(HELD, one)


async def event_streams(target: Target, tally: Tally) -> None:
    """Hold event streams open, sixty at a time. A stand-alone runtime has them for everybody, `serve` for operators."""

    async def one(_: int) -> None:
        async with http(target, most=1) as client:
            while True:
                tally.sent += 1
                with suppress(httpx2.TransportError):
                    async with client.stream("GET", "/events") as answer:
                        tally.saw(answer.status_code)
                        async for _part in answer.aiter_bytes():
                            pass
                await asyncio.sleep(0.5)

    await together(HELD, one)


async def queue_flood(target: Target, tally: Tally) -> None:
    """Open sessions of the owner's model with one key of another account, 50 a second, and never come."""

    async def one(_: int) -> None:
        async with http(target, target.stranger, most=1) as client:
            async for _ in paced(12.5):
                await ask(client, tally, "POST", "/sessions", json={"model": {"name": "conformance"}})

    await together(4, one)


async def slow_uploads(target: Target, tally: Tally) -> None:
    """Write uploads of 1 MB a byte every half second, sixty at once."""

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(DRIP)

    async def one(number: int) -> None:
        async with http(target, target.steer[number % 4], most=1) as client:
            while True:
                about = {"name": "film.bin", "size": 1_000_000, "mime_type": "application/octet-stream"}
                made = await ask(client, tally, "POST", f"/sessions/{target.session}/uploads", json=about)
                if made is not None and made.status_code == 201:
                    with suppress(httpx2.TransportError):
                        sizes = {"Content-Length": "1000000"}
                        url = made.json()["presigned_url"]
                        put = await client.put(url, content=drops(), headers=sizes)
                        tally.saw(put.status_code)
                await asyncio.sleep(1.0)

    await together(HELD, one)


async def guessed_addresses(target: Target, tally: Tally) -> None:
    """Try addresses of uploads and clips that nobody signed, 200 a second."""

    async def one(_: int) -> None:
        async with http(target, most=1) as client:
            async for count in paced(25):
                name, signature = secrets.token_hex(8), secrets.token_urlsafe(32)
                kind = "uploads" if count % 2 else "clips/chunks"
                await ask(client, tally, "GET", f"/{kind}/{name}/a.m4s?expires=4102444800&signature={signature}")

    await together(8, one)


async def wrong_keys(target: Target, tally: Tally) -> None:
    """Guess keys, 200 a second."""

    async def one(_: int) -> None:
        async with http(target, most=1) as client:
            async for _ in paced(25):
                headers = {"Authorization": f"Bearer rk_{secrets.token_urlsafe(24)}"}
                await ask(client, tally, "POST", "/tokens", headers=headers, json={})

    await together(8, one)


async def wide_json(target: Target, tally: Tally) -> None:
    """Ask for tokens, with a key that is right, in bodies of many values, 40 a second."""
    body = b'{"authorization_details": [' + b"[]," * 19_000 + b"[]]}"

    async def one(_: int) -> None:
        async with http(target, target.stranger, most=1) as client:
            async for _ in paced(10):
                await ask(client, tally, "POST", "/tokens", content=body, headers={"Content-Type": "application/json"})

    await together(4, one)


def bomb() -> bytes:
    """Return a PNG of some kilobytes and 400 megapixels."""
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    return buffer.getvalue()


BROKEN_PICTURE = b"P6 4 4 99999999999\n"


async def picture_bombs(target: Target, tally: Tally) -> None:
    """Upload pictures that are small and unfold to gigabytes, or that break a decoder, and have the model look."""
    files = (bomb(), BROKEN_PICTURE)

    async def looking(visitor: Visitor) -> None:
        async with http(target, target.steer[0], most=1) as client:
            async for count in paced(4):
                if visitor.is_gone:
                    return
                data = files[count % 2]
                about = {"name": "a.png", "size": len(data), "mime_type": "image/png"}
                made = await ask(client, tally, "POST", f"/sessions/{target.session}/uploads", json=about)
                if made is None or made.status_code != 201:
                    continue
                name = str(made.json()["presigned_id"])
                await ask(client, tally, "PUT", made.json()["presigned_url"], content=data)
                reference = m.UploadReference(name, "a.png", "image/png", len(data))
                visitor.say(m.FileUploaded(reference))
                visitor.say(m.Command("look", {}, {"image": reference}, f"data_{count}"))

    await again(target, target.steer[0], tally, looking)


ATTACKS = (
    Attack(
        "link-places",
        "two links join twelve times at once, and stay",
        "link_connections, max_connections less the owner's place",
        link_places,
        may=words("202 429 evicted put_out closed"),
        must=words("202 429"),
        programs=BOTH,
    ),
    Attack(
        "link-storm",
        "four links to watch ask for what they may and what they may not, 200 times a second",
        "scope of the link, creations_per_minute",
        link_storm,
        may=words("200 400 401 403 404 429"),
        must=words("403"),
    ),
    Attack(
        "connection-ids",
        "four links ask for connection numbers and leave candidates without an offer, 200 times a second",
        "minted_ids, waiting_connections, candidates_per_connection",
        connection_ids,
        may=words("201 202 400 409 429"),
    ),
    Attack(
        "new-offers",
        "two links offer anew on a connection before it has come up, 16 times a second",
        "one transport of a connection, link_connections",
        reconnects,
        may=words("201 202 409 429 503"),
        programs=BOTH,
    ),
    Attack(
        "reconnect-storm",
        "16 clients of four links connect, watch for 0.2 s, leave and come back at once, as after a restart",
        "link_connections, max_connections",
        reconnect_storm,
        may=words("202 429 409 503 closed evicted"),
        must=words("202"),
        programs=BOTH,
    ),
    Attack(
        "held-polls",
        "60 polls of the session are held, and half of them hung up after a second",
        "address_sockets",
        held_polls,
        may=words("200 429"),
    ),
    Attack(
        "event-streams",
        "60 event streams are held open",
        "address_sockets",
        event_streams,
        may=words("200 429"),
        must=words("200"),
        programs=RUN,
    ),
    Attack(
        "queue-flood",
        "one key of another account opens 50 sessions a second of the owner's model",
        "concurrent_sessions, sessions_per_minute",
        queue_flood,
        may=words("201 429"),
        must=words("429"),
    ),
    Attack(
        "slow-uploads",
        "links that may upload write 60 files of 1 MB, a byte every half second",
        "upload_session_bytes, upload_slots, address_sockets",
        slow_uploads,
        may=words("201 204 400 408 409 413 429 507 closed"),
    ),
    Attack(
        "guessed-addresses",
        "200 addresses of uploads and clips that nobody signed are tried a second",
        "the signature, anonymous_per_minute",
        guessed_addresses,
        may=words("400 401 403 404 405 410 429"),
        programs=BOTH,
    ),
    Attack(
        "wrong-keys",
        "200 keys a second are guessed at /tokens",
        "30 wrong keys a minute of one address",
        wrong_keys,
        may=words("401 429"),
        must=words("429"),
    ),
    Attack(
        "wide-json",
        "a right key of another account asks for tokens in bodies of 57 KB and 19,000 values, 40 a second",
        "json_body_bytes, json_nodes, creations_per_minute",
        wide_json,
        may=words("400 413 422 429"),
    ),
    Attack(
        "picture-bombs",
        "a link that may steer has the model look at a PNG of 400 megapixels and at broken pictures, four a second",
        "image_pixels, creations_per_minute",
        picture_bombs,
        may=words("201 202 204 429 RATE_LIMITED not_an_image image_too_large"),
        must=words("not_an_image image_too_large"),
    ),
)
