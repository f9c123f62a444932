"""Offers and candidates driven through the engines, with real peers and sockets, each closed before the next."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from functools import cache
from typing import Final

from livereactor.base.errors import EngineError, PeerError
from livereactor.engine.port import Candidate, Engine, PeerConfig, Use
from livereactor.protocol.sdp import parse_description, parse_offer
from tests.fuzz.promises import Target
from tests.hostile.offers import open_sockets

SOCKETS: Final = 24  # of one peer: its transport's, on each address of the machine
GROWTH: Final = 4  # bytes of an answer for each of the offer
FIRST: Final = 16_384  # bytes of the shortest answer
SECONDS: Final = 20.0  # for what takes milliseconds
_loop: Final = asyncio.new_event_loop()
_left: Final[list[str]] = []  # what asyncio says of exceptions that nobody took; a client could cause each in the log
_loop.set_exception_handler(lambda _, context: _left.append(f"{context['message']}: {context.get('exception')!r}"))


@cache
def _engine(make: Callable[[], Engine]) -> Engine:
    engine = make()
    _loop.run_until_complete(engine.start())
    return engine


def _libwebrtc() -> Engine:
    from livereactor.engine.libwebrtc.engine import LibwebrtcEngine

    return LibwebrtcEngine()


def _aiortc() -> Engine:
    from livereactor.engine.aiortc.engine import AiortcEngine

    return AiortcEngine()


def _driven(make: Callable[[], Engine]) -> Callable[[bytes], object]:
    """An offer, and behind a NUL candidates, one a line; what parses is answered, or refused by name."""

    def read(data: bytes) -> object:
        text, _, rest = data.decode("utf-8", "replace").partition("\0")
        offer = parse_offer(text)
        uses = {part.mid: Use.SEND if part.receives else Use.RECEIVE for part in offer.media}
        try:
            return _loop.run_until_complete(asyncio.wait_for(_accepted(_engine(make), text, uses, rest), SECONDS))
        finally:
            gc.collect()  # asyncio says it once the task is collected
            said = [*_left]
            _left.clear()
            assert not said, f"left to the loop: {said}"

    return read


async def _accepted(engine: Engine, text: str, uses: dict[str, Use], candidates: str) -> object:
    before = open_sockets()
    peer = await engine.peer(PeerConfig(), lambda _: None)
    try:
        answer = (await peer.accept(text, uses)).answer
        for line in candidates.split("\n")[:8]:
            await peer.add_candidate(Candidate(line, mid=None, line_index=0))
        assert open_sockets() - before <= SOCKETS
    finally:
        await peer.aclose()
    await _closed(before)
    assert len(answer) <= GROWTH * len(text) + FIRST
    mids = [part.mid for part in parse_description(answer).media]
    assert mids == list(uses), f"sections {mids} answer {list(uses)}"
    return len(mids)


async def _closed(before: int) -> None:
    """Sockets are closed by the engine's own threads, some milliseconds after the peer."""
    async with asyncio.timeout(SECONDS):
        while open_sockets() > before:
            gc.collect()
            await asyncio.sleep(0.005)


REFUSALS: Final = (PeerError, EngineError)
TARGETS: Final = {
    "offer_libwebrtc": Target("offer_libwebrtc", _driven(_libwebrtc), REFUSALS, counts=False),
    "offer_aiortc": Target("offer_aiortc", _driven(_aiortc), REFUSALS, counts=False),
}
