"""Errors of a client: one class to catch, `ReactorError`, and below it one for every documented code.

    ReactorError
    ├── AuthError, ForbiddenError, NotFoundError, ConflictError, RateLimitedError, BadRequestError ...   from HTTP
    ├── ConnectionFailedError, ReconnectionFailedError, GpuConnectionError, SessionTerminalError ...     the connection
    ├── InvalidStateError ── NotReadyError                                            the call came at the wrong time
    ├── CommandRejected ── UnresolvedUploadError, CommandFailedError, ModeratedError  the model or its schema said no
    ├── UploadError ── UploadTooLargeError, UploadTypeRefusedError, UploadExpiredError
    ├── RecordingError ── RecorderDisabledError, ClipGoneError ...
    └── StepError

An error that has the name of one in the server's tree (`base.errors`) is a subclass of it: one code, one meaning.
Invalid arguments raise `TypeError` and `ValueError`, never these.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias, TypedDict, Unpack

from livereactor.base import errors as base
from livereactor.base.errors import LivereactorError

Component: TypeAlias = Literal["api", "gpu", "client"]

# Names that older clients and servers use for one of our codes.
ALIASES: Final = {"AUTHENTICATION_FAILED": "UNAUTHORIZED"}


class Facts(TypedDict, total=False):
    """Facts of an error beyond its message. A fact that is None or absent stays as the error's class has it."""

    reason: str | None
    component: Component | None
    recoverable: bool | None
    operation: str | None
    status: int | None
    retry_after: float | None
    session_id: str | None
    details: Mapping[str, Any] | None


class ReactorError(LivereactorError):
    """The base of every error of a client.

    Attributes:
        code: the documented code of the operation, or of the cause where that says what to do (`UNAUTHORIZED`).
        reason: the precise cause (`NETWORK_ERROR`); equal to `code` if nothing more is known.
        component: `api` (coordinator, HTTP), `gpu` (runtime, transport) or `client` (here).
        recoverable: True if the same call may succeed later, unchanged.
        operation: the call that failed (`connect`); empty if no call was made.
        status: the status of the HTTP answer, or None.
        retry_after: seconds to wait before the next try, or None.
        session_id: the Session that the error is about, or None.
        details: all else that the server said, such as `quota_type`, `limit` and `current`.
        timestamp: Unix seconds.
    """

    component: Component = "client"

    def __init_subclass__(
        cls, code: str | None = None, component: Component | None = None, recoverable: bool | None = None
    ) -> None:
        """Take the code, component and recoverability of a class from its head; what is absent is inherited."""
        super().__init_subclass__()
        cls.code, cls.component = code or cls.code, component or cls.component
        cls.recoverable = cls.recoverable if recoverable is None else recoverable

    def __init__(self, message: str, *, code: str | None = None, **facts: Unpack[Facts]) -> None:
        super().__init__(message, code=code)
        self.reason = facts.get("reason") or self.code
        self.component = facts.get("component") or self.component
        self.recoverable = self.recoverable if (said := facts.get("recoverable")) is None else said
        self.operation = facts.get("operation") or ""
        self.status, self.retry_after = facts.get("status"), facts.get("retry_after")
        self.session_id = facts.get("session_id")
        self.details: dict[str, Any] = dict(facts.get("details") or {})
        self.timestamp = time.time()

    @property
    def timestamp_ms(self) -> int:
        """Unix milliseconds."""
        return round(self.timestamp * 1000)

    @property
    def retry_after_ms(self) -> int | None:
        """`retry_after` in milliseconds."""
        return None if self.retry_after is None else round(self.retry_after * 1000)

    def has_code(self, name: str) -> bool:
        """Return whether `name`, or the present name of an older one, is the code or the reason."""
        return ALIASES.get(name, name) in (self.code, self.reason)

    def __str__(self) -> str:
        """Return one line: `connect: [RATE_LIMITED] 5 of 5 concurrent sessions in use; retry in 12 s`."""
        operation = f"{self.operation}: " if self.operation else ""
        return f"{operation}[{self.code}] {self.message}"


class AuthError(ReactorError, base.UnauthorizedError):
    """The credentials are missing, or the server refused the key or the token; the token may have expired."""


class ForbiddenError(ReactorError, base.ForbiddenError, component="api"):
    """The token is valid but lacks a scope; the message names it."""


class OriginRefusedError(ForbiddenError, code="ORIGIN_REFUSED"):
    """The token is bound to web origins, and the request comes from another page or from none."""


class NotFoundError(ReactorError, base.NotFoundError, component="api"):
    """The model, Session or Connection does not exist for this account."""


class ConflictError(ReactorError, base.ConflictError, component="api", recoverable=True):
    """The request contradicts the present state, or another client holds what it asks for."""


class RateLimitedError(ReactorError, code="RATE_LIMITED", component="api", recoverable=True):
    """An allowance is used up; `details` has `quota_type`, `limit` and `current`."""


class BadRequestError(ReactorError, code="BAD_REQUEST", component="api"):
    """The server refused the content of the request."""


