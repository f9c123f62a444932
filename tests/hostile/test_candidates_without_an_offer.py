"""Candidates for offers that never come: a link to watch takes neither the owner's places nor its candidates."""

from __future__ import annotations

from typing import Any

from livereactor.base.limits import Limits
from tests.integration.coordinator.asking import must_be_problem
from tests.integration.coordinator.test_whose_connection import Stage, on_stage

PLACES, MOST = Limits().waiting_connections, Limits().candidates_per_connection


def _candidates(number: int = 1) -> dict[str, Any]:
    one = {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdp_mid": "0"}
    return {"candidates": [one] * number}


async def _send(stage: Stage, connection: int, token: str = "", number: int = 1) -> Any:
    return await stage.ask("POST", f"connections/{connection}/ice_candidates", token, json=_candidates(number))


async def test_a_link_that_takes_every_place_keeps_the_owner_out_of_none() -> None:
    async with on_stage() as stage:
        link, other = await stage.share(), await stage.share()
        for number in range(PLACES):
            assert (await _send(stage, 2000 + number, link)).status_code == 202
        refused = must_be_problem(await _send(stage, 3000, link), 429, "RATE_LIMITED")
        assert f"{PLACES} of {PLACES}" in refused
        assert (await _send(stage, 3001, other)).status_code == 202
        for number in range(PLACES):
            assert (await _send(stage, 4000 + number)).status_code == 202
        must_be_problem(await _send(stage, 3002, link), 429, "RATE_LIMITED")
        unread = await stage.ask("POST", "connections/3003/ice_candidates", link, content=b"no JSON")
        must_be_problem(unread, 429, "RATE_LIMITED")


async def test_a_links_candidates_count_for_no_offer_of_the_owner() -> None:
    async with on_stage() as stage:
        assert (await _send(stage, 2000, await stage.share(), MOST)).status_code == 202
        await stage.join("connections/2000")
        assert all(not peer.candidates for peer in stage.engine.peers)
        assert (await _send(stage, 2000, "", MOST)).status_code == 202
