"""TURN servers whose credentials a stand-alone runtime makes itself."""

from __future__ import annotations

from livereactor.engine.port import IceServer, PeerConfig
from livereactor.protocol.turn import turn_credentials
from livereactor.runtime.options import SharedRelays
from tests.integration.models import Plain
from tests.integration.rig import serving

URL = "turn:relay.example:3478?transport=udp"
STUN = IceServer(("stun:stun.example:3478",))


async def test_clients_are_given_credentials_for_their_session() -> None:
    relays = SharedRelays((URL,), "between us", lifetime=600)
    options = {"peers": PeerConfig(ice_servers=(STUN,)), "relays": relays}
    async with serving(Plain, options=options) as served:
        sid = await served.start_session()
        answer = await served.http.get(served.path(sid, "ice_servers"), headers={"X-Forwarded-For": "203.0.113.5"})
        stun, turn = answer.json()["ice_servers"]
        assert stun == {"uris": list(STUN.urls)}
        assert turn["uris"] == [URL]
        shown = turn["credentials"]
        expires_at, _, session = shown["username"].partition(":")
        assert session == sid
        assert shown["password"] == turn_credentials("between us", sid, int(expires_at)).password