class VersionMismatchError(ReactorError, code="VERSION_MISMATCH", component="api"):
    """The versions of this client and the server are too far apart."""


class ModelLoadingError(ReactorError, code="MODEL_LOADING", component="api", recoverable=True):
    """The runtime is up, but its model is still loading."""


class NoCapacityError(ReactorError, code="NO_CAPACITY", component="api", recoverable=True):
    """The model has no Worker that serves it."""


class NetworkError(ReactorError, code="NETWORK_ERROR", component="api", recoverable=True):
    """DNS, TCP or TLS failed."""


class ServerError(ReactorError, code="SERVER_ERROR", component="api", recoverable=True):
    """The server answered 5xx."""


class DecodeFailedError(ReactorError, code="DECODE_FAILED", component="api"):
    """An answer could not be read."""


class InternalError(ReactorError, code="INTERNAL_ERROR"):
    """An unexpected failure, here or at the server. Quote the Session's id when you report it."""


class RequestTimeoutError(ReactorError, code="REQUEST_TIMEOUT", component="gpu", recoverable=True):
    """The answer did not arrive in time."""


class InvalidStateError(ReactorError, code="INVALID_STATE"):
    """The call does not fit what the client is doing now."""


class NotReadyError(InvalidStateError, code="NOT_READY", recoverable=True):
    """The call needs the status `ready`; nothing was queued."""


class AbortedError(ReactorError, code="ABORTED"):
    """The program called the operation off itself."""


class ConnectionFailedError(ReactorError, code="CONNECTION_FAILED", component="api", recoverable=True):
    """`connect()` did not reach `ready`; `reason` is the cause."""


class ReconnectionFailedError(ReactorError, code="RECONNECTION_FAILED", component="gpu", recoverable=True):
    """`reconnect()` did not reach `ready`; the Session is kept while its window lasts."""


class GpuConnectionError(ReactorError, code="GPU_CONNECTION_ERROR", component="gpu", recoverable=True):
    """The media connection was lost; the Session is kept while its window lasts."""


class TransportError(ReactorError, code="TRANSPORT_ERROR", component="gpu", recoverable=True):
    """The media connection was refused or failed."""


class DisconnectedError(ReactorError, code="DISCONNECTED", component="gpu", recoverable=True):
    """The connection was lost before the answer arrived."""


class SessionTerminalError(ReactorError, code="SESSION_TERMINAL", component="gpu"):
    """The Session is over; `reason` says why."""


class GenerationModeMismatchError(ReactorError, code="GENERATION_MODE_MISMATCH", component="gpu"):
    """The Session is stepped and the call is for a streamed one, or the other way round."""


class CommandRejected(ReactorError, code="invalid_command", component="gpu"):  # noqa: N818  (the name that official clients have)
    """The Command was refused: by the schema (`invalid_command`) or by the model, under the author's own code."""


class UnresolvedUploadError(CommandRejected, base.UnresolvedUploadError, code="unresolved_upload"):
    """A Command names an Upload that has no content in this Session."""


class CommandFailedError(CommandRejected, code="internal_error"):
    """The Command failed inside the model."""


class ModeratedError(CommandRejected, code="MODERATED"):
    """The operator's moderation refused the content. The model has not seen it."""


class ModerationUnavailableError(CommandRejected, code="MODERATION_UNAVAILABLE", recoverable=True):
    """The operator's moderation gave no verdict, and the operator wants content to be refused then."""


class MessageSendFailedError(ReactorError, code="MESSAGE_SEND_FAILED", component="gpu", recoverable=True):
    """The data channel did not take the message."""


class MessageTooLargeError(ReactorError, code="MESSAGE_TOO_LARGE"):
    """The message has more bytes than the channel takes. Upload the content instead."""


class TrackPublishFailedError(ReactorError, code="TRACK_PUBLISH_FAILED", component="gpu", recoverable=True):
    """The Track could not be published."""


class TrackUnpublishFailedError(ReactorError, code="TRACK_UNPUBLISH_FAILED", component="gpu", recoverable=True):
    """The Track could not be given back; logged, never raised."""


class DeviceError(ReactorError, code="DEVICE_ERROR", recoverable=True):
    """A camera or microphone is busy, missing or denied."""


class NotSupportedError(ReactorError, code="NOT_SUPPORTED"):
    """The server does not have what the client, such as a typed one, asks for."""


class StepError(ReactorError, code="step_refused", component="gpu"):
    """A step gave no result; `details["entry"]` names the entry at fault."""


class UploadError(ReactorError, code="UPLOAD_FAILED", component="api", recoverable=True):
    """The transfer of an Upload failed."""


class UploadTooLargeError(UploadError, code="UPLOAD_TOO_LARGE", recoverable=False):
    """The file is larger than an Upload may be; no byte was sent."""


class UploadTypeRefusedError(UploadError, code="UPLOAD_TYPE_REFUSED", recoverable=False):
    """The model does not take files of this type."""


