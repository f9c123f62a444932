"""`ReactorError`, what every error of a client is. `errors` has the classes below it, one for every code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, TypedDict, Unpack

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
