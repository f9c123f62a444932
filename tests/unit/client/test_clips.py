"""Asking for clips: what is sent, what each answer becomes, and how long a clip that is not there is waited for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livereactor.client.errors import ReactorError, RecordingError, error_of
from livereactor.client.files.clips import request_clip, request_recording
from livereactor.client.http.api import Api
from livereactor.client.http.credentials import Credentials
from livereactor.client.types import Clip
from livereactor.protocol import messages as m
from livereactor.runtime.recording.lifecycle import NO_PICTURE

READY = m.ClipReady("rec-1", "snap", 2.0, 12.0, 12.0, 1_795_502_098_953, "/clips?session_id=rec-1&start=2.000")


class Server:
    """What answers, and what it was asked."""

    def __init__(self, answer: m.ServerMessage | ReactorError | None) -> None:
        self.answer, self.asked = answer, list[tuple[Any, float]]()

    async def __call__(self, question: Any, timeout: float) -> m.ServerMessage | None:
        self.asked.append((question, timeout))
        if isinstance(self.answer, ReactorError):
            raise self.answer
        return self.answer


def api_at(url: str, *, local: bool = False) -> Api:
    return Api(url, local=local, credentials=Credentials(jwt="a-token"))


API = api_at("https://api.example/v1")


async def test_a_clip_has_its_markers_and_an_absolute_address() -> None:
    server = Server(READY)
    clip = await request_clip(server, API, 10)
    assert server.asked == [(m.RequestClip(10.0), 10.0)]
    url = "https://api.example/v1/clips?session_id=rec-1&start=2.000"
    assert clip == Clip("rec-1", "snap", 2.0, 12.0, 12.0, 1_795_502_098.953, url)
    assert clip.duration == 10.0


async def test_the_recording_is_asked_for_as_such() -> None:
    server = Server(READY)
    await request_recording(server, API)
    assert server.asked == [(m.RequestRecording(), 10.0)]


@pytest.mark.parametrize(
    ("api", "told", "url"),
    [
        (API, "https://store.example/p?sig=a%2Fb", "https://store.example/p?sig=a%2Fb"),
        (
            api_at("http://10.0.0.7:8080", local=True),
            "http://localhost:8080/clips?a=1",
            "http://10.0.0.7:8080/clips?a=1",
        ),
        (api_at("http://10.0.0.7:8080", local=True), "/clips?a=1", "http://10.0.0.7:8080/clips?a=1"),
    ],
)
async def test_an_absolute_address_is_kept_but_a_local_runtimes_is_where_we_reach_it(
    api: Api, told: str, url: str
) -> None:
    answer = m.ClipReady("rec-1", "snap", 0.0, 1.0, 1.0, 0, told)
    assert (await request_clip(Server(answer), api, 1)).playlist_url == url


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "10", None, 10**400, 1j])
async def test_a_length_that_is_none_sends_nothing(seconds: Any) -> None:
    server = Server(READY)
    with pytest.raises(RecordingError) as raised:
        await request_clip(server, API, seconds)
    assert (raised.value.code, raised.value.recoverable, raised.value.component) == (
        "INVALID_DURATION",
        False,
        "client",
    )
    assert server.asked == []


async def test_any_real_number_is_a_length() -> None:
    server = Server(READY)
    length: Any = np.float32(2.5)
    await request_clip(server, API, length)
    assert server.asked[0][0] == m.RequestClip(2.5)


@pytest.mark.parametrize(
    ("answer", "code", "recoverable"),
    [
        (m.ClipFailed("recorder disabled"), "RECORDER_DISABLED", False),
        (m.ClipFailed("recorder disabled or encoder crashed"), "RECORDER_DISABLED", False),
        (m.ClipFailed(NO_PICTURE), "RECORDER_DISABLED", False),
        (m.ClipFailed(m.MAY_NOT_RECORD), "FORBIDDEN", False),
        (m.ClipFailed("no media generated yet"), "NO_MEDIA_YET", True),
        (m.ClipFailed("duration_seconds must be positive"), "INVALID_DURATION", False),
        (m.ClipFailed("a stepped session is not recorded, so it has no clips"), "INTERNAL_ERROR", False),
        (m.ClipFailed(""), "INTERNAL_ERROR", False),
        (m.Ack("1"), "INTERNAL_ERROR", False),
        (m.ClipReady("r", "snap", 0.0, 1.0, 1.0, 0, "ftp://store.example/p"), "INVALID_PLAYLIST", False),
        (error_of("NOT_READY", "not ready"), "DISCONNECTED", True),
        (error_of("DISCONNECTED", "connection lost before the reply"), "DISCONNECTED", True),
        (error_of("REQUEST_TIMEOUT", "no reply in 10 s"), "REQUEST_TIMEOUT", True),
        (error_of("RECORDER_DISABLED", "recording is off"), "RECORDER_DISABLED", False),
        (error_of("FORBIDDEN", "token lacks scope"), "FORBIDDEN", False),
    ],
)
async def test_every_reason_for_no_clip_is_a_recording_error(answer: Any, code: str, recoverable: bool) -> None:
    for asked in (request_clip(Server(answer), API, 1.0), request_recording(Server(answer), API)):
        with pytest.raises(RecordingError) as raised:
            await asked
        assert (raised.value.code, raised.value.recoverable) == (code, recoverable)
        assert raised.value.operation in ("request_clip", "request_recording")
