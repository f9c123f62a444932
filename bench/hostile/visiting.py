"""Attackers who are connected: a WebRTC transport of their own to the owner's session, by a share link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache

import httpx2

from bench.hostile.asking import http
from bench.hostile.attack import Tally, Target
from livereactor.base.errors import EngineError, LivereactorError
from livereactor.engine.libwebrtc.engine import LibwebrtcEngine
from livereactor.engine.port import PeerConfig, PeerState, Section, Use
from livereactor.protocol import messages as m
from livereactor.protocol import v1
from livereactor.protocol.codecs import CODECS, Codec
from tests.tools.client_side import ClientSide

LIMIT = 1 << 26  # bytes of a message from the server
CHANNELS = ("data", "control")
GONE = (PeerState.CLOSED, PeerState.FAILED, PeerState.DISCONNECTED)
MAPPING = [{"mid": "0", "name": "main_video", "kind": "video", "direction": "recvonly"}]


@cache
def engine() -> LibwebrtcEngine:
    """The one of this process."""
    return LibwebrtcEngine()


class Visitor:
    """A connected attacker: sends what it likes, and counts what it is told."""

    def __init__(self, side: ClientSide, codec: Codec, tally: Tally) -> None:
        self._side, self.codec, self._tally = side, codec, tally

    @property
    def is_gone(self) -> bool:
        """Whether the server has put it out."""
        return self._side.state in GONE or not all(each.is_open for each in self._side.channels.values())

    def say(self, message: m.ClientMessage) -> bool:
        """Send a message of the protocol; False where the transport takes no more now."""
        frame = self.codec.encode_client(message)
        assert frame is not None
        return self.send(*frame, text=self.codec.TEXT)

    def send(self, label: str, data: bytes, *, text: bool) -> bool:
        """Send any bytes."""
        try:
            self._side.channels[label].send(data, text=text)
        except EngineError:
            return False
        return True

    async def listen(self) -> None:
        """Count refusals until cancelled."""
        await asyncio.gather(*(self._listen(label) for label in CHANNELS))

    async def _listen(self, label: str) -> None:
        while True:
            received = await self._side.receive(label, timeout=3600.0)
            with suppress(LivereactorError):
                message = CODECS[m.WireFormat.V0 if received.text else m.WireFormat.V1].decode_server(
                    label, received.data, limit=LIMIT
                )
                if (code := code_of(message)) is not None:
                    self._tally.saw(code)


def code_of(message: m.ServerMessage) -> str | None:
    """Return the code of a refusal, or the reason of an end."""
    match message:
        case m.Failure(code=code):
            return code
        case m.RuntimeMessage(type="refused", data=data):
            return str(data["code"])
        case m.ClipFailed(reason=reason):
            return f"clip failed: {reason}"
        case m.SessionEnded(reason=reason):
            return reason
        case _:
            return None


async def offered(
    client: httpx2.AsyncClient, target: Target, tally: Tally, body: dict[str, object], number: int | None = None
) -> tuple[int, str] | None:
    """Post an offer on a new connection, or on that one again; its number and answer, None where it is refused."""
    base = f"/sessions/{target.session}/transport/webrtc/connections"
    if number is None:
        made = await client.post(base, json={})
        if made.status_code != 201:
            tally.saw(made.status_code)
            return None
        number = int(made.json()["connection_id"])
        posted = await client.post(f"{base}/{number}/sdp_params", json={**body, "want_answer": True})
    else:
        posted = await client.put(f"{base}/{number}/sdp_params", json={**body, "want_answer": True})
    tally.saw(posted.status_code)
    return (number, posted.json()["sdp_answer"]) if posted.status_code == 202 else None


@asynccontextmanager
async def side_of(*, video: bool = False) -> AsyncIterator[tuple[ClientSide, dict[str, object]]]:
    """A transport that is not connected, and the body of its offer."""
    side = await ClientSide.make(engine(), PeerConfig())
    try:
        sections = [Section("video", Use.RECEIVE, "main_video")] if video else []
        yield side, {"sdp_offer": await side.offer(sections, CHANNELS), "track_mapping": MAPPING if video else []}
    finally:
        await side.aclose()


@asynccontextmanager
async def visiting(
    target: Target, token: str, tally: Tally, codec: Codec = v1, *, video: bool = False
) -> AsyncIterator[Visitor | None]:
    """A connected visitor, None where there was no place for it."""
    async with http(target, token, most=2) as client, side_of(video=video) as (side, body):
        found = await offered(client, target, tally, body)
        if found is None:
            yield None
            return
        await side.take_answer(found[1])
        await side.connected(*CHANNELS)
        visitor = Visitor(side, codec, tally)
        listening = asyncio.create_task(visitor.listen())
        try:
            yield visitor
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def again(
    target: Target,
    token: str,
    tally: Tally,
    doing: Callable[[Visitor], Awaitable[None]],
    codec: Codec = v1,
    *,
    video: bool = False,
) -> None:
    """Be one visitor after the other, each until it is put out; a second lies between two."""
    while True:
        try:
            async with visiting(target, token, tally, codec, video=video) as visitor:
                if visitor is not None:
                    await doing(visitor)
                    if visitor.is_gone:
                        tally.saw("put_out")
        except TimeoutError:
            tally.saw("no_transport")
        except httpx2.TransportError:
            tally.saw("closed")
        await asyncio.sleep(1.0)
