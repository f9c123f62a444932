"""Whose a Connection is: who may only watch, or came by another link, takes no Connection over from somebody else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from livereactor.base.limits import Limits
from livereactor.engine.memory.engine import MemoryEngine
from livereactor.engine.port import PeerConfig, PeerState, Section, Use
from tests.integration.coordinator.asking import must_be_problem
from tests.integration.coordinator.rig import Served, coordinating
from tests.integration.models import Plain
from tests.integration.worker.serving import working
from tests.tools.client_side import ClientSide

MAPPING = [{"mid": "0", "name": "main_video", "kind": "video", "direction": "recvonly"}]


@dataclass
class Stage:
    """A Session that runs on a Worker of ours, and whoever asks for its Connections."""

    served: Served
    engine: MemoryEngine
    session: str
    sides: list[ClientSide] = field(default_factory=list[ClientSide])

    async def ask(self, method: str, rest: str, token: str = "", **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        path = f"/sessions/{self.session}/transport/webrtc/{rest}"
        return await self.served.http.request(method, path, headers=headers, **more)

    async def connection(self, token: str = "") -> str:
        """A number of one's own, as part of a path."""
        return f"connections/{(await self.ask('POST', 'connections', token)).json()['connection_id']}"

    async def join(self, connection: str, token: str = "", method: str = "POST") -> ClientSide:
        """Be connected on it."""
        side = await self.side()
        offered = await self.ask(method, f"{connection}/sdp_params".lstrip("/"), token, json=await _offer(side))
        assert offered.status_code == 202, offered.text
        answer = await self.ask("GET", f"{connection}/sdp_params".lstrip("/"), token)
        await side.take_answer(answer.json()["sdp_answer"])
        await side.connected("data")
        return side

    async def side(self) -> ClientSide:
        side = await ClientSide.make(self.engine, PeerConfig())
        self.sides.append(side)
        return side

    async def share(self) -> str:
        """The token of a link to this Session, to watch."""
        return (await self.served.http.post(f"/sessions/{self.session}/share", json={})).json()["jwt"]

    async def is_kept_from(self, connection: str, token: str) -> None:
        """Whoever shows the token can neither read nor replace nor disturb what is on that Connection."""
        path = f"{connection}/sdp_params".lstrip("/")
        offer = await _offer(await self.side())
        for method, body in (("GET", None), ("PUT", offer), ("POST", offer)):
            text = must_be_problem(await self.ask(method, path, token, json=body), 409, "CONFLICT")
            assert "POST …/connections" in text
        candidates = {"candidates": [{"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdp_mid": "0"}]}
        told = await self.ask("POST", f"{connection}/ice_candidates".lstrip("/"), token, json=candidates)
        must_be_problem(told, 409, "CONFLICT")


async def _offer(side: ClientSide) -> dict[str, Any]:
    text = await side.offer([Section("video", Use.RECEIVE, "main_video")], ("data",))
    return {"sdp_offer": text, "track_mapping": MAPPING}


@asynccontextmanager
async def on_stage() -> AsyncGenerator[Stage]:
    limits = replace(Limits(), exit_timeout=4.0)
    async with (
        coordinating(models=("plain",)) as served,
        working(Plain, served.url, secret=served.secrets.worker, limits=limits) as work,
    ):
        session = await served.session("plain")
        await served.ready(session)
        stage = Stage(served, work.engine, session)
        try:
            yield stage
        finally:
            for each in stage.sides:
                await each.aclose()


async def test_a_share_link_cannot_take_the_owners_connection_over() -> None:
    async with on_stage() as stage:
        connection = await stage.connection()
        owner = await stage.join(connection)
        await stage.is_kept_from(connection, await stage.share())
        assert owner.state is PeerState.CONNECTED


async def test_a_number_that_was_given_out_is_kept_before_its_offer_comes() -> None:
    async with on_stage() as stage:
        connection = await stage.connection()
        await stage.is_kept_from(connection, await stage.share())
        await stage.join(connection)


async def test_two_links_to_one_session_do_not_disturb_each_other() -> None:
    async with on_stage() as stage:
        first, second = await stage.share(), await stage.share()
        connection = await stage.connection(first)
        viewer = await stage.join(connection, first)
        await stage.is_kept_from(connection, second)
        await stage.join(await stage.connection(second), second)
        assert viewer.state is PeerState.CONNECTED


async def test_numbers_that_clients_choose_and_the_flat_one_are_kept_too_while_somebody_is_there() -> None:
    async with on_stage() as stage:
        link = await stage.share()
        for connection in ("connections/1002", ""):
            await stage.join(connection)
            await stage.is_kept_from(connection, link)


async def test_the_same_caller_comes_back_on_its_number_with_another_token() -> None:
    async with on_stage() as stage:
        connection = await stage.connection()
        await stage.join(connection)
        await stage.join(connection, await stage.served.token(), "PUT")  # an unscoped token of the same account
        flat = await stage.join("")
        assert (await stage.join("", method="PUT")) is not flat


async def test_who_mints_a_token_for_every_call_keeps_its_connection() -> None:
    async with on_stage() as stage:

        async def minted() -> str:
            resources = {"models": {"all": True}, "sessions": {"bind": [stage.session]}}
            return await stage.served.token(authorization_details=[{"type": "session", "resources": resources}])

        connection = await stage.connection(await minted())
        await stage.join(connection, await minted())
        await stage.join(connection, await minted(), "PUT")
        await stage.is_kept_from(connection, await stage.share())
