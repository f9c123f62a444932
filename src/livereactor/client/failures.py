"""The errors of a connection, from their causes: what the program is told (behaviour 15.3, part D). Pure."""

from __future__ import annotations

from typing import Final, Literal

from livereactor.client.error import ReactorError
from livereactor.client.errors import error_of

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
