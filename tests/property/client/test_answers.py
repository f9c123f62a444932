"""Whatever a server answers or says, a client raises ReactorError or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from livereactor.client.errors import DecodeFailedError, ReactorError
from livereactor.client.http.api_errors import refusal
from livereactor.client.http.client import HttpAnswer
from livereactor.client.http.reading import read_body, read_descriptor, read_ice_servers
from livereactor.client.transport.peer_transport import Channels
from livereactor.engine.port import ChannelEvent, IceServer, MessageReceived
from livereactor.protocol import messages as m
from livereactor.protocol.http import Answer, ConnectionCreated, SessionDescriptor, UploadSlot
from livereactor.protocol.messages import WireFormat

WORDS = st.sampled_from(
    ["session_id", "state", "model", "name", "server_info", "server_version", "capabilities", "tracks", "commands",
     "kind", "direction", "video", "recvonly", "selected_transport", "protocol", "webrtc", "version", "queue",
     "position", "ice_servers", "uris", "credentials", "username", "password", "stun:a", "turn:a:1", "connection_id",
     "sdp_answer", "error", "detail", "code", "retry_after", "presigned_url", "presigned_id", "path", "recording",
     "end_reason"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=8),
    max_leaves=12,
)
BODIES = st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(st.sampled_from(["retry-after", "x-request-id", "reactor-api-version"]), st.text(max_size=12))
READERS: list[Callable[[HttpAnswer], Any]] = [
    lambda answer: read_descriptor(answer, "x"),
    lambda answer: read_ice_servers(answer, "x"),
    lambda answer: read_body(answer, ConnectionCreated, "x"),
    lambda answer: read_body(answer, Answer, "x"),
    lambda answer: read_body(answer, UploadSlot, "x"),
]


@given(st.sampled_from(READERS), BODIES)
@settings(max_examples=200)
def test_an_answer_is_read_or_undecodable(read: Callable[[HttpAnswer], Any], body: bytes) -> None:
    try:
        found = read(HttpAnswer(200, {}, body))
    except DecodeFailedError:
        return
    if isinstance(found, SessionDescriptor):
        assert found.session_id
    if isinstance(found, tuple):
        assert all(isinstance(server, IceServer) and server.urls for server in found)


@given(st.integers(100, 599), HEADERS, BODIES)
@example(501, {"reactor-api-version": "\x1f"}, b"")
@settings(max_examples=200)
def test_a_refusal_is_one_line_whatever_it_says(status: int, headers: dict[str, str], body: bytes) -> None:
    error = refusal(HttpAnswer(status, headers, body), "asking")
    assert isinstance(error, ReactorError)
    assert str(error).isprintable()
    assert error.retry_after is None or 0 <= error.retry_after <= 86_400
    assert len(str(error)) < 1000


class Silent:
    """A channel that takes everything."""

    is_open = True
    max_message_bytes = 262_144
    buffered_bytes = 0

    def __init__(self, label: str) -> None:
        self.label = label
        self.tell: Callable[[ChannelEvent], None] = lambda _: None

    def listen(self, events: Callable[[ChannelEvent], None]) -> None:
        self.tell = events

    def send(self, data: bytes, *, text: bool) -> None:
        pass

    async def drain(self, timeout: float) -> bool:
        return True

    def close(self) -> None:
        pass


FRAMES = (
    st.binary(max_size=80)
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: json.dumps({"scope": "runtime", "data": {"type": "clipReady", "data": value}}).encode())
    | st.sampled_from(["modelSchema", "moderation", "sessionEnded", "clipFailed", "news"]).flatmap(
        lambda kind: JSON.map(
            lambda value: json.dumps({"scope": "runtime", "data": {"type": kind, "data": value}}).encode()
        )
    )
)


@given(st.lists(st.tuples(st.sampled_from(["data", "control"]), FRAMES, st.booleans()), max_size=10))
@settings(max_examples=200)
def test_a_frame_is_a_message_or_is_counted(frames: list[tuple[str, bytes, bool]]) -> None:
    heard = list[m.ServerMessage]()
    channels = Channels(WireFormat.V0, heard.append, lambda _: None, lambda: None)
    ends = {label: Silent(label) for label in ("data", "control")}
    for end in ends.values():
        channels.add(end)
    for label, data, text in frames:
        ends[label].tell(MessageReceived(data, text))
    assert len(heard) + sum(channels.faults.values()) == len(frames)
