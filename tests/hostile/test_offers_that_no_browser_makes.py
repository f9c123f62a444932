"""Offers that are nearly right, as fuzzers of both engines found them: answered, or refused as the client's fault."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from livereactor.base.errors import PeerError
from livereactor.engine.aiortc.engine import AiortcEngine
from livereactor.engine.libwebrtc.engine import LibwebrtcEngine
from livereactor.engine.port import Engine, PeerConfig, Use
from livereactor.protocol.sdp import parse_description
from tests.fuzz.targets import CORPUS
from tests.hostile.offers import good, section


@pytest.fixture(params=[AiortcEngine, LibwebrtcEngine])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    made = request.param()
    await made.start()
    yield made
    await made.aclose()


async def _answer(engine: Engine, text: str, uses: dict[str, Use]) -> str:
    peer = await engine.peer(PeerConfig(), lambda _: None)
    try:
        return (await peer.accept(text, uses)).answer
    finally:
        await peer.aclose()


@pytest.mark.parametrize("session", ["", "a=recvonly\r\n"])
async def test_a_section_without_a_direction_has_the_default_one(engine: Engine, session: str) -> None:
    text = good().replace("a=recvonly\r\n", "").replace("a=group", f"{session}a=group", 1)
    answer = parse_description(await _answer(engine, text, {"0": Use.SEND}))
    assert [part.direction for part in answer.media if part.kind == "video"] == ["sendonly"]


async def test_an_offer_whose_sender_has_no_encodings_is_answered_or_refused(engine: Engine) -> None:
    text = next((CORPUS / "offer_libwebrtc").glob("crash-f05ade5d*")).read_text("utf-8", "replace")
    with suppress(PeerError):
        await _answer(engine, text, {"0": Use.SEND, "d": Use.SEND})


async def test_a_section_of_another_kind_is_refused_and_the_others_are_answered(engine: Engine) -> None:
    text = good().replace("a=group:BUNDLE 0 d", "a=group:BUNDLE 0 d t")
    text += "".join(f"{line}\r\n" for line in section("video", "t")).replace("m=video", "m=text")
    answer = parse_description(await _answer(engine, text, {"0": Use.SEND}))
    assert [part.mid for part in answer.media] == ["0", "d", "t"]
    assert [part.port == 0 for part in answer.media] == [False, False, True]
