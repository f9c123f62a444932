"""JSON web tokens (RFC 7519): they carry signed rights, and identify a caller. Pure; `now_at` is passed.

A token is checked without the database: everything its bearer may do is in its claims, which only we can sign.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast
from urllib.parse import quote

import jwt
from jwt.utils import base64url_decode, base64url_encode

from livereactor.base.errors import ExpiredError, ForbiddenError, UnauthorizedError, UsageError
from livereactor.coordinator.auth.caller import ALL_SCOPES, SESSION_SCOPES, Caller, Scope, only_bound
from livereactor.protocol.tokens import (
    CEILING,
    MAX_SESSIONS,
    AuthorizationDetail,
    TokenRequest,
)
from livereactor.store.records import SessionRecord

ISSUER: Final = "livereactor"
AUDIENCE: Final = "livereactor"
ALGORITHM: Final = "HS256"
MAX_CHARS: Final = 48 * 1024  # a token bound to 500 Sessions has some 30,000
_REMEMBERED: Final = 1024  # tokens in use at once; beyond it the oldest is checked again
_REQUIRED: Final = ["exp", "iat", "aud", "iss", "sub", "jti"]


class Tokens:
    """Signs and verifies tokens with a ring of keys.

    Args:
        keys: secrets by id; the first signs, all verify.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self._signing = next(iter(self._keys))
        self._known: OrderedDict[bytes, Caller] = OrderedDict()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return the token with these claims."""
        key = self._keys[self._signing]
        return jwt.encode(dict(claims), key, algorithm=ALGORITHM, headers={"kid": self._signing})

    def verify(self, token: str, *, now_at: float) -> Caller:
        """Return the caller of a token.

        Raises:
            ExpiredError: the token was ours.
            UnauthorizedError: the token is not ours, or is meant for something else.
        """
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        caller = self._known.get(digest)
        if caller is None:
            caller = caller_of(self._claims(token))
            self._remember(digest, caller)
        if caller.expires_at is None or now_at >= caller.expires_at:
            at = datetime.fromtimestamp(caller.expires_at or 0, UTC)
            raise ExpiredError(f"token expired at {at:%H:%M:%S}Z; mint a new one")
        return caller

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            if len(token) > MAX_CHARS or not _is_canonical(token):
                raise jwt.InvalidTokenError
            key = self._keys[str(jwt.get_unverified_header(token).get("kid"))]
            # Expiry is the caller's to check, against the clock it is passed; `iat` says nothing on another's clock.
            options: Any = {"require": _REQUIRED, "verify_exp": False, "verify_iat": False}
            return jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=options)
        except (jwt.InvalidTokenError, KeyError, ValueError, RecursionError):
            raise UnauthorizedError("this token was not issued here, or was changed; mint a new one") from None

    def _remember(self, digest: bytes, caller: Caller) -> None:
        self._known[digest] = caller
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def granted(holder: Caller, asked: TokenRequest, *, jti: str, now_at: float, lifetime: int) -> dict[str, Any]:
    """Return the claims of a token that `holder` (of a key) requests.

    Args:
        lifetime: seconds, if the request gives none.

    Raises:
        ForbiddenError: a scope that the key lacks.
        UsageError: more Sessions bound than `max_sessions`.
    """
    claims = standing_claims(holder.account, _scopes(holder, asked), jti, now_at)
    claims["exp"] = int(now_at) + min(asked.expires_after or lifetime, CEILING)
    if asked.origins is not None:
        claims["origins"] = _once(asked.origins)
    if asked.detail is not None:
        claims["authorization_details"] = [_detail(asked.detail)]
    if asked.detail is not None or asked.subject is not None:
        claims["reach"] = _reach(holder.account, asked)
    return claims


def caller_of(claims: Mapping[str, Any]) -> Caller:
    """Return the caller that a token's claims describe; a claim that is not understood grants nothing."""
    details = claims.get("authorization_details")
    scoped: dict[str, Any] = cast("list[dict[str, Any]]", details)[0] if details else {}
    resources: dict[str, Any] = scoped.get("resources", {})
    constraints: dict[str, Any] = scoped.get("constraints", {})
    names = resources.get("models", {}).get("match")
    return Caller(
        account=claims["sub"],
        scopes=known_scopes(claims.get("scope", "").split()),
        token=claims["jti"],
        models=None if names is None else frozenset(bare_name(each) for each in names),
        reach=claims.get("reach", ""),
        bound=frozenset(resources.get("sessions", {}).get("bind", ())),
        max_sessions=constraints.get("max_sessions"),
        max_concurrent=constraints.get("max_concurrent_sessions"),
        max_duration=constraints.get("max_session_duration_seconds"),
        expires_at=claims["exp"],
        origins=tuple(claims.get("origins", ())),
    )


def known_scopes(named: Collection[str]) -> frozenset[Scope]:
    """Return the names that are scopes."""
    return frozenset(each for each in ALL_SCOPES if each in named)


