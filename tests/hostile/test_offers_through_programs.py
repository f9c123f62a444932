"""Offers of a visitor that may only watch, to real processes over each engine: few sockets, and others get media."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx2
import psutil
import pytest
import pytest_asyncio

from livereactor.protocol import v1
from livereactor.protocol.sdp import parse_description
from tests.hostile.offers import good, offer, section
from tests.hostile.watching import MAPPING, PATIENCE, PROGRAMS, Stage, conformance_program, engine_of, on_stage
from tests.tools.processes import Program, free_media_ports
from tests.tools.serving import Coordinator

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
PORTS: Final = 60  # of UDP, for all media: 202 sockets of one offer took them all
OUTSIDE: Final = [f"x{number}" for number in range(14)]
SOUNDS: Final = [section("audio", mid) for mid in OUTSIDE]
MANY: Final = good(*[section("audio", f"y{number}") for number in range(100)])
HIDDEN: Final = "a=x:1" + "\x0bm=audio 9 UDP/TLS/RTP/SAVPF 96\x0ba=mid:9" * 700
ROUNDS: Final = 30
CONNECTIONS: Final = 12
SOCKETS: Final = 4 * CONNECTIONS  # session_sockets
AT_ONCE: Final = 8
HOST: Final = re.compile(r"^a=candidate:\S+ 1 udp \d+ (\S+ \d+) typ host", re.MULTILINE | re.IGNORECASE)
# Our grammar lets these through; the engines refuse the first four, and libwebrtc the last when it makes the answer.
UNANSWERABLE: Final = {
    "multiplexing": good().replace("a=rtcp-mux\r\n", ""),
    "a role that is none": good().replace("actpass", "holdconn"),
    "a codec's parameters": good().replace("a=rtcp-mux", "a=rtcp-mux\r\na=fmtp:96"),
    "a source": good().replace("a=rtcp-mux", "a=rtcp-mux\r\na=ssrc:x cname:y"),
    "a fingerprint": good().replace(":AB" * 31, ""),
}


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    ports = free_media_ports(PORTS)
    settings = {"PORT_RANGE": f"{ports[0]}:{ports[-1]}", "MAX_CONNECTIONS": str(CONNECTIONS)}
    log_path = tmp_path_factory.mktemp("program") / "log"
    with conformance_program(request.param, log_path, settings) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(program: Program) -> AsyncIterator[Stage]:
    async with on_stage(program) as made:
        yield made


def _sockets(program: Program) -> int:
    """UDP sockets of the program and of its workers."""
    there = [psutil.Process(program.pid), *psutil.Process(program.pid).children(recursive=True)]
    return sum(len(each.net_connections("udp")) for each in there)


class Visitor:
    """Whoever holds a link to watch, and posts what it likes."""

    def __init__(self, stage: Stage, http: httpx2.AsyncClient) -> None:
        self._base = f"/sessions/{stage.owner.session_id}/transport/webrtc/connections"
        self._http, self._headers = http, {"Livereactor-Role": "viewer"}
        if isinstance(stage.program, Coordinator):
            shared = stage.program.call("POST", f"/sessions/{stage.owner.session_id}/share", {})[1]
            self._headers = {"Authorization": f"Bearer {shared['jwt']}"}

    async def offers(self, text: str, connection: int = 2000, *, wait: bool = True) -> httpx2.Response:
        body: dict[str, Any] = {"sdp_offer": text, "track_mapping": MAPPING, "want_answer": wait}
        return await self._http.put(f"{self._base}/{connection}/sdp_params", json=body, headers=self._headers)

    async def answer(self, connection: int = 2000) -> httpx2.Response:
        return await self._http.get(f"{self._base}/{connection}/sdp_params", headers=self._headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visitor(stage: Stage) -> AsyncIterator[Visitor]:
    async with httpx2.AsyncClient(base_url=stage.program.url, timeout=PATIENCE) as http:
        yield Visitor(stage, http)


async def _others_get_media(stage: Stage) -> None:
    await stage.owner_is_served(5)
    async with engine_of("libwebrtc") as engine:
        watcher = await stage.watcher(engine, v1)
        await watcher.side.until(lambda: bool(watcher.side.tracks), PATIENCE)
        await watcher.side.aclose()


async def test_sections_outside_the_bundle_open_no_socket(stage: Stage, visitor: Visitor) -> None:
    before = _sockets(stage.program)
    usual = await visitor.offers(good())
    assert usual.status_code == 202, usual.text
    for_one = _sockets(stage.program) - before
    for bundles in (("0 d",), ("0 d", " ".join(OUTSIDE)), ("0 d", *OUTSIDE)):
        taken = await visitor.offers(good(*SOUNDS, bundles=bundles))
        assert taken.status_code == 202, taken.text
        answer = parse_description(taken.json()["sdp_answer"])
        assert [part.mid for part in answer.media if part.port == 0] == OUTSIDE
        await _until(lambda: _sockets(stage.program) - before <= for_one)
    await _others_get_media(stage)


async def test_a_hundred_sections_and_hidden_ones_are_refused(stage: Stage, visitor: Visitor) -> None:
    before, logged = _sockets(stage.program), len(stage.program.log())
    for number in range(ROUNDS):
        for text, why in ((MANY, "sections"), (good([HIDDEN]), "control character"), (good(bundles=()), "BUNDLE")):
            refused = await visitor.offers(text, 2000 + number)
            assert refused.status_code == 400, refused.text
            assert why in refused.text
            assert len(refused.content) < 500
    assert _sockets(stage.program) <= before
    assert len(stage.program.log()) - logged < 10_000
    await _others_get_media(stage)


async def test_long_mids_are_refused_without_a_traceback(stage: Stage, visitor: Visitor) -> None:
    logged = len(stage.program.log())
    for number in range(ROUNDS):
        mid = "m" * (3_000 + number)
        refused = await visitor.offers(offer([section("video", mid), section("application", "d")], (f"{mid} d",)))
        assert refused.status_code == 400, refused.text
        assert len(refused.content) < 500
    said = stage.program.log()[logged:]
    assert "Traceback" not in said
    assert len(said) < 10_000
    await _others_get_media(stage)


async def test_what_an_engine_refuses_is_the_fault_of_the_client(
    program: Program, stage: Stage, visitor: Visitor, request: pytest.FixtureRequest
) -> None:
    before, logged = _sockets(program), len(program.log())
    is_libwebrtc = "libwebrtc" in request.node.callspec.params["program"]
    for what, text in UNANSWERABLE.items():
        if what == "a fingerprint" and not is_libwebrtc:
            continue
        for refused in (
            await visitor.offers(text),
            await visitor.answer(),
            (await visitor.offers(text, 2001, wait=False)) and await visitor.answer(2001),
        ):
            assert refused.status_code == 400, (what, refused.text)
            assert "the offer could not be answered" in refused.text
            assert len(refused.content) < 1_000
    assert "Traceback" not in program.log()[logged:]
    await _until(lambda: _sockets(program) <= before)
    await _others_get_media(stage)


async def test_a_bundle_in_another_order_is_answered(stage: Stage, visitor: Visitor) -> None:
    taken = await visitor.offers(good(bundles=("d 0",)))
    assert taken.status_code == 202, taken.text
    assert [part.port == 0 for part in parse_description(taken.json()["sdp_answer"]).media] == [False, False]
    await _others_get_media(stage)


async def test_offers_that_replace_each_other_leave_no_socket(stage: Stage, visitor: Visitor) -> None:
    first = await visitor.offers(good())
    assert first.status_code == 202, first.text
    usual, most = _sockets(stage.program), 0
    for _ in range(ROUNDS):
        await visitor.offers(good())
        most = max(most, _sockets(stage.program))
    assert most <= PORTS
    await _until(lambda: _sockets(stage.program) <= usual)
    await _others_get_media(stage)


async def test_offers_at_once_open_no_more_sockets_than_a_session_may_have(stage: Stage, visitor: Visitor) -> None:
    first = await visitor.offers(good())
    assert first.status_code == 202, first.text
    each = len(set(HOST.findall(first.json()["sdp_answer"])))
    usual, most, is_over = _sockets(stage.program), 0, asyncio.Event()

    async def count() -> None:
        nonlocal most
        while not is_over.is_set():
            most = max(most, await asyncio.to_thread(_sockets, stage.program))

    async def offers() -> None:
        for _ in range(ROUNDS):
            taken = await visitor.offers(good(), wait=False)
            assert taken.status_code in (202, 429), taken.text
            if taken.status_code == 429:
                assert "(session_sockets); try again in 1 s" in taken.text
                assert taken.headers["retry-after"] == "1"

    counting = asyncio.create_task(count())
    await asyncio.gather(*[offers() for _ in range(AT_ONCE)])
    is_over.set()
    await counting
    assert most <= usual + each * (SOCKETS - SOCKETS // 4)  # a quarter is the owner's
    await _until(lambda: _sockets(stage.program) <= usual)
    await _others_get_media(stage)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
