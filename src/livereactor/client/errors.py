"""Errors of a client: one class to catch, `ReactorError`, and below it one for every documented code.

    ReactorError
    ├── AuthError, ForbiddenError, NotFoundError, ConflictError, RateLimitedError, BadRequestError ...   from HTTP
    ├── ConnectionFailedError, ReconnectionFailedError, GpuConnectionError, SessionTerminalError ...     the connection
    ├── InvalidStateError ── NotReadyError                                            the call came at the wrong time
    ├── CommandRejected ── UnresolvedUploadError, CommandFailedError                  the model or its schema said no
    ├── UploadError ── UploadTooLargeError, UploadTypeRefusedError, UploadExpiredError
    ├── RecordingError ── RecorderDisabledError, ClipGoneError ...
    └── StepError

An error that has the name of one in the server's tree (`base.errors`) is a subclass of it: one code, one meaning.
Invalid arguments raise `TypeError` and `ValueError`, never these.

Above 400 lines because it is one catalogue: every code with its class, and the functions that build the errors.
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
    """No credentials were given, the key was refused, or the token is not valid, or no longer."""


class ForbiddenError(ReactorError, base.ForbiddenError):
    """The token is valid but lacks a scope; the message names it."""

    component = "api"


class NotFoundError(ReactorError, base.NotFoundError):
    """This account has no such model, Session or Connection."""

    component = "api"


class ConflictError(ReactorError, base.ConflictError):
    """The request contradicts the present state, or another client holds what it asks for."""

    component = "api"
    recoverable = True


class RateLimitedError(ReactorError):
    """An allowance is used up; `details` has `quota_type`, `limit` and `current`."""

    code = "RATE_LIMITED"
    component = "api"
    recoverable = True


class BadRequestError(ReactorError):
    """The server refused the content of the request."""

    code = "BAD_REQUEST"
    component = "api"


class VersionMismatchError(ReactorError):
    """The versions of this client and the server are too far apart."""

    code = "VERSION_MISMATCH"
    component = "api"


class ModelLoadingError(ReactorError):
    """The runtime is up, but its model is still loading."""

    code = "MODEL_LOADING"
    component = "api"
    recoverable = True


class NoCapacityError(ReactorError):
    """No Worker serves this model."""

    code = "NO_CAPACITY"
    component = "api"
    recoverable = True


class NetworkError(ReactorError):
    """DNS, TCP or TLS failed."""

    code = "NETWORK_ERROR"
    component = "api"
    recoverable = True


class ServerError(ReactorError):
    """The server answered 5xx."""

    code = "SERVER_ERROR"
    component = "api"
    recoverable = True


class DecodeFailedError(ReactorError):
    """An answer could not be read."""

    code = "DECODE_FAILED"
    component = "api"


class InternalError(ReactorError):
    """An unexpected failure, here or at the server. Quote the Session's id when you report it."""

    code = "INTERNAL_ERROR"


class RequestTimeoutError(ReactorError):
    """No answer arrived in time."""

    code = "REQUEST_TIMEOUT"
    component = "gpu"
    recoverable = True


class InvalidStateError(ReactorError):
    """The call does not fit what the client is doing now."""

    code = "INVALID_STATE"


class NotReadyError(InvalidStateError):
    """The call needs the status `ready`; nothing was queued."""

    code = "NOT_READY"
    recoverable = True


class AbortedError(ReactorError):
    """The program called the operation off itself."""

    code = "ABORTED"


class ConnectionFailedError(ReactorError):
    """`connect()` did not reach `ready`; `reason` is the cause."""

    code = "CONNECTION_FAILED"
    component = "api"
    recoverable = True


class ReconnectionFailedError(ReactorError):
    """`reconnect()` did not reach `ready`; the Session is kept while its window lasts."""

    code = "RECONNECTION_FAILED"
    component = "gpu"
    recoverable = True


class GpuConnectionError(ReactorError):
    """The media connection was lost; the Session is kept while its window lasts."""

    code = "GPU_CONNECTION_ERROR"
    component = "gpu"
    recoverable = True


class TransportError(ReactorError):
    """The media connection was refused or failed."""

    code = "TRANSPORT_ERROR"
    component = "gpu"
    recoverable = True


class DisconnectedError(ReactorError):
    """The connection was lost before the answer arrived."""

    code = "DISCONNECTED"
    component = "gpu"
    recoverable = True


class SessionTerminalError(ReactorError):
    """The Session is over; `reason` says why."""

    code = "SESSION_TERMINAL"
    component = "gpu"


