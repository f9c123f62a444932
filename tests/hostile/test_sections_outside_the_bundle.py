"""An offer whose sections are in no bundle, or in many: each would be a transport of its own, with sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest

from livereactor.base.errors import PeerError
from livereactor.engine.aiortc.engine import AiortcEngine
from livereactor.engine.libwebrtc.engine import LibwebrtcEngine
from livereactor.engine.memory.engine import MemoryEngine
from livereactor.engine.port import Engine, PeerConfig, Use
from livereactor.protocol.sdp import parse_description
from tests.hostile.offers import good, offer, open_sockets, section
from tests.integration.models import Plain
from tests.integration.rig import next_session_works, serving

ENGINES: Final[dict[str, Callable[[], Engine]]] = {
    "libwebrtc": LibwebrtcEngine,
    "aiortc": AiortcEngine,
    "memory": MemoryEngine,
}
OUTSIDE: Final = [f"x{number}" for number in range(14)]
SOUNDS: Final = [section("audio", mid) for mid in OUTSIDE]


@pytest.fixture(params=list(ENGINES))
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    made = ENGINES[request.param]()
    await made.start()
    yield made
    await made.aclose()


async def _answered(engine: Engine, text: str) -> tuple[str, int]:
    """The answer to an offer, and how many sockets it opened."""
    before = open_sockets()
    peer = await engine.peer(PeerConfig(), lambda _: None)
    try:
        return (await peer.accept(text, {"0": Use.SEND, **dict.fromkeys(OUTSIDE, Use.SEND)})).answer, (
            open_sockets() - before
        )
    finally:
        await peer.aclose()


@pytest.mark.parametrize(
    "bundles",
    [
        pytest.param(("0 d",), id="in no bundle"),
        pytest.param(("0 d", " ".join(OUTSIDE)), id="in a second bundle"),
        pytest.param(("0 d", *OUTSIDE), id="each in a bundle"),
    ],
)
async def test_a_section_outside_the_first_bundle_is_refused_and_opens_no_socket(
    engine: Engine, bundles: tuple[str, ...]
) -> None:
    _, usual = await _answered(engine, good())
    text, opened = await _answered(engine, good(*SOUNDS, bundles=bundles))
    assert opened == usual
    answer = parse_description(text)
    assert [part.mid for part in answer.media] == ["0", "d", *OUTSIDE]
    assert [part.mid for part in answer.media if part.port == 0] == OUTSIDE
    assert [part.direction for part in answer.media if part.kind == "video"] == ["sendonly"]
    assert answer.session.values("group") == ("BUNDLE 0 d",)


async def test_a_refused_section_may_come_first(engine: Engine) -> None:
    parts = [section("audio", "x0"), section("video", "0"), section("application", "d")]
    text, _ = await _answered(engine, offer(parts, ("0 d",)))
    answer = parse_description(text)
    assert [(part.mid, part.port == 0) for part in answer.media] == [("x0", True), ("0", False), ("d", False)]


async def test_sections_whose_codecs_nobody_has_open_no_socket(engine: Engine) -> None:
    _, usual = await _answered(engine, good())
    unknown = [section("video", mid, "H265/90000") for mid in OUTSIDE]
    text, opened = await _answered(engine, good(*unknown, bundles=(" ".join(["0", "d", *OUTSIDE]),)))
    assert opened == usual
    assert [part.mid for part in parse_description(text).media] == ["0", "d", *OUTSIDE]


async def test_an_offer_without_a_bundle_is_refused(engine: Engine) -> None:
    with pytest.raises(PeerError, match="BUNDLE"):
        await _answered(engine, good(bundles=()))


async def test_a_runtime_refuses_more_sections_than_its_limit_and_serves_on() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        path = served.path(sid, "connections/2000/sdp_params")
        for parts, bundles in ((SOUNDS * 7, ("0 d",)), ([*SOUNDS, section("audio", "y")], ("0 d",)), (SOUNDS, ())):
            refused = await served.http.post(path, json={"sdp_offer": good(*parts, bundles=bundles)})
            assert refused.status_code == 400
        assert "BUNDLE" in refused.text
        many = await served.http.post(path, json={"sdp_offer": good(*SOUNDS, section("audio", "y"))})
        assert "17 sections" in many.text
        assert "media_sections of 16" in many.text
        await next_session_works(served)
