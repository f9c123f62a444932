"""The errors of livereactor: one tree, one stable code each, and a sentence that says what to do next.

    LivereactorError
    ├── UsageError              the call is wrong: the caller can fix it
    │   ├── InvalidCommandError     arguments that break the schema             invalid_command
    │   ├── CommandError            an author's own refusal                     the author's code
    │   ├── DefinitionError         an invalid model class (a TypeError)        definition_error
    │   ├── EmissionError           an invalid frame (a TypeError)              emission_error
    │   ├── ConfigError             an invalid setting                          config_error
    │   ├── ModelLoadError          the model did not load                      model_load_failed
    │   └── NotFoundError, ConflictError, LimitError, QuotaError ...  error responses of HTTP
    ├── PeerError               the other side sent something invalid: answered, counted, never fatal
    ├── UnavailableError        temporarily not possible: retry later
    └── IllegalTransitionError  a machine got an event its state has no row for

A code goes over HTTP, over the data channel and into Python unchanged, and is never reused for another meaning.
"""

from __future__ import annotations

from typing import ClassVar


class LivereactorError(Exception):
    """The base class of all errors of livereactor.

    Attributes:
        code: stable, documented name of the cause.
        message: one sentence, lower-case start: what happened, to which thing, and what to do next.
        recoverable: the same call may succeed later, unchanged.
    """

    code: str = "INTERNAL_ERROR"
    recoverable: bool = False
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class UsageError(LivereactorError):
    """The call is wrong, and the caller can fix it."""

    code = "BAD_REQUEST"
    http_status = 400


class PeerError(LivereactorError):
    """The other side sent something invalid; it is answered and counted, and the connection stays open."""

    code = "BAD_REQUEST"
    http_status = 400


class UnavailableError(LivereactorError):
    """The request cannot be served now; the same call may succeed later.

    Attributes:
        retry_after: seconds after which a retry makes sense.
    """

    code = "UNAVAILABLE"
    recoverable = True
    http_status = 503

    def __init__(self, message: str, *, code: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class NotFoundError(UsageError):
    """The resource does not exist, or the caller may not see it."""

    code = "NOT_FOUND"
    http_status = 404


class UnauthorizedError(UsageError):
    """The key, token or secret is missing, invalid or expired."""

    code = "UNAUTHORIZED"
    http_status = 401


class ExpiredError(UnauthorizedError):
    """The token or credential is one of ours, and too old."""


class ForbiddenError(UsageError):
    """The caller is known but is not allowed to do this."""

    code = "FORBIDDEN"
    http_status = 403


class ConflictError(UsageError):
    """The call conflicts with the current state: already done, held by another caller, or too early."""

    code = "CONFLICT"
    http_status = 409


class LimitError(UsageError):
    """A limit was reached; the message names the limit, its value and the current use."""

    code = "RATE_LIMITED"
    http_status = 429


class QuotaError(LimitError):
    """An account's allowance is used up.

    Args:
        quota_type: `concurrent_sessions`, `sessions_per_minute`, `connections` or `moderation_questions`.
        limit: the allowance, and `current`, what of it is used.
        retry_after: seconds after which a retry makes sense; None = when something of it is given back.
    """

    recoverable = True

    def __init__(
        self, message: str, *, quota_type: str, limit: int, current: int, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.quota_type, self.limit, self.current, self.retry_after = quota_type, limit, current, retry_after


class TooLargeError(UsageError):
    """The content exceeds a size limit, which the message names."""

    code = "MESSAGE_TOO_LARGE"
    http_status = 413


class InvalidCommandError(UsageError):
    """The command is unknown, or has arguments that break the schema; the handler does not run."""

    code = "invalid_command"


class UnresolvedUploadError(UsageError):
    """A command refers to an upload that has no content in this session."""

    code = "unresolved_upload"


class CommandError(UsageError):
    """An error that a model raises to refuse a command; code and message reach the caller unchanged.

    Args:
        code: short stable name, such as `busy`.
        message: what the caller reads.
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code, code=code)


class DefinitionError(UsageError, TypeError):
    """The model class is invalid; the message names class, field, rule and fix."""

    code = "definition_error"


class EmissionError(UsageError, TypeError):
    """A model yielded something that is not a valid frame; the message says what was expected and what came."""

    code = "emission_error"


class ConfigError(UsageError):
    """A setting is invalid; the message names where it came from and which values are allowed."""

    code = "config_error"


class ModelLoadError(LivereactorError):
    """The model could not be imported or its `load` failed; the process ends with exit code 3."""

    code = "model_load_failed"


class EngineError(LivereactorError):
    """The WebRTC engine refused or failed."""

    code = "TRANSPORT_ERROR"
    recoverable = True


class IllegalTransitionError(LivereactorError):
    """A machine got an event that its state has no row for. From the other side: answered. Our own: a bug."""

    code = "INVALID_STATE"
    http_status = 409

    def __init__(self, machine: str, state: str, event: str) -> None:
        super().__init__(f"{machine} in state {state!r} cannot take {event}")
