"""The errors of livereactor: one tree, one stable code each, and a sentence that says what to do next.

    LivereactorError
    ├── UsageError              the caller can mend it: fix the call
    │   ├── InvalidCommandError     arguments that break the schema             invalid_command
    │   ├── CommandError            an author's own refusal                     the author's code
    │   ├── DefinitionError         a model class that is wrong (a TypeError)   definition_error
    │   ├── EmissionError           a frame that cannot be one (a TypeError)    emission_error
    │   ├── ConfigError             a setting that cannot be                    config_error
    │   ├── ModelLoadError          the model did not load                      model_load_failed
    │   └── NotFoundError, ConflictError, LimitError, QuotaError ...  what HTTP answers with
    ├── PeerError               the other side sent what it must not: answered, counted, never fatal
    ├── UnavailableError        not now: retry later
    └── IllegalTransitionError  a machine got an event its state has no row for

A code goes over HTTP, over the data channel and into Python unchanged, and is never reused for another meaning.
"""

from __future__ import annotations

from typing import ClassVar


class LivereactorError(Exception):
    """Root of every error of ours.

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
    """The caller can mend it: fix the call."""

    code = "BAD_REQUEST"
    http_status = 400


class PeerError(LivereactorError):
    """The other side sent what it must not; answered and counted, and both connection and process live on."""

    code = "BAD_REQUEST"
    http_status = 400


class UnavailableError(LivereactorError):
    """Not now; the same call may succeed later.

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
    """No such thing (for this caller)."""

    code = "NOT_FOUND"
    http_status = 404


class UnauthorizedError(UsageError):
    """No key or token, or one that is invalid or expired."""

    code = "UNAUTHORIZED"
    http_status = 401


class ForbiddenError(UsageError):
    """The caller is known and may not."""

    code = "FORBIDDEN"
    http_status = 403


class ConflictError(UsageError):
    """It is already so, or somebody else holds it."""

    code = "CONFLICT"
    http_status = 409


class LimitError(UsageError):
    """A limit was reached; the message names the limit, its value and the current use."""

    code = "RATE_LIMITED"
    http_status = 429


class QuotaError(LimitError):
    """An account's allowance is used up.

    Args:
        quota_type: `concurrent_sessions`, `sessions_per_minute` or `connections`.
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
    """More bytes than the limit, which the message names."""

    code = "MESSAGE_TOO_LARGE"
    http_status = 413


class InvalidCommandError(UsageError):
    """Unknown command or arguments that break the schema; the handler does not run."""

    code = "invalid_command"


class UnresolvedUploadError(UsageError):
    """A command refers to an upload that has no content in this session."""

    code = "unresolved_upload"


class CommandError(UsageError):
    """Raised by a model's author to refuse a command; code and message reach the caller unchanged.

    Args:
        code: short stable name, such as `busy`.
        message: what the caller reads.
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code, code=code)


class DefinitionError(UsageError, TypeError):
    """A model class that cannot be: the message names class, field, rule and fix."""

    code = "definition_error"


class EmissionError(UsageError, TypeError):
    """A model yielded what cannot be a frame: the message says what was expected and what came."""

    code = "emission_error"


class ConfigError(UsageError):
    """A setting that cannot be: the message names where it came from and what it may be."""

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
