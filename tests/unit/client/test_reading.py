"""Answers of our servers, of official ones and of neither."""

from __future__ import annotations

import json
from typing import Any

import pytest

from livereactor.client.errors import DecodeFailedError
from livereactor.client.http.client import HttpAnswer
from livereactor.client.http.reading import read_body, read_descriptor, read_ice_servers
from livereactor.protocol.http import ConnectionCreated

TRACK = {"name": "main_video", "kind": "video", "direction": "recvonly"}
READY = {
    "session_id": "s",
    "state": "ACTIVE",
    "selected_transport": {"protocol": "webrtc", "version": "1.0"},
    "capabilities": {"protocol_version": "v0", "tracks": [TRACK], "commands": []},
}


def answer(body: Any, status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_what_official_python_clients_do_without_is_not_missed() -> None:
    found = read_descriptor(answer({"session_id": "s", "state": "CREATED"}), "x")
    assert (found.session_id, found.state, found.model.name, found.server_info.server_version) == (
        "s",
        "CREATED",
        "",
        "",
    )
    assert found.capabilities is None


def test_nulls_are_as_absent() -> None:
    nulls = dict.fromkeys(("selected_transport", "capabilities", "model", "server_info", "cluster", "queue"))
    assert read_descriptor(answer({"session_id": "s", "state": "PENDING", **nulls}), "x").capabilities is None
    capabilities = {"tracks": [TRACK], "commands": None, "emission_fps": None, "protocol_version": None}
    assert read_descriptor(answer({**READY, "capabilities": capabilities}), "x").capabilities is not None
    command = {"name": "c", "description": None, "schema": {"a": {"default": None}}}
    found = read_descriptor(answer({**READY, "capabilities": {**capabilities, "commands": [command]}}), "x")
    assert found.capabilities is not None
    assert found.capabilities.commands[0].description == ""
    assert found.capabilities.commands[0].arguments_schema == {"a": {"default": None}}


def test_fields_without_a_name_are_kept_and_ours_said_otherwise_are_not() -> None:
    found = read_descriptor(answer({**READY, "zone": "a", "recording": True, "queue": 3, "expires_at": "soon"}), "x")
    assert found.model_extra == {"zone": "a"}
    assert (found.recording, found.queue, found.expires_at) == (None, None, None)


def test_tracks_of_a_kind_that_cannot_be_offered_are_left_out() -> None:
    tracks = [TRACK, {**TRACK, "kind": "depth"}, {**TRACK, "direction": "sideways"}, 5]
    found = read_descriptor(answer({**READY, "capabilities": {"tracks": tracks}}), "x")
    assert found.capabilities is not None
    assert len(found.capabilities.tracks) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b"\xff", b"<html>", b'{"session_id": "s"}', b'{"state": "A"}',
     b'{"session_id": "", "state": "A"}', b'{"session_id": 5, "state": "A"}', b'{"session_id": NaN, "state": "A"}',
     {**READY, "capabilities": {}}, {**READY, "capabilities": {"tracks": 5}}, b"[" * 10_000,
     {**READY, "selected_transport": {"protocol": "carrier pigeon", "version": "1.0"}}],
)  # fmt: skip
def test_what_is_no_description_is_told_so(body: Any) -> None:
    with pytest.raises(DecodeFailedError, match="unexpected answer to asking"):
        read_descriptor(answer(body), "asking")


def test_ice_servers_that_cannot_be_used_are_left_out() -> None:
    relay = {
        "uris": ["turn:t:3478?transport=udp", "turns:t", "turn:t?x=y"],
        "credentials": {"username": "u", "password": "p"},
    }
    listed = [
        {"uris": ["stun:s.example:3478", "stun:", "http://x", 5, "stun:ho st", "stun:s:99999"], "credentials": None},
        relay,
        {"uris": ["turn:t:3478"]},
        {"uris": ["stun:[fd00::1]:3478"]},
        {"uris": "stun:s"},
        5,
    ]
    servers = read_ice_servers(answer({"ice_servers": listed}), "x")
    assert [server.urls for server in servers] == [
        ("stun:s.example:3478",),
        ("turn:t:3478?transport=udp", "turns:t"),
        ("stun:[fd00::1]:3478",),
    ]
    assert (servers[1].username, servers[1].password) == ("u", "p")
    with pytest.raises(DecodeFailedError):
        read_ice_servers(answer({"ice_servers": None}), "x")


def test_a_connections_number_may_be_a_text_but_not_words() -> None:
    assert read_body(answer({"connection_id": "5001", "track_map": None}), ConnectionCreated, "x").connection_id == 5001
    with pytest.raises(DecodeFailedError):
        read_body(answer({"connection_id": "five"}), ConnectionCreated, "x")