class UploadExpiredError(UploadError, code="UPLOAD_EXPIRED"):
    """The address to write to has expired."""


class RecordingError(ReactorError):
    """A Clip or Recording could not be fetched; raised with the shared codes (`DISCONNECTED`, `ABORTED`) too."""


class RecorderDisabledError(RecordingError, code="RECORDER_DISABLED", component="gpu"):
    """Recording is off for this model, or the recorder died."""


class NoMediaYetError(RecordingError, code="NO_MEDIA_YET", component="gpu", recoverable=True):
    """The recording has no Frame yet."""


class InvalidDurationError(RecordingError, code="INVALID_DURATION"):
    """The length is not a finite number above 0; nothing was sent."""


class ClipNotReadyError(RecordingError, code="CLIP_NOT_READY", component="api", recoverable=True):
    """The Clip's last Segment is still open."""


class ClipGoneError(RecordingError, code="CLIP_GONE", component="api"):
    """The Clip expired, or never existed."""


class PlaylistFetchFailedError(RecordingError, code="PLAYLIST_FETCH_FAILED", component="api", recoverable=True):
    """The Clip's playlist could not be fetched."""


class ChunkFetchFailedError(RecordingError, code="CHUNK_FETCH_FAILED", component="api", recoverable=True):
    """A Segment of the Clip could not be fetched."""


class InvalidPlaylistError(RecordingError, code="INVALID_PLAYLIST", component="api"):
    """The Clip's playlist cannot be read."""


class DownloadUnsupportedError(RecordingError, code="DOWNLOAD_UNSUPPORTED"):
    """The Clip cannot be written as asked."""


def _below(kind: type[ReactorError]) -> Iterator[type[ReactorError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


_BY_CODE: Final = {kind.code: kind for kind in _below(ReactorError) if kind is not RecordingError}


def error_of(code: str, message: str, **facts: Unpack[Facts]) -> ReactorError:
    """Return the error of a code, as an instance of the code's class; facts that are not given are the class's.

    Args:
        code: ours or a server's; an unknown one becomes a plain `ReactorError`.
        message: one sentence with a lower-case start: what happened, to what, and what to do next.
        facts: `reason`, `component`, `recoverable`, `operation`, `status`, `retry_after`, `session_id`, `details`.
    """
    code = ALIASES.get(code, code)
    kind = StepError if code.startswith("step_") else _BY_CODE.get(code, ReactorError)
    return kind(message, code=code, **facts)


RETRY_AFTER: Final = 3.0  # seconds to wait before a lost media connection is tried again

# Causes that do not say what to do: an operation that fails for one of them has a code of its own.
_GENERIC: Final = frozenset({"NETWORK_ERROR", "SERVER_ERROR", "REQUEST_TIMEOUT", "TRANSPORT_ERROR", "DISCONNECTED"})
# By the server's reason for an end: the reason and message for the program, and whether a new Session may work.
_ENDS: Final = {
    "worker_lost": ("WORKER_LOST", "the worker stopped responding; connect again", True),
    "error": ("MODEL_ERROR", "the model stopped with an error; connect again", True),
    "moderated": ("MODERATED", "session ended by moderation", False),
    "displaced": ("DISPLACED", "the session was full, and its owner took this place; connect again later", True),
}


def not_connected(cause: ReactorError) -> ReactorError:
    """Return the error of `connect()` for a cause: the cause itself if it says what to do."""
    return _failure("connect", "CONNECTION_FAILED", cause, cause.message)


def not_reconnected(cause: ReactorError, left: float) -> ReactorError:
    """Return the error of `reconnect()` for a cause, while the Session is kept for `left` more seconds."""
    words = f"could not resume the session ({cause.message}); it is kept for {max(left, 0.0):.0f} s more"
    return _failure("reconnect", "RECONNECTION_FAILED", cause, words)


def lost(reason: str, session_id: str | None, window: float) -> ReactorError:
    """Return the error of a lost transport, whose Session is kept for `window` seconds."""
    words = f"media connection lost ({reason}); the session is kept for {window:g} s"
    why = "TRANSPORT_ERROR"
    return error_of("GPU_CONNECTION_ERROR", words, reason=why, retry_after=RETRY_AFTER, session_id=session_id)


def ended(reason: str, session_id: str | None) -> ReactorError:
    """Return the error of a Session that the server ended, for this reason."""
    why, words, recoverable = _ENDS.get(reason, (reason, f"session ended: {reason}", False))
    return error_of("SESSION_TERMINAL", words, reason=why, recoverable=recoverable, session_id=session_id)


def _failure(operation: Literal["connect", "reconnect"], code: str, cause: ReactorError, words: str) -> ReactorError:
    if cause.code not in _GENERIC:
        cause.operation = cause.operation or operation
        return cause
    component = cause.component if operation == "connect" else "gpu"
    error = error_of(code, words, reason=cause.reason, component=component, operation=operation)
    error.status, error.retry_after, error.session_id = cause.status, cause.retry_after, cause.session_id
    error.details = cause.details
    error.__cause__ = cause
    return error