class GenerationModeMismatchError(ReactorError):
    """The Session is stepped and the call is for a streamed one, or the other way round."""

    code = "GENERATION_MODE_MISMATCH"
    component = "gpu"


class CommandRejected(ReactorError):  # noqa: N818  (the name that official clients have)
    """The Command was refused: by the schema (`invalid_command`) or by the model, under the author's own code."""

    code = "invalid_command"
    component = "gpu"


class UnresolvedUploadError(CommandRejected, base.UnresolvedUploadError):
    """A Command names an Upload that has no content in this Session."""

    code = "unresolved_upload"  # CommandRejected has its own


class CommandFailedError(CommandRejected):
    """The Command failed inside the model."""

    code = "internal_error"


class MessageSendFailedError(ReactorError):
    """The data channel did not take the message."""

    code = "MESSAGE_SEND_FAILED"
    component = "gpu"
    recoverable = True


class MessageTooLargeError(ReactorError):
    """The message has more bytes than the channel takes. Upload the content instead."""

    code = "MESSAGE_TOO_LARGE"


class TrackPublishFailedError(ReactorError):
    """The Track could not be published."""

    code = "TRACK_PUBLISH_FAILED"
    component = "gpu"
    recoverable = True


class TrackUnpublishFailedError(ReactorError):
    """The Track could not be given back; logged, never raised."""

    code = "TRACK_UNPUBLISH_FAILED"
    component = "gpu"
    recoverable = True


class DeviceError(ReactorError):
    """A camera or microphone is busy, missing or denied."""

    code = "DEVICE_ERROR"
    recoverable = True


class NotSupportedError(ReactorError):
    """The server does not have what the client, such as a typed one, asks for."""

    code = "NOT_SUPPORTED"


class StepError(ReactorError):
    """A step gave no result; `details["entry"]` names the entry at fault."""

    code = "step_refused"
    component = "gpu"


class UploadError(ReactorError):
    """The transfer of an Upload failed."""

    code = "UPLOAD_FAILED"
    component = "api"
    recoverable = True


class UploadTooLargeError(UploadError):
    """The file is larger than an Upload may be; no byte was sent."""

    code = "UPLOAD_TOO_LARGE"
    recoverable = False


class UploadTypeRefusedError(UploadError):
    """The model does not take files of this type."""

    code = "UPLOAD_TYPE_REFUSED"
    recoverable = False


class UploadExpiredError(UploadError):
    """The address to write to has expired."""

    code = "UPLOAD_EXPIRED"


class RecordingError(ReactorError):
    """A Clip or Recording could not be fetched; raised with the shared codes (`DISCONNECTED`, `ABORTED`) too."""


class RecorderDisabledError(RecordingError):
    """Recording is off for this model, or the recorder died."""

    code = "RECORDER_DISABLED"
    component = "gpu"


class NoMediaYetError(RecordingError):
    """No Frame is recorded yet."""

    code = "NO_MEDIA_YET"
    component = "gpu"
    recoverable = True


class InvalidDurationError(RecordingError):
    """The length is not a finite number above 0; nothing was sent."""

    code = "INVALID_DURATION"


class ClipNotReadyError(RecordingError):
    """The Clip's last Segment is still open."""

    code = "CLIP_NOT_READY"
    component = "api"
    recoverable = True


class ClipGoneError(RecordingError):
    """The Clip expired, or never existed."""

    code = "CLIP_GONE"
    component = "api"


class PlaylistFetchFailedError(RecordingError):
    """The Clip's playlist could not be fetched."""

    code = "PLAYLIST_FETCH_FAILED"
    component = "api"
    recoverable = True


class ChunkFetchFailedError(RecordingError):
    """A Segment of the Clip could not be fetched."""

    code = "CHUNK_FETCH_FAILED"
    component = "api"
    recoverable = True


class InvalidPlaylistError(RecordingError):
    """The Clip's playlist cannot be read."""

    code = "INVALID_PLAYLIST"
    component = "api"


class DownloadUnsupportedError(RecordingError):
    """The Clip cannot be written as asked."""

    code = "DOWNLOAD_UNSUPPORTED"


def _below(kind: type[ReactorError]) -> Iterator[type[ReactorError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


_BY_CODE: Final[Mapping[str, type[ReactorError]]] = {
    **{kind.code: kind for kind in _below(ReactorError) if kind is not RecordingError},
    **{
        f"step_{why}": StepError
        for why in ("refused", "not_ready", "command_failed", "result_too_large", "session_ended")
    },
}


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
