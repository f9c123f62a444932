"""Clips and the Recording of a Session: asked for over the transport, fetched with the client's token."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, TypeAlias, Unpack

from livereactor.client.errors import InvalidDurationError, ReactorError, RecordingError, error_of
from livereactor.client.files.download import ClipSource, DownloadOptions, fetch_clip, give_up_after
from livereactor.client.http.api import Api
from livereactor.client.http.urls import base_url, moved_to, under
from livereactor.client.types import Clip
from livereactor.protocol import messages as m

REPLY_TIMEOUT: Final = 10.0  # seconds
FILE_NAME: Final = "reactor-clip.mp4"

Question: TypeAlias = m.RequestClip | m.RequestRecording


class Ask(Protocol):
    """Sends a request and waits for its reply; raises `ReactorError`."""

    def __call__(self, question: Question, timeout: float) -> Awaitable[m.ServerMessage | None]: ...


# The code and message of each reason that servers give.
_REASONS: Final = {
    "recorder disabled": ("RECORDER_DISABLED", "recording is off for this model; ask the server's operator"),
    "recorder disabled or encoder crashed": ("RECORDER_DISABLED", "the recorder stopped; start another session"),
    "the model has no video output, so it is not recorded and has no clips": (
        "RECORDER_DISABLED",
        "the model has no video output, so there are no clips; read its sound from the track instead",
    ),
    "no media generated yet": ("NO_MEDIA_YET", "no frame is recorded yet; try again after the first frame"),
    m.MAY_NOT_RECORD: ("FORBIDDEN", m.MAY_NOT_RECORD),
    "duration_seconds must be positive": ("INVALID_DURATION", "seconds must be a finite number > 0"),
}
_NOT_CONNECTED: Final = ("INVALID_STATE", "NOT_READY", "DISCONNECTED", "MESSAGE_SEND_FAILED")


async def request_clip(ask: Ask, api: Api, seconds: float) -> Clip:
    """Ask for the last `seconds` that the Session has streamed; return before its last Segment is closed.

    Args:
        seconds: above 0; the server shortens a length above its cap (300 s by default) or the Session's own.

    Raises:
        RecordingError: `INVALID_DURATION` (nothing was sent), `DISCONNECTED`, `REQUEST_TIMEOUT` after 10 s,
            `RECORDER_DISABLED`, `NO_MEDIA_YET`, `FORBIDDEN`, `INTERNAL_ERROR`.
    """
    return await _requested(ask, api, m.RequestClip(_length(seconds)), "request_clip")


async def request_recording(ask: Ask, api: Api) -> Clip:
    """Ask for everything that the Session has streamed; `start_marker` is 0. Raises like `request_clip`."""
    return await _requested(ask, api, m.RequestRecording(), "request_recording")


async def download(
    api: Api,
    clip: Clip,
    path: str | os.PathLike[str] | None,
    *,
    is_alive: Callable[[], bool],
    **options: Unpack[DownloadOptions],
) -> Path | bytes:
    """Fetch a Clip over the connections and with the token of a client.

    Args:
        is_alive: True while the Session goes on: so long a Clip that is not ready is waited for, where no
            `ready_timeout` is given.
    """
    seconds = options.get("ready_timeout")
    is_over = (lambda: not is_alive()) if seconds is None and is_alive() else give_up_after(clip, seconds)
    return await fetch_clip(ClipSource(api.get, clip.playlist_url, is_over), path, **options)


def _length(seconds: object) -> float:
    # To Python a bool is a number; it is not a length.
    if isinstance(seconds, numbers.Real) and seconds is not True:
        with suppress(OverflowError):
            length = float(seconds)
            if 0 < length < math.inf:
                return length
    raise InvalidDurationError("seconds must be a finite number > 0", operation="request_clip")


async def _requested(ask: Ask, api: Api, question: Question, operation: str) -> Clip:
    try:
        reply = await ask(question, REPLY_TIMEOUT)
    except ReactorError as error:
        raise _as_recording(error, operation) from error
    match reply:
        case m.ClipReady():
            return _clip(api, reply, operation)
        case m.ClipFailed(reason):
            code, text = _REASONS.get(reason, ("INTERNAL_ERROR", reason[:200] or "the server gave no reason"))
            raise _recording_error(code, text, operation)
        case _:
            raise _recording_error("INTERNAL_ERROR", "the server's answer is not a clip", operation)


def _recording_error(code: str, text: str, operation: str) -> RecordingError:
    error = error_of(code, text, component="gpu", operation=operation)
    if isinstance(error, RecordingError):
        return error
    return RecordingError(text, code=code, component="gpu", recoverable=error.recoverable, operation=operation)


def _as_recording(error: ReactorError, operation: str) -> RecordingError:
    """Return an error as a `RecordingError`, so that catching that catches every reason for having no Clip."""
    if isinstance(error, RecordingError):
        error.operation = operation
        return error
    is_cut = error.code in _NOT_CONNECTED
    return RecordingError(
        error.message,
        code="DISCONNECTED" if is_cut else error.code,
        reason=error.reason,
        component=error.component,
        recoverable=True if is_cut else error.recoverable,
        operation=operation,
        status=error.status,
        session_id=error.session_id,
        details=error.details,
    )


def _clip(api: Api, ready: m.ClipReady, operation: str) -> Clip:
    # A runtime may give an address that is not reachable from here (`localhost` in a container).
    url = moved_to(api.url, ready.playlist_url) if api.local else under(api.url, ready.playlist_url)
    try:
        base_url(url)
    except ValueError as error:
        raise _recording_error("INVALID_PLAYLIST", "the clip's playlist has no usable address", operation) from error
    return Clip(
        ready.session_id,
        ready.kind,
        ready.start_marker,
        ready.end_marker,
        ready.now_marker,
        ready.predicted_ready_at_ms / 1000,
        url,
    )
