"""A link to watch that takes the places of a session: bounded for each link, and never the owner's."""

from __future__ import annotations

from livereactor.engine.port import PeerState
from livereactor.protocol import messages as m
from livereactor.protocol import v0
from tests.integration.coordinator.asking import must_be_problem
from tests.integration.coordinator.test_whose_connection import Stage, on_stage
from tests.tools.client_side import ClientSide


async def _join(stage: Stage, token: str = "") -> ClientSide:
    return await stage.join(await stage.connection(token), token)


async def test_a_link_gets_no_more_than_its_own_connections() -> None:
    async with on_stage() as stage:
        link = await stage.share()
        for _ in range(2):
            await _join(stage, link)
        refused = await stage.ask("POST", "connections", link, json={})
        told = must_be_problem(refused, 429, "RATE_LIMITED")
        assert "2 of 2 connections of this share link (link_connections)" in told
        assert "again in 5 s" in told
        assert refused.headers["retry-after"] == "5"
        await _join(stage, await stage.share())


async def test_the_owner_displaces_the_newest_viewer_who_is_told_why() -> None:
    async with on_stage() as stage:
        links = [await stage.share() for _ in range(3)]
        viewers = [await _join(stage, links[number // 2]) for number in range(4)]
        refused = await stage.ask("POST", "connections", links[2], json={})
        assert "4 of 4 connections" in must_be_problem(refused, 429, "RATE_LIMITED")
        viewers[3].send("data", '{"type": "ping", "data": {}}')  # so its wire format is known
        owner = await _join(stage)
        assert owner.state is PeerState.CONNECTED
        while not isinstance(message := await _heard(viewers[3]), m.SessionEnded):
            pass
        assert message.reason == "displaced"  # and no reason for which a session ends
        await viewers[3].until(lambda: viewers[3].state is PeerState.CLOSED)
        assert [each.state for each in viewers[:3]] == [PeerState.CONNECTED] * 3


async def _heard(side: ClientSide) -> m.ServerMessage:
    return v0.decode_server("data", (await side.receive("data")).data, limit=1 << 20)
