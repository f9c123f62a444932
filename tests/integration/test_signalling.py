"""Offers, answers, candidates and connections over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from livereactor.base.errors import EngineError
from livereactor.base.limits import Limits
from livereactor.engine.memory.engine import MemoryPeer
from livereactor.engine.port import IceServer, PeerConfig, Section, Use
from livereactor.protocol import messages as m
from livereactor.protocol import v0
from tests.integration.models import Plain
from tests.integration.rig import Served, next_session_works, serving
from tests.tools.client_side import ClientSide


async def _offer(served: Served, **more: Any) -> tuple[ClientSide, dict[str, Any]]:
    side = await ClientSide.make(served.engine)
    return side, {**await served.offer_text(side, ("data", "control")), **more}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("cid", [1001, 1002, 4999, 9999])
async def test_an_offer_on_any_id_in_range_is_taken_with_202(method: str, cid: int) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        side, body = await _offer(served)
        answer = await served.http.request(method, served.path(sid, f"connections/{cid}/sdp_params"), json=body)
        assert answer.status_code == 202
        assert answer.json() == {"connection_id": cid}
        answered = await served.http.get(served.path(sid, f"connections/{cid}/sdp_params"))
        assert answered.status_code == 200
        assert answered.json()["connection_id"] == cid
        await side.aclose()


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_who_wants_the_answer_gets_it_with_the_202_and_may_read_it_again(method: str) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        side, body = await _offer(served, want_answer=True)
        path = served.path(sid, "connections/2000/sdp_params")
        taken = await served.http.request(method, path, json=body)
        assert (taken.status_code, taken.json()["connection_id"]) == (202, 2000)
        assert (await served.http.get(path)).json()["sdp_answer"] == taken.json()["sdp_answer"]
        await side.take_answer(taken.json()["sdp_answer"])
        await side.connected("data", "control")
        await side.aclose()


@pytest.mark.parametrize("cid", ["1000", "0", "-1", "10000", "abc", "1e4"])
async def test_an_id_out_of_range_is_400(cid: str) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        _, body = await _offer(served)
        path = served.path(sid, f"connections/{cid}/sdp_params")
        assert (await served.http.post(path, json=body)).status_code == 400
        assert (await served.http.get(path)).status_code == 400


async def test_registering_a_connection_answers_201_with_an_integer() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        for content in (b"", b"{}"):
            made = await served.http.post(
                served.path(sid, "connections"), content=content, headers={"Content-Type": "application/octet-stream"}
            )
            assert made.status_code == 201
            assert 5000 <= made.json()["connection_id"] <= 9999
            assert made.json()["track_map"]["webcam"] == {"kind": "video", "direction": "in"}


async def test_the_answer_keeps_every_section_and_can_be_read_again() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        _, body = await _offer(served)
        path = served.path(sid, "connections/2000/sdp_params")
        await served.http.post(path, json=body)
        texts = [(await served.http.get(path)).json()["sdp_answer"] for _ in range(3)]
        assert texts[0] == texts[1] == texts[2]
        mids = [line for line in texts[0].split("\r\n") if line.startswith("a=mid:")]
        assert mids == ["a=mid:0", "a=mid:1", "a=mid:2", "a=mid:3"]
        directions = [line for line in texts[0].split("\r\n") if line in ("a=sendonly", "a=recvonly", "a=inactive")]
        assert directions == ["a=sendonly", "a=sendonly", "a=recvonly"]


async def test_sections_are_bound_by_mid_whatever_their_order() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        side = await ClientSide.make(served.engine)
        text = await side.offer(
            [Section("video", Use.SEND), Section("audio", Use.RECEIVE), Section("video", Use.RECEIVE)], ("data",)
        )
        mapping = [
            {"mid": "2", "name": "main_video", "kind": "video", "direction": "recvonly"},
            {"mid": "0", "name": "webcam", "kind": "video", "direction": "sendonly"},
            {"mid": "1", "name": "nobody", "kind": "audio", "direction": "recvonly"},
        ]
        path = served.path(sid, "sdp_params")
        await served.http.post(path, json={"sdp_offer": text, "track_mapping": mapping})
        answer = (await served.http.get(path)).json()["sdp_answer"]
        directions = [line for line in answer.split("\r\n") if line in ("a=sendonly", "a=recvonly", "a=inactive")]
        assert directions == ["a=recvonly", "a=inactive", "a=sendonly"]
        await side.take_answer(answer)
        await side.connected("data")
        seen = asyncio.Event()
        side.tracks["2"].on_frame(lambda _: seen.set())  # the flat connection starts by itself
        await asyncio.wait_for(seen.wait(), 10)


@pytest.mark.parametrize(
    "change",
    [
        {"sdp_offer": "nonsense"},
        {"sdp_offer": ""},
        {"sdp_offer": None},
        {"track_mapping": [{"mid": "0", "name": "main_video", "kind": "video", "direction": "sideways"}]},
        {"track_mapping": {"mid": "0"}},
        {"track_mapping": [{"mid": 0}]},
    ],
)
async def test_a_wrong_offer_is_400_and_changes_nothing(change: dict[str, Any]) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        caller = await served.client(sid, number=3000)
        _, body = await _offer(served, **change)
        answer = await served.http.put(served.path(sid, "connections/3000/sdp_params"), json=body)
        assert answer.status_code == 400, answer.text
        assert await caller.told() == "joined level=1"


async def test_a_failed_negotiation_is_500_with_its_reason_and_frees_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(*_: object) -> None:
        raise EngineError("no port is free; widen port_range")

    async def breaks(*_: object) -> None:
        raise ZeroDivisionError

    async with serving(Plain, limits=Limits(max_connections=1)) as served:
        sid = await served.start_session()
        for accept, reason in ((fails, "no port is free"), (breaks, "ZeroDivisionError")):
            with monkeypatch.context() as patched:
                patched.setattr(MemoryPeer, "accept", accept)
                _, body = await _offer(served)
                path = served.path(sid, "connections/2000/sdp_params")
                assert (await served.http.post(path, json=body)).status_code == 202
                for _ in range(2):
                    answer = await served.http.get(path)
                    assert answer.status_code == 500
                    assert reason in answer.json()["error"]
        caller = await served.client(sid)
        assert await caller.told() == "joined level=1"


async def test_an_answer_asked_for_before_any_offer() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        assert (await served.http.get(served.path(sid, "sdp_params"))).status_code == 202
        number = (await served.http.post(served.path(sid, "connections"))).json()["connection_id"]
        assert (await served.http.get(served.path(sid, f"connections/{number}/sdp_params"))).status_code == 202
        assert (await served.http.get(served.path(sid, "connections/2222/sdp_params"))).status_code == 404
        await served.client(sid)
        assert (await served.http.get(served.path(sid, "sdp_params"))).status_code == 404


async def test_the_first_read_of_an_answer_is_held_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    release = asyncio.Event()
    accept = MemoryPeer.accept

    async def slow(self: MemoryPeer, *given: Any) -> Any:
        await release.wait()
        return await accept(self, *given)

    monkeypatch.setattr(MemoryPeer, "accept", slow)
    async with serving(Plain, limits=Limits(answer_hold=0.2)) as served:
        sid = await served.start_session()
        _, body = await _offer(served)
        path = served.path(sid, "connections/2000/sdp_params")
        await served.http.post(path, json=body)
        assert (await served.http.get(path)).status_code == 202
        reading = asyncio.create_task(served.http.get(path))
        done, _ = await asyncio.wait([reading], timeout=0.05)
        assert not done
        release.set()
        assert (await reading).status_code == 200


async def test_every_signalling_route_of_an_ended_session_is_404() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        _, body = await _offer(served)
        caller = await served.client(sid)
        await served.http.post("/stop_session")
        for _ in range(2):  # while it closes, and when it has
            for method, rest, json in (
                ("GET", "ice_servers", None),
                ("POST", "connections", {}),
                ("POST", "connections/5000/sdp_params", body),
                ("PUT", "connections/5000/sdp_params", body),
                ("GET", "connections/5000/sdp_params", None),
                ("POST", "connections/5000/ice_candidates", {"candidates": []}),
                ("POST", "sdp_params", body),
                ("GET", "sdp_params", None),
                ("POST", "ice_candidates", {"candidates": []}),
            ):
                answer = await served.http.request(method, served.path(sid, rest), json=json)
                assert answer.status_code == 404, (method, rest, answer.text)
            upload = {"name": "a", "size": 1, "mime_type": "text/plain"}
            assert (await served.http.post(f"/sessions/{sid}/uploads", json=upload)).status_code == 404
            await caller.gone()
            await served.state("ready")


async def test_ice_servers_are_there_at_once_and_hold_no_null() -> None:
    servers = (IceServer(("stun:stun.example:3478",)), IceServer(("turn:turn.example",), "u", "p"))
    async with serving(Plain, options={"peers": PeerConfig(ice_servers=servers)}) as served:
        path = served.path(await served.start_session(), "ice_servers")
        answer = await served.http.get(path, headers={"X-Forwarded-For": "203.0.113.5"})
        assert answer.json() == {
            "ice_servers": [
                {"uris": ["stun:stun.example:3478"]},
                {"uris": ["turn:turn.example"], "credentials": {"username": "u", "password": "p"}},
            ]
        }
        near = (await served.http.get(path)).json()["ice_servers"]
        assert [each["uris"] for each in near] == [["turn:turn.example"]], "STUN is of no use on one machine"


LINE = "candidate:1 1 udp 2122194687 192.0.2.2 {port} typ host generation 0 ufrag {ufrag} network-id 1"


def _candidates(*ufrags: str) -> dict[str, Any]:
    return {
        "candidates": [
            {"candidate": LINE.format(port=40_000 + number, ufrag=ufrag), "sdp_mid": "0", "sdp_mline_index": 0}
            for number, ufrag in enumerate(ufrags)
        ]
    }


async def test_candidates_before_their_offer_reach_its_peer() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        side, body = await _offer(served)
        ufrag = body["sdp_offer"].split("a=ice-ufrag:")[1].split("\r\n")[0]
        path = served.path(sid, "connections/2000/")
        early = await served.http.post(path + "ice_candidates", json=_candidates(ufrag, "other"))
        assert early.status_code == 202
        await served.http.post(path + "sdp_params", json=body)
        await served.http.get(path + "sdp_params")
        end = {"candidates": [{"candidate": ""}], "is_final": True}
        assert (await served.http.post(path + "ice_candidates", json=end)).status_code == 202
        assert [candidate.line for candidate in _server_peer(served, side).candidates] == [
            LINE.format(port=40_000, ufrag=ufrag)
        ]


async def test_candidates_before_a_put_go_to_the_new_peer_and_not_to_the_old() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        old = await served.client(sid, number=2000)
        side, body = await _offer(served)
        ufrag = body["sdp_offer"].split("a=ice-ufrag:")[1].split("\r\n")[0]
        path = served.path(sid, "connections/2000/")
        await served.http.post(path + "ice_candidates", json=_candidates(ufrag))
        assert _server_peer(served, old.side).candidates == []
        await served.http.put(path + "sdp_params", json=body)
        await served.http.get(path + "sdp_params")
        await served.http.post(path + "ice_candidates", json={"candidates": []})
        assert len(_server_peer(served, side).candidates) == 1


def _server_peer(served: Served, _: ClientSide) -> MemoryPeer:
    """The runtime's newest peer: clients' own are even-handedly made before it."""
    return served.engine.peers[-1]


async def test_floods_of_candidates_are_refused_with_the_limit() -> None:
    async with serving(Plain, limits=Limits(candidates_per_connection=10, waiting_connections=3)) as served:
        sid = await served.start_session()
        many = _candidates(*["x"] * 10)
        assert (
            await served.http.post(served.path(sid, "connections/2000/ice_candidates"), json=many)
        ).status_code == 202
        one_more = await served.http.post(served.path(sid, "connections/2000/ice_candidates"), json=_candidates("x"))
        assert one_more.status_code == 429
        assert "10 of 10" in one_more.json()["error"]
        statuses = [
            (await served.http.post(served.path(sid, f"connections/{cid}/ice_candidates"), json=_candidates("x")))
            for cid in range(2001, 2006)
        ]
        assert [each.status_code for each in statuses] == [202, 202, 429, 429, 429]
        caller = await served.client(sid, number=3000)
        peer = caller.side.peer
        assert isinstance(peer, MemoryPeer)
        ufrag = peer.ufrag
        live = served.path(sid, "connections/3000/ice_candidates")
        assert (await served.http.post(live, json=_candidates(*[ufrag] * 10))).status_code == 202
        assert (await served.http.post(live, json=_candidates(ufrag))).status_code == 429
        assert (await served.http.post(live, json=_candidates(*[ufrag] * 300))).status_code == 400
        await next_session_works(served)


async def test_one_connection_too_many_is_429_with_retry_after() -> None:
    async with serving(Plain, limits=Limits(max_connections=2)) as served:
        sid = await served.start_session()
        first, _ = await served.client(sid), await served.client(sid)
        _, body = await _offer(served)
        for answer in (
            await served.http.post(served.path(sid, "connections")),
            await served.http.post(served.path(sid, "connections/2000/sdp_params"), json=body),
        ):
            assert answer.status_code == 429
            assert answer.json()["code"] == "RATE_LIMITED"
            assert "2 of 2" in answer.json()["error"]
            assert float(answer.headers["retry-after"]) > 0
        unread = {**body, "sdp_offer": "no SDP at all"}  # who gets no place has no offer read
        path = served.path(sid, "connections/2000/sdp_params")
        assert (await served.http.post(path, json=unread)).status_code == 429
        again = await served.client(sid, number=first.number, method="PUT")  # a reconnect is not one more
        assert (await again.told()).endswith("level=1")


async def test_a_put_replaces_the_peer_keeps_the_model_and_frees_the_slot() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        old = await served.client(sid)
        await old.command("set_level", level=3)
        old.say(m.PublishTrack("webcam", "ctrl_1"))
        assert isinstance(await old.hear("control"), m.PublishGranted)
        new = await served.client(sid, number=old.number, method="PUT")
        await old.gone()
        assert await new.told() == "joined left joined level=3"
        new.say(m.PublishTrack("webcam", "ctrl_2"))
        assert isinstance(await new.hear("control"), m.PublishGranted)
        assert "orphaned" not in str(served.runtime.event_log.entries)


async def test_two_peers_of_a_flat_and_an_explicit_connection_live_side_by_side() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        explicit, flat = await served.client(sid), await served.client(sid, v0, flat=True)
        flat.say(m.Command("echo", {"text": "hi"}))
        assert (await flat.hear_of(m.ModelMessage)).data == {"text": "welcome owner"}
        assert (await flat.hear_of(m.ModelMessage)).data == {"text": "hi"}
        explicit.say(m.Ping())
        heard = [(await explicit.hear_of(m.ModelMessage)).data["text"] for _ in range(2)]
        assert heard == ["welcome owner", "all hi"]


async def test_an_offer_that_never_connects_frees_its_place() -> None:
    async with serving(Plain, limits=Limits(offer_to_live=0.1, max_connections=1, unclaimed_window=30)) as served:
        sid = await served.start_session()
        _, body = await _offer(served)
        await served.http.post(served.path(sid, "connections/2000/sdp_params"), json=body)
        assert (await served.http.post(served.path(sid, "connections"))).status_code == 429
        await served.until(lambda: not served.runtime.members.connections)  # a test may look
        assert (await served.http.post(served.path(sid, "connections"))).status_code == 201
        assert (await served.http.get(served.path(sid, "connections/2000/sdp_params"))).status_code == 404
