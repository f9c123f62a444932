"""What a client raises: one class to catch, `ReactorError`, and below it one for every documented code.

    ReactorError
    ├── AuthError, ForbiddenError, NotFoundError, ConflictError, RateLimitedError, BadRequestError ...   from HTTP
    ├── ConnectionFailedError, ReconnectionFailedError, GpuConnectionError, SessionTerminalError ...     the connection
    ├── InvalidStateError ── NotReadyError                                            the call came at the wrong time
    ├── CommandRejected ── UnresolvedUploadError, CommandFailedError                  the model or its schema said no
    ├── UploadError ── UploadTooLargeError, UploadTypeRefusedError, UploadExpiredError
    ├── RecordingError ── RecorderDisabledError, ClipGoneError ...
    └── StepError

Where the server's tree (`base.errors`) has a class of the same name, ours is that one too: one code, one meaning.
Mistakes in arguments are `TypeError` and `ValueError`, never these.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias, TypedDict, Unpack

from livereactor.base import errors as base
from livereactor.base.errors import LivereactorError

Component: TypeAlias = Literal["api", "gpu", "client"]

# Names that other generations of peers use for a code of ours.
ALIASES: Final = {"AUTHENTICATION_FAILED": "UNAUTHORIZED"}


class Facts(TypedDict, total=False):
    """What is known of an error beyond its message; None, as what is absent, leaves it as the error's class has it."""

    reason: str | None
    component: Component | None
    recoverable: bool | None
    operation: str | None
    status: int | None
    retry_after: float | None
    session_id: str | None
    details: Mapping[str, Any] | None


class ReactorError(LivereactorError):
    """Anything that went wrong for a client.

    Attributes:
        code: the documented code of the operation, or of the cause where that says what to do (`UNAUTHORIZED`).
        reason: the precise cause (`NETWORK_ERROR`); equal to `code` where there is no more to say.
        component: `api` (coordinator, HTTP), `gpu` (runtime, transport) or `client` (here).
        recoverable: the same call may succeed later, unchanged.
        operation: the call that failed (`connect`), empty where there was none.
        status: of the HTTP answer, or None.
        retry_after: seconds to leave before the next try, or None.
        session_id: the Session it was about, or None.
        details: whatever else the server said, such as `quota_type`, `limit` and `current`.
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
        """Whether `name` is the code or the reason, under its present name or an older one."""
        return ALIASES.get(name, name) in (self.code, self.reason)

    def __str__(self) -> str:
        """One line: `connect: [RATE_LIMITED] 5 of 5 concurrent sessions in use; retry in 12 s`."""
        operation = f"{self.operation}: " if self.operation else ""
        return f"{operation}[{self.code}] {self.message}"


class AuthError(ReactorError, base.UnauthorizedError):
    """No credentials, a refused key, or a token that does not count (any more)."""


class ForbiddenError(ReactorError, base.ForbiddenError):
    """The token is valid and its scope too small; the message names the missing one."""

    component = "api"


class NotFoundError(ReactorError, base.NotFoundError):
    """No such model, Session or Connection for this account."""

    component = "api"


class ConflictError(ReactorError, base.ConflictError):
    """It is already so, or somebody else holds it."""

    component = "api"
    recoverable = True


class RateLimitedError(ReactorError):
    """An allowance is used up; `details` has `quota_type`, `limit` and `current`."""

    code = "RATE_LIMITED"
    component = "api"
    recoverable = True


class BadRequestError(ReactorError):
    """The server refused the request for what it says."""

    code = "BAD_REQUEST"
    component = "api"


class VersionMismatchError(ReactorError):
    """This client and the server are too far apart in age."""

    code = "VERSION_MISMATCH"
    component = "api"


class ModelLoadingError(ReactorError):
    """The runtime is there, its model is still loading."""

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
    """An answer that cannot be read."""

    code = "DECODE_FAILED"
    component = "api"


class InternalError(ReactorError):
    """Something that nobody foresaw, here or at the server; say the Session's id when you report it."""

    code = "INTERNAL_ERROR"


class RequestTimeoutError(ReactorError):
    """No answer in time."""

    code = "REQUEST_TIMEOUT"
    component = "gpu"
    recoverable = True


class InvalidStateError(ReactorError):
    """The call does not fit what the client is doing now."""

    code = "INVALID_STATE"


class NotReadyError(InvalidStateError):
    """Needs the status `ready`; nothing was queued."""

    code = "NOT_READY"
    recoverable = True


