"""The small parts of the runtime's shell, each alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from livereactor.base.errors import LivereactorError, NotFoundError, UnavailableError, UnresolvedUploadError
from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import Changes
from livereactor.engine.port import PeerStats
from livereactor.media.frames import Frame, Sound
from livereactor.protocol import messages as m
from livereactor.protocol.http import UploadRequest
from livereactor.runtime.authoring.model import definition_of
from livereactor.runtime.interfaces import OutputDeclaration, Progress, StepOutput
from livereactor.runtime.session.describing import descriptor, health
from livereactor.runtime.session.lifecycle import SessionState
from livereactor.runtime.session.metrics import KEPT, EventLog, Metrics
from livereactor.runtime.session.steps import StepRefusedError, failure_of, step_media, step_result
from livereactor.runtime.session.uploads import Uploads
from livereactor.web.access import Access
from livereactor.web.guard import Guard
from tests.integration.models import Plain
from tests.tools.memory_blobs import MemoryBlobs

# --- steps ---


@pytest.mark.parametrize(
    "frame",
    [
        m.MediaFrame("raw", "uint8", (2, 2, 3), b"\0" * 11),
        m.MediaFrame("raw", "uint8", (0, 2, 3), b""),
        m.MediaFrame("raw", "uint8", (2, 2, 4), b"\0" * 16),
        m.MediaFrame("raw", "uint8", (1 << 40, 1 << 40, 3), b""),
        m.MediaFrame("raw", "int16", (2, 2, 3), b"\0" * 24),
        m.MediaFrame("h264", "uint8", (2, 2, 3), b"\0" * 12),
        m.MediaFrame("raw", "uint8", (12,), b"\0" * 12),
    ],
)
def test_a_frame_that_is_none_is_refused_by_its_entry(frame: m.MediaFrame) -> None:
    with pytest.raises(StepRefusedError) as caught:
        step_media([m.TrackFrames("webcam", "video", (frame,), 30.0)], {"webcam": "video"})
    assert caught.value.entry == "media_input[0]"


def test_sound_travels_channels_first_and_is_samples_first_inside() -> None:
    samples = np.arange(6, dtype="<i2").reshape(2, 3)  # (channels, samples)
    frame = m.MediaFrame("raw", "int16", (2, 3), samples.tobytes())
    (sound,) = step_media([m.TrackFrames("mic", "audio", (frame,), 48_000.0)], {"mic": "audio"})["mic"]
    assert isinstance(sound, Sound)
    assert np.array_equal(sound.samples, samples.T)
    made = step_result("r", StepOutput(1, {"out": [sound]}, 0.1), [OutputDeclaration("out", "audio")])
    assert made.tracks[0].frames[0].data == frame.data


def test_every_output_track_has_an_entry_in_declaration_order() -> None:
    tracks = [OutputDeclaration("b", "video"), OutputDeclaration("a", "audio")]
    made = step_result("r", StepOutput(1, {"b": [Frame(np.zeros((2, 2, 3), np.uint8))]}, 0.1), tracks)
    assert [(each.track, len(each.frames)) for each in made.tracks] == [("b", 1), ("a", 0)]


def test_errors_have_their_failure_on_the_wire() -> None:
    ended = UnavailableError("over", code="session_ended")
    assert failure_of(ended) is m.StepFailure.SESSION_ENDED
    assert failure_of(UnavailableError("busy")) is m.StepFailure.NOT_READY
    assert failure_of(LivereactorError("x")) is m.StepFailure.REFUSED
    assert failure_of(LivereactorError("x"), m.StepFailure.FAILED) is m.StepFailure.FAILED


# --- uploads ---

TEXT = UploadRequest(name="a.txt", size=4, mime_type="text/plain")


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_bytes_written_while_the_session_ends_are_refused_and_leave_nothing() -> None:
    blobs = MemoryBlobs()
    uploads = Uploads(blobs, Limits())
    uploads.begin("ses_1")
    upload, path = uploads.reserve(TEXT)
    query = dict(pair.split("=", 1) for pair in path.split("?")[1].split("&"))

    async def ends_meanwhile() -> AsyncIterator[bytes]:
        yield b"ab"
        await uploads.end()
        yield b"cd"

    with pytest.raises(NotFoundError, match="ended"):
        await uploads.write(upload, query, ends_meanwhile())
    assert not blobs.paths()


async def test_a_broken_off_body_can_be_sent_again() -> None:
    uploads = Uploads(MemoryBlobs(), Limits())
    uploads.begin("ses_1")
    upload, path = uploads.reserve(TEXT)
    query = dict(pair.split("=", 1) for pair in path.split("?")[1].split("&"))
    with pytest.raises(LivereactorError, match="2 of the 4"):
        await uploads.write(upload, query, _pieces(b"ab"))
    await uploads.write(upload, query, _pieces(b"ab", b"cd"))
    assert (await uploads.file(upload)).data == b"abcd"


async def test_a_file_of_another_session_is_not_found() -> None:
    uploads = Uploads(MemoryBlobs(), Limits(upload_wait=0.01))
    uploads.begin("ses_1")
    upload, _ = uploads.reserve(TEXT)
    assert uploads.notice(upload)
    assert not uploads.notice(upload)
    await uploads.end()
    uploads.begin("ses_2")
    with pytest.raises(UnresolvedUploadError):
        await uploads.file(upload)


# --- describing ---


def test_before_loading_there_is_a_descriptor_without_capabilities() -> None:
    made = descriptor(definition_of(Plain), SessionState.CREATED, None)
    assert "capabilities" not in made
    assert "selected_transport" not in made
    assert made["model"]["name"] == ""


def test_health_follows_the_state() -> None:
    loading = health(SessionState.CREATED, Progress(0.4, "text encoder"), None)
    assert (loading.state, loading.progress, loading.detail) == ("loading", 0.4, "text encoder")
    assert health(SessionState.STREAMING, None, None).state == "serving"
    assert health(SessionState.READY, None, "why").detail == "why"
    assert health(SessionState.TERMINATED, None, None).status == "unhealthy"


# --- journal, metrics, log, changes ---


async def test_a_follower_gets_what_it_missed_then_what_comes_and_an_end() -> None:
    journal = EventLog()
    for number in range(KEPT + 3):
        journal.record("ready", "waiting", str(number))
    follower = journal.follow(KEPT + 1)
    assert (await anext(follower)).startswith(f"id: {KEPT + 2}\n")
    await anext(follower)
    coming = asyncio.ensure_future(anext(follower))
    await asyncio.wait([coming], timeout=0.01)
    journal.record("waiting", "streaming", "x")
    assert '"to": "streaming"' in await coming
    journal.close()
    with pytest.raises(StopAsyncIteration):
        await anext(follower)
    first = await anext(journal.follow(0))
    assert first.startswith("id: 5\n")  # 260 were written, the last 256 are kept


def test_labels_stay_few_and_odd_figures_are_left_out() -> None:
    metrics = Metrics()
    for code in ("ok", "invalid_command", "mine", "yours"):
        metrics.command(code, 0.001)
    odd = {"jitter_ms": float("nan"), "bitrate_bps": -1.0, "frames_per_second": float("inf")}
    metrics.client(m.ClientStats((m.TrackStats("main_video", False, odd),)))
    metrics.peer(PeerStats(rtt_ms=3.0))
    text = metrics.render().decode()
    assert 'outcome="refused"} 2.0' in text
    assert "livereactor_client_jitter_ms_count 0.0" in text
    assert "livereactor_peer_rtt_ms_count 1.0" in text
    assert "livereactor_peer_loss_ratio_count 0.0" in text


def test_one_line_of_a_kind_in_five_seconds_and_the_next_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, dict[str, object]]] = []

    class Log:
        def info(self, kind: str, **fields: object) -> None:
            lines.append((kind, fields))

    now = 100.0
    monkeypatch.setattr("livereactor.base.sparse_log.time.monotonic", lambda: now)
    log = SparseLog(Log())
    for _ in range(4):
        log.info("client joined", connection=1)
    log.info("connection closed")
    now = 105.0
    log.info("client joined", connection=2)
    assert lines == [
        ("client joined", {"connection": 1}),
        ("connection closed", {}),
        ("client joined", {"connection": 2, "left_out": 3}),
    ]


async def test_whoever_waits_looks_again_when_something_changed() -> None:
    changes, state = Changes(), ["closed"]
    waiting = asyncio.ensure_future(changes.until(lambda: state == ["open"], 5))
    await asyncio.wait([waiting], timeout=0.01)
    state[0] = "open"
    changes.notify()
    await asyncio.wait_for(waiting, 1)
    await changes.until(lambda: False, 0.01)  # and gives up in time


# --- guard ---


SMALL = Limits(json_body_bytes=100)


async def _guarded(guard: Guard, method: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    await guard({"type": "http", "method": method, "path": "/", "headers": raw}, receive, send)
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


async def _app(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_a_request_id_is_echoed_and_a_wrong_one_replaced() -> None:
    guard = Guard(_app, Access(), SMALL)
    assert (await _guarded(guard, "GET", {"x-request-id": "abc-1"}))[1]["x-request-id"] == "abc-1"
    assert (await _guarded(guard, "GET", {"x-request-id": "a\r\nb: c"}))[1]["x-request-id"].isalnum()


async def test_a_preflight_names_authorization_and_private_networks() -> None:
    status, headers = await _guarded(
        Guard(_app, Access(), SMALL), "OPTIONS", {"access-control-request-private-network": "true"}
    )
    assert status == 204
    assert "Authorization" in headers["access-control-allow-headers"]
    assert headers["access-control-allow-private-network"] == "true"
    assert "Retry-After" in headers["access-control-expose-headers"]


async def test_an_insecure_runtime_answers_any_host_and_still_bounds_bodies() -> None:
    guard = Guard(_app, Access(any_host=True), SMALL)
    assert (await _guarded(guard, "GET", {"host": "a.example", "origin": "https://b.example"}))[0] == 200
    assert (await _guarded(guard, "POST", {"content-length": "101"}))[0] == 413
