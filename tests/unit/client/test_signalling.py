"""Wire formats by version, candidates in offers and in bursts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from livereactor.client.errors import ReactorError, error_of
from livereactor.client.http.api import Api
from livereactor.client.transport import signalling
from livereactor.client.transport.signalling import MAX_CANDIDATES, Trickle, answer_to, format_for, with_candidates
from livereactor.engine.port import Candidate
from livereactor.protocol.messages import WireFormat
from livereactor.protocol.sdp import parse_description

OFFER = (
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=recvonly\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n"
)
HOST = "candidate:1 1 udp 1 192.0.2.2 9 typ host"
END = Candidate("")


@pytest.mark.parametrize(
    ("version", "wire"),
    [("2.10.1", "v0"), ("v2.0", "v0"), ("3.10.0", "v1"), ("0.1.0.dev0", "v1"), ("", "v1"), ("20.1", "v1")],
)
def test_official_servers_of_two_point_x_are_spoken_to_in_json(version: str, wire: str) -> None:
    assert format_for(version) is WireFormat(wire)


class Answers:
    """Stands in for the API: its answers one after the other."""

    def __init__(self, *answers: str | None) -> None:
        self._answers = iter(answers)

    async def answer(self, session_id: str, connection: int) -> str | None:
        return next(self._answers)


@pytest.mark.parametrize(
    ("answers", "stale", "taken"),
    [(("new",), "", "new"), ((None, "old", "new"), "old", "new"), (("",), "", ""), (("old", "old"), "old", None)],
)
async def test_an_answer_to_an_earlier_offer_is_none_to_this_one(
    answers: Sequence[str | None], stale: str, taken: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signalling, "FIRST_WAIT", 0.0)
    asking = answer_to(cast("Api", Answers(*answers)), "s", 1, len(answers), stale=stale)
    if taken is not None:
        assert await asking == taken
        return
    with pytest.raises(ReactorError, match="after 2 polls") as late:
        await asking
    assert late.value.code == "REQUEST_TIMEOUT"


def test_candidates_go_into_their_section_of_the_offer() -> None:
    sections = parse_description(with_candidates(OFFER, [Candidate(HOST, "1"), Candidate(f"a={HOST}", "0")])).media
    assert [section.values("candidate") for section in sections] == [(HOST[10:],), (HOST[10:],)]
    assert not any(section.has("end-of-candidates") for section in sections)
    assert all(section.has("end-of-candidates") for section in parse_description(with_candidates(OFFER, [END])).media)
    assert with_candidates(OFFER, []) == OFFER


async def test_candidates_go_in_bursts_and_end_with_the_last() -> None:
    trickle, sent = Trickle(), list[tuple[int, bool]]()

    async def send(candidates: Sequence[Candidate], is_final: bool) -> None:
        sent.append((len(candidates), is_final))
        if not is_final:
            trickle.add(Candidate(HOST))
            trickle.add(END)

    for _ in range(3):
        trickle.add(Candidate(HOST))
    await trickle.run(send)
    assert sent == [(3, False), (1, True)]
    assert trickle.count == 4


async def test_a_server_that_refuses_candidates_is_asked_once() -> None:
    trickle, asked = Trickle(), list[bool]()

    async def refuse(_: Sequence[Candidate], is_final: bool) -> None:
        asked.append(is_final)
        raise error_of("NOT_FOUND", "no such route")

    trickle.add(Candidate(HOST))
    async with asyncio.timeout(5):
        await trickle.run(refuse)
    assert asked == [False]


def test_more_candidates_than_a_server_takes_are_left_out() -> None:
    trickle = Trickle()
    for _ in range(MAX_CANDIDATES + 10):
        trickle.add(Candidate(HOST))
    assert len(trickle.drain()) == MAX_CANDIDATES
    assert trickle.drain() == []