class AbortedError(ReactorError):
    """The caller itself called it off."""

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
    """The media connection refused or failed."""

    code = "TRANSPORT_ERROR"
    component = "gpu"
    recoverable = True


class DisconnectedError(ReactorError):
    """The connection went before the answer came."""

    code = "DISCONNECTED"
    component = "gpu"
    recoverable = True


class SessionTerminalError(ReactorError):
    """The Session is over; `reason` says why."""

    code = "SESSION_TERMINAL"
    component = "gpu"


class GenerationModeMismatchError(ReactorError):
    """The Session is stepped and this call is for a streamed one, or the other way round."""

    code = "GENERATION_MODE_MISMATCH"
    component = "gpu"


class CommandRejected(ReactorError):  # noqa: N818  (the name of behaviour 7.4)
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
    """The data channel would not take it."""

    code = "MESSAGE_SEND_FAILED"
    component = "gpu"
    recoverable = True


class MessageTooLargeError(ReactorError):
    """More bytes than the channel takes; content belongs into an Upload."""

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
    """The server has no such thing, though the typed client does."""

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
    """More bytes than an Upload may have; none was sent."""

    code = "UPLOAD_TOO_LARGE"
    recoverable = False


class UploadTypeRefusedError(UploadError):
    """A type of file that this model does not take."""

    code = "UPLOAD_TYPE_REFUSED"
    recoverable = False


class UploadExpiredError(UploadError):
    """The address to write to is no longer good."""

    code = "UPLOAD_EXPIRED"


class RecordingError(ReactorError):
    """A Clip or Recording could not be had; raised with the shared codes (`DISCONNECTED`, `ABORTED`) too."""


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
    """A length that is not a finite number above 0; nothing was sent."""

    code = "INVALID_DURATION"


class ClipNotReadyError(RecordingError):
    """The Clip's last Segment stayed open."""

    code = "CLIP_NOT_READY"
    component = "api"
    recoverable = True


class ClipGoneError(RecordingError):
    """The Clip expired or never was."""

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
    """The error for a code, of the class that stands for it; what is not given is as that class has it.

    Args:
        code: ours or a server's; an unknown one is kept, on `ReactorError` itself.
        message: one sentence, lower-case start: what happened, to which thing, and what to do next.
        facts: `reason`, `component`, `recoverable`, `operation`, `status`, `retry_after`, `session_id`, `details`.
    """
    code = ALIASES.get(code, code)
    kind = StepError if code.startswith("step_") else _BY_CODE.get(code, ReactorError)
    return kind(message, code=code, **facts)


RETRY_AFTER: Final = 3.0  # seconds to leave before a lost media connection is tried again (acceptance C-11)

# Causes that say nothing by themselves of what to do: an operation that fails for one has its own code.
_GENERIC: Final = frozenset({"NETWORK_ERROR", "SERVER_ERROR", "REQUEST_TIMEOUT", "TRANSPORT_ERROR", "DISCONNECTED"})
# What a server's word for an end means to the caller: a reason of part D, and whether a new Session may go better.
_ENDS: Final = {
    "worker_lost": ("WORKER_LOST", "the worker stopped responding; connect again", True),
    "error": ("MODEL_ERROR", "the model stopped with an error; connect again", True),
    "moderated": ("MODERATED", "session ended by moderation", False),
}


def not_connected(cause: ReactorError) -> ReactorError:
    """What `connect()` raises for `cause`: itself where it says what to do."""
    return _failure("connect", "CONNECTION_FAILED", cause, cause.message)


def not_reconnected(cause: ReactorError, left: float) -> ReactorError:
    """What `reconnect()` raises for `cause`; the Session is kept for so many seconds more."""
    words = f"could not resume the session ({cause.message}); {max(left, 0.0):.0f} s left"
    return _failure("reconnect", "RECONNECTION_FAILED", cause, words)


def lost(reason: str, session_id: str | None, window: float) -> ReactorError:
    """The transport is gone; the Session is kept for `window` seconds."""
    words = f"media connection lost ({reason}); session kept {window:g} s"
    why = "TRANSPORT_ERROR"
    return error_of("GPU_CONNECTION_ERROR", words, reason=why, retry_after=RETRY_AFTER, session_id=session_id)


def ended(reason: str, session_id: str | None) -> ReactorError:
    """The server ended the Session, for this reason."""
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
