"""The caller of a request, and what it may do. Pure; `authenticator.py` makes a caller from a key or a token."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from livereactor.base.errors import ForbiddenError, NotFoundError
from livereactor.store.records import SessionRecord

Scope: TypeAlias = Literal["view", "control", "record", "upload", "admin"]
SESSION_SCOPES: Final = frozenset[Scope](("view", "control", "record", "upload"))
ALL_SCOPES: Final = SESSION_SCOPES | frozenset[Scope](("admin",))


class OriginError(ForbiddenError):
    """A token that is bound to web origins came from elsewhere."""

    code = "ORIGIN_REFUSED"


def only_bound(name: str) -> str:
    """Return the reach of tokens that act only on the sessions that they are bound to."""
    return f"bound:{name}"


@dataclass(frozen=True, slots=True)
class Caller:
    """An account, and what it may do here.

    Attributes:
        scopes: `view` receives, `control` commands and publishes (and ends), `record` makes and fetches Clips,
            `upload`, `admin` operates.
        token: `jti` of the token; "" for a key used directly.
        models: names it may create Sessions of; None = all.
        reach: which Sessions of the account it may act on; "" = all of them (an unscoped token, or a key).
        bound: ids it may act on in addition to those in its reach.
        max_sessions: Sessions it may hold in its life, the bound ones included; None = any number.
        max_concurrent: Sessions made with this token that may be open at once; None = as many as the account may.
        max_duration: seconds after which each Session it makes is ended; None = the coordinator's own.
        expires_at: Unix seconds at which its token ends, and so whatever it shares; None = a key's, or a guest's.
        origins: web origins of the only pages that may use its token; none = anybody who has it may.
    """

    account: str
    scopes: frozenset[Scope] = SESSION_SCOPES
    token: str = ""
    models: frozenset[str] | None = None
    reach: str = ""
    bound: frozenset[str] = frozenset()
    max_sessions: int | None = None
    max_concurrent: int | None = None
    max_duration: float | None = None
    expires_at: int | None = None
    origins: tuple[str, ...] = ()

    @property
    def role(self) -> Literal["owner", "viewer"]:
        """The role in the runtime: an `owner` controls the session, a `viewer` only receives."""
        return "owner" if "control" in self.scopes else "viewer"

    @property
    def records(self) -> bool:
        """Whether the caller's connections may ask for clips."""
        return "record" in self.scopes

    @property
    def mark(self) -> str:
        """The mark by which a worker tells callers apart: a hash of account, reach, role and the right to record,
        so that each share link has its own."""
        text = json.dumps([self.account, self.reach, self.role, self.records])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def link(self) -> str:
        """The id of the share link that the caller came by; "" for any other caller."""
        return self.token if self.token and self.reach == only_bound(self.token) else ""

    def need(self, scope: Scope) -> None:
        """Raise `ForbiddenError`, naming the scope, unless the caller has it."""
        if scope not in self.scopes:
            granted = ", ".join(f"`{each}`" for each in sorted(self.scopes)) or "nothing"
            raise ForbiddenError(f"this token lacks the scope `{scope}`; it grants {granted}")

    def must_come_from(self, origin: str | None) -> None:
        """Raise `OriginError` where the token is bound to web origins and the page that asks is of none of them.

        Args:
            origin: of the page; None = no page asks.
        """
        if not self.origins or origin in self.origins:
            return
        named = ", ".join(self.origins)
        if origin is None:
            raise OriginError(f"this token is for pages of {named}, and this request comes from no page; use another")
        raise OriginError(f"this token is for pages of {named}, not of {origin[:128]!r}; use a token of your own")

    def reaches(self, session: SessionRecord) -> bool:
        """Return whether the caller may know of the session."""
        if "admin" in self.scopes:
            return True
        if session.account != self.account:
            return False
        return not self.reach or session.reach == self.reach or session.id in self.bound

    def must_reach(self, session: SessionRecord | None, asked: str) -> SessionRecord:
        """Return the session; for a caller, a session out of reach does not exist: `NotFoundError`."""
        if session is None or not self.reaches(session):
            raise NotFoundError(f"no session {asked[:64]!r} for this account; GET /sessions lists yours")
        return session