def bare_name(model: str) -> str:
    """Return a model's name without its owner: `helios` for `reactor/helios`."""
    return model.rpartition("/")[2]


def standing_claims(account: str, scopes: frozenset[Scope], jti: str, now_at: float) -> dict[str, Any]:
    """Return the claims that every token has; `exp`, and claims that narrow it, are added."""
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": account,
        "jti": jti,
        "iat": int(now_at),
        "scope": " ".join(sorted(scopes)),
    }


def _scopes(holder: Caller, asked: TokenRequest) -> frozenset[Scope]:
    if asked.scope is None:
        return holder.scopes & SESSION_SCOPES
    for scope in asked.scope:
        if scope not in holder.scopes:
            has = ", ".join(f"`{each}`" for each in sorted(holder.scopes)) or "nothing"
            raise ForbiddenError(f"this key lacks the scope `{scope}`; it grants {has}")
    return frozenset[Scope](asked.scope)


def _detail(asked: AuthorizationDetail) -> dict[str, Any]:
    """Return the detail as requested, with the number of sessions that it allows."""
    body = asked.to_body()
    bound = list(dict.fromkeys(asked.resources.sessions.bind)) if asked.resources.sessions else []
    if bound:
        body["resources"]["sessions"]["bind"] = bound
    most = _most_sessions(asked, len(bound))
    if most < len(bound):
        raise UsageError(f"{len(bound)} sessions are bound and max_sessions, which counts them, is {most}; raise it")
    body["constraints"] = {"max_sessions": most} | body.get("constraints", {})
    return body


def _most_sessions(asked: AuthorizationDetail, bound: int) -> int:
    if asked.constraints is not None and asked.constraints.max_sessions is not None:
        return asked.constraints.max_sessions
    return bound or MAX_SESSIONS


def _reach(account: str, asked: TokenRequest) -> str:
    """Return the reach; tokens with the same one share their sessions, so a client may mint a token for every call."""
    detail = asked.detail
    names = detail.resources.models.match if detail is not None else None
    models = None if names is None else sorted({bare_name(each) for each in names})
    bound = sorted(set(detail.resources.sessions.bind)) if detail is not None and detail.resources.sessions else None
    if detail is not None and bound is not None and _most_sessions(detail, len(bound)) <= len(bound):
        # The token creates no session, so it needs none but those bound to it.
        return only_bound(_digest([account, bound, asked.subject]))
    return _digest([account, models, asked.subject])


def _once(origins: Collection[str]) -> list[str]:
    return list(dict.fromkeys(origins))


def _shared_origins(caller: Caller, asked: Collection[str]) -> Mapping[str, Any]:
    """Return the claim of a shared token, which is for no page that the caller's own is not for."""
    if caller.origins and (others := [each for each in asked if each not in caller.origins]):
        named = ", ".join(caller.origins)
        raise ForbiddenError(f"your token is for pages of {named}, so a link is not for {others[0]!r}; name none other")
    origins = _once(asked) or list(caller.origins)
    return {"origins": origins} if origins else {}


def _digest(what: list[Any]) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


def _is_canonical(token: str) -> bool:
    """Return whether the signature is spelled as `sign` spells it; Base64 has several spellings of the same bytes."""
    signature = token.rpartition(".")[2].encode()
    return base64url_encode(base64url_decode(signature)) == signature


def shared(
    caller: Caller,
    session: SessionRecord,
    scopes: frozenset[Scope],
    *,
    jti: str,
    now_at: float,
    lifetime: int,
    origins: Collection[str] = (),
) -> dict[str, Any]:
    """Return the claims of a token for one session of the caller.

    Args:
        origins: web origins that it is bound to; none = those of the caller's own token.
        lifetime: seconds; it ends no later than the caller's own token, or a viewer could extend it for ever.

    Raises:
        ForbiddenError: a scope that the caller lacks, or `admin`; an origin that the caller's token is not for.
    """
    if "admin" in scopes:
        raise ForbiddenError("the scope `admin` cannot be shared; create a key with that scope instead")
    for scope in sorted(scopes):
        caller.need(scope)
    ends = int(now_at) + min(lifetime, CEILING)
    resources = {"models": {"all": True}, "sessions": {"bind": [session.id]}}
    return standing_claims(session.account, scopes, jti, now_at) | {
        "exp": ends if caller.expires_at is None else min(ends, caller.expires_at),
        "authorization_details": [{"type": "session", "resources": resources, "constraints": {"max_sessions": 1}}],
        "reach": only_bound(jti),
        **_shared_origins(caller, origins),
    }


def share_link(page: str, session: str, token: str) -> str:
    """Return the page's URL with the token behind `#`, which no browser sends and no server logs."""
    return f"{page.rstrip('/')}/#session={quote(session, safe='')}&token={token}"
