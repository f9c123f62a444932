"""A link to one Session for somebody else: what its token grants, and how it is written. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from livereactor.base.errors import ForbiddenError
from livereactor.coordinator.auth.caller import Caller, Scope
from livereactor.coordinator.auth.tokens import only_bound, standing_claims
from livereactor.protocol.tokens import CEILING
from livereactor.store.records import SessionRecord


def shared(
    caller: Caller, session: SessionRecord, scopes: frozenset[Scope], *, jti: str, now_at: float, lifetime: int
) -> dict[str, Any]:
    """The claims of a token for one Session of the caller's.

    Args:
        lifetime: seconds; it ends no later than the caller's own token, or a viewer could share himself on for ever.

    Raises:
        ForbiddenError: a scope that the caller lacks, or `admin`.
    """
    if "admin" in scopes:
        raise ForbiddenError("`admin` cannot be shared; make a key with that scope instead")
    for scope in sorted(scopes):
        caller.need(scope)
    ends = int(now_at) + min(lifetime, CEILING)
    resources = {"models": {"all": True}, "sessions": {"bind": [session.id]}}
    return standing_claims(session.account, scopes, jti, now_at) | {
        "exp": ends if caller.expires_at is None else min(ends, caller.expires_at),
        "authorization_details": [{"type": "session", "resources": resources, "constraints": {"max_sessions": 1}}],
        "reach": only_bound(jti),
    }


def share_link(page: str, session: str, token: str) -> str:
    """The page's URL with the token behind `#`, which no browser sends and no server logs."""
    return f"{page.rstrip('/')}/#session={quote(session, safe='')}&token={token}"
