"""HTTP bodies as official clients send them (protocol.md, Appendix B) and want them."""

from __future__ import annotations

import pytest

from livereactor.base.errors import NotFoundError, PeerError, UnavailableError
from livereactor.protocol import http


@pytest.mark.parametrize("raw", [b"", b"null", b"{}", b" \n", b' {"unknown": [1]} '])
def test_no_parameters_come_in_many_shapes(raw: bytes) -> None:
    assert http.read_body(http.StartSession, raw) == http.StartSession()
    assert http.read_body(http.StopSession, raw) == http.StopSession()
    assert http.read_body(http.Candidates, raw) == http.Candidates()


def test_a_start_tells_stepping_and_arguments_in_either_spelling() -> None:
    start = http.read_body(
        http.StartSession,
        b'{"extra_args":{"a":1},"extra_configs":{"a":2,"b":3,"generation":"stepped"},"client_info":{"sdk_type":"js"}}',
    )
    assert start.is_stepped
    assert start.arguments == {"a": 1, "b": 3, "generation": "stepped"}
    assert http.read_body(http.StartSession, b'{"generation":"stepped"}').is_stepped
    assert not http.read_body(http.StartSession, b'{"generation":null}').is_stepped


def test_an_offer_reads_as_python_sends_it() -> None:
    offer = http.read_body(
        http.Offer,
        b'{"sdp_offer":"v=0\\r\\n","client_info":{"sdk_version":"1.13.0","sdk_type":"python"},'
        b'"track_mapping":[{"name":"main_video","kind":"video","direction":"recvonly","mid":"0"}]}',
    )
    assert offer.sdp_offer == "v=0\r\n"
    assert offer.track_mapping == [http.TrackMapping(mid="0", name="main_video", kind="video", direction="recvonly")]
    assert not offer.client_info.is_livereactor


def test_candidates_read_as_python_sends_them() -> None:
    body = http.read_body(
        http.Candidates,
        b'{"candidates":[{"candidate":"candidate:1 1 udp 1 192.0.2.2 1 typ host","sdp_mid":"0","sdp_mline_index":0}],'
        b'"is_final":false,"client_info":{}}',
    )
    assert body.candidates[0].sdp_mid == "0"
    assert http.read_body(http.Candidates, b'{"candidates":[],"is_final":true}').is_final


@pytest.mark.parametrize(
    ("model", "raw", "message"),
    [
        (http.Offer, b"{}", "the body: sdp_offer: field required"),
        (http.Offer, b"[]", "the body is a JSON list, not an object; send an object or nothing"),
        (
            http.Offer,
            b'{"sdp_offer":"v=0","track_mapping":[{"mid":"0","name":"a","kind":"video","direction":"up"}]}',
            "the body: track_mapping.0.direction: input should be 'recvonly' or 'sendonly'",
        ),
        (
            http.UploadRequest,
            b'{"name":"a","size":0,"mime_type":"b"}',
            "the body: size: input should be greater than 0",
        ),
        (http.StartSession, b'{"steps":10001}', "the body: steps: input should be less than or equal to 10000"),
        (
            http.StartSession,
            b'{"starting_input":{"states":{}}}',
            "the body: starting_input.states: extra inputs are not permitted",
        ),
        (http.UploadRequest, b"{}", "the body: name: field required (and 2 more)"),
        (
            http.CreateSession,
            b'{"model":"pond"}',
            'the body: model: want an object such as {"name": …, "version": …}',
        ),
        (http.CreateSession, b'{"model":{"name":1}}', "the body: model.name: input should be a valid string"),
        (
            http.CreateSession,
            b'{"model":{"name":"pond"},"ice_servers":["stun:a"]}',
            'the body: ice_servers.0: want an object such as {"uris": …, "credentials": …}',
        ),
    ],
)
def test_a_wrong_body_is_one_readable_sentence(model: type[http.Body], raw: bytes, message: str) -> None:
    with pytest.raises(PeerError) as caught:
        http.read_body(model, raw)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "raw", [b"\xff", b"{", b'{"a":NaN}', b'{"sdp_offer":"\\ud800"}', b"[" * 100_000, bytes(2_000_000)]
)
def test_what_is_not_json_is_a_peer_error(raw: bytes) -> None:
    with pytest.raises(PeerError):
        http.read_body(http.Offer, raw)


def test_what_is_absent_is_left_out() -> None:
    descriptor = http.SessionDescriptor(
        session_id="s",
        state="waiting",
        model=http.ModelInfo(name="pond"),
        server_info=http.ServerInfo(server_version="0.1.0"),
    )
    assert descriptor.to_body() == {
        "session_id": "s",
        "state": "waiting",
        "cluster": "local",
        "model": {"name": "pond"},
        "server_info": {"server_version": "0.1.0"},
    }
    servers = http.IceServers(ice_servers=[http.IceServerBody(uris=["stun:stun.example:3478"])])
    assert servers.to_body() == {"ice_servers": [{"uris": ["stun:stun.example:3478"]}]}


def test_a_ready_descriptor_is_the_specifications() -> None:
    descriptor = http.SessionDescriptor(
        session_id="s",
        state="ACTIVE",
        model=http.ModelInfo(name="m"),
        server_info=http.ServerInfo(server_version="0.1.0"),
        selected_transport=http.SelectedTransport(),
        capabilities=http.CapabilitiesBody(
            tracks=[http.TrackCapability(name="main_video", kind="video", direction="recvonly")],
            commands=[http.CommandCapability(name="drop", schema={"x": {"type": "number"}})],
        ),
    )
    body = descriptor.to_body()
    assert body["selected_transport"] == {"protocol": "webrtc", "version": "1.0"}
    assert body["capabilities"] == {
        "protocol_version": "v0",
        "tracks": [{"name": "main_video", "kind": "video", "direction": "recvonly"}],
        "commands": [{"name": "drop", "description": "", "schema": {"x": {"type": "number"}}}],
    }


def test_a_problem_says_it_twice_and_names_its_code() -> None:
    body = http.problem(NotFoundError("no open session"))
    assert body == {"error": "no open session", "detail": "no open session", "code": "NOT_FOUND", "recoverable": False}
    assert http.problem(UnavailableError("loading", retry_after=5.0))["retry_after"] == 5.0
