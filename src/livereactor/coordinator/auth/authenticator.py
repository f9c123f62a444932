"""Authentication of requests by API key, token, worker secret or credential, and the minting of tokens.

Credentials are read here and nowhere else, and never leave: errors and log records name accounts, ids and scopes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final

from starlette.requests import HTTPConnection

from livereactor.base.errors import ExpiredError, ForbiddenError, LivereactorError, NotFoundError, UnauthorizedError
from livereactor.coordinator.auth.caller import SESSION_SCOPES, Caller
from livereactor.coordinator.auth.keys import PREFIX, Keys
from livereactor.coordinator.auth.secrets import Secrets
from livereactor.coordinator.auth.tokens import Tokens, granted, known_scopes, shared
from livereactor.coordinator.auth.worker_credentials import PREFIX as WORKER_PREFIX
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, identified
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol.tokens import ShareRequest, TokenAnswer, TokenRequest
from livereactor.store.port import Store, StoreUnavailableError, Tx
from livereactor.store.records import OPEN, ApiKey
from livereactor.web.access import is_of_this_machine, page_origin, peer
from livereactor.web.rates import FailedAttempts

GUEST: Final = "guest"  # the account of everybody without credentials
_FOUND: Final = "livereactor.holder"  # key of a scope
_WORKER: Final = "livereactor.worker"  # key of a scope
_OF_WORKERS: Final = ("/workers/", "/internal/")  # beginnings of the paths of workers and other coordinators
_NOBODY: Final = "no credentials given; send Authorization: Bearer with a token from POST /tokens, or Reactor-API-Key"
_ONLY_HERE: Final = (
    "without credentials only programs and pages of this machine are served, by a loopback name and without a proxy; "
    "send Authorization: Bearer with a token from POST /tokens, or Reactor-API-Key"
)
_SINCE_KEYS: Final = (
    "this server has API keys, so everyone needs a key or token: `livereactor token` prints one, POST /tokens does "
    "for your web server; `[coordinator] guests = true` serves everyone without one"
)
_ONLY_WORKERS: Final = (
    "only workers may call this; send a worker's credential, or the worker secret, as Authorization: Bearer"
)
_TOKEN: Final = "eyJ"  # how every JWT begins: `{"` in base64
_NO_KEY: Final = "this is a token, not a key; pass it as `jwt`, or send it as Authorization: Bearer"
_NO_CREDENTIALS: Final = ("", "local")  # what official clients put behind `Bearer` when they have none


@dataclass(frozen=True, slots=True)
class _Shown:
    """The credentials of a request; both None = it shows none."""

    key: str | None = None
    token: str | None = None


class Authenticator:
    """Authenticates requests and mints tokens.

    Args:
        keys: the API keys.
        secrets: sign tokens, and check the secret of workers.
        options: whether guests are served, and the limits that no token may exceed.
        unix_us: the clock, microseconds of Unix time.
    """

    def __init__(
        self, store: Store, keys: Keys, secrets: Secrets, options: CoordinatorOptions, *, unix_us: Callable[[], int]
    ) -> None:
        self._store, self.keys, self._secrets = store, keys, secrets
        self._tokens = Tokens(secrets.token_keys)
        self._options, self._unix_us = options, unix_us
        self._failed_workers = FailedAttempts("worker credentials")

    async def caller(self, request: HTTPConnection) -> Caller:
        """Return the caller of a request.

        Raises:
            UnauthorizedError: no credentials where they are needed, or wrong or expired ones.
            QuotaError: too many wrong keys from this address.
        """
        found = request.scope.get(_FOUND) or await self._holder(request)
        if isinstance(found, LivereactorError):
            raise found
        if found is not None:
            return found
        if (refusal := await self._no_guest(request)) is not None:
            raise UnauthorizedError(refusal)
        return Caller(GUEST, SESSION_SCOPES)

    async def recognises(self, request: HTTPConnection) -> bool:
        """Return whether the request shows a valid key or token, or on a route of workers, what a worker shows.

        The result stays with the request, so that a wrong key counts as one failed attempt. Elsewhere nothing is
        compared with the worker secret: what is not a guess need not be counted.
        """
        if request.scope["path"].startswith(_OF_WORKERS):
            worker = request.scope[_WORKER] = self._worker(request)
            return isinstance(worker, WorkerIdentity)
        found = request.scope[_FOUND] = await self._holder(request)
        return isinstance(found, Caller)

    def must_be_worker(self, request: HTTPConnection) -> WorkerIdentity:
        """Return the worker that asks.

        Raises:
            UnauthorizedError: it shows neither a worker's credential nor the worker secret, or a wrong one.
            QuotaError: too many wrong ones from this address.
        """
        found = request.scope.get(_WORKER) or self._worker(request)
        if isinstance(found, LivereactorError):
            raise found
        return found

    def _worker(self, request: HTTPConnection) -> WorkerIdentity | LivereactorError:
        """Return the worker whose credentials a request shows, or what is wrong with them."""
        shown, origin = _shown_by_worker(request), peer(request)
        if not shown:
            return UnauthorizedError(_ONLY_WORKERS)
        refusal = self._failed_workers.refusal(origin)
        is_signed = shown.startswith(WORKER_PREFIX)  # nobody can guess one, so guesses shut no holder out
        if refusal is not None and not is_signed:
            return refusal
        try:
            if is_signed:
                return identified(shown, self._secrets.worker_ring, now_at=self._unix_us() / 1e6)
            if self._secrets.knows_worker(shown):
                return WorkerIdentity()
            raise UnauthorizedError(_ONLY_WORKERS)
        except ExpiredError as error:  # we signed it, so it is no guess
            return error
        except UnauthorizedError as error:
            if refusal is None:
                self._failed_workers.count(origin)
            return refusal or error

    async def minter(self, request: HTTPConnection) -> Caller:
        """Return a caller with an API key (or a guest, where guests are served).

        Raises:
            UnauthorizedError: no key, or a wrong one; a token cannot mint tokens.
            QuotaError: too many wrong keys from this address.
        """
        shown = _shown(request.headers)
        if shown.token is not None or (shown.key is None and await self._no_guest(request) is not None):
            raise UnauthorizedError(
                "no API key given; send it as Reactor-API-Key, X-API-Key or Authorization: Bearer rk_…"
            )
        return await self.caller(request)

    async def mint_for(self, holder: Caller, asked: TokenRequest) -> TokenAnswer:
        """Return a token for a holder who is authenticated already.

        Raises:
            ForbiddenError: more rights than the key has, or limits above those of its account or of the server.
            NotFoundError: a session to be bound is over, or does not exist for this account.
        """
        detail = asked.detail
        lifetime = self._options.token_lifetime if detail is None else self._options.scoped_token_lifetime
        claims = granted(holder, asked, jti=_new_jti(), now_at=self._unix_us() / 1e6, lifetime=lifetime)
        if detail is not None:
            _must_not_last_too_long(
                detail.constraints and detail.constraints.max_session_duration_seconds, self._options
            )
            bound = detail.resources.sessions.bind if detail.resources.sessions else []
            at_once = detail.constraints and detail.constraints.max_concurrent_sessions
            if bound or at_once:
                await self._store.read(lambda tx: self._must_be_allowed(tx, holder.account, bound, at_once))
        return self._answer(claims)

    async def share(self, caller: Caller, session: str, asked: ShareRequest) -> TokenAnswer:
        """Return a token for one session within the caller's reach, with no more rights or lifetime than it has.

        Raises:
            NotFoundError: the session is out of reach, or over.
            ForbiddenError: a scope that the caller lacks, or `admin`.
        """
        found = caller.must_reach(await self._store.read(lambda tx: tx.session(session)), session)
        if found.state not in OPEN:
            raise _no_open_session(session)
        now_at = self._unix_us() / 1e6
        claims = shared(
            caller,
            found,
            frozenset(asked.scope),
            jti=_new_jti(),
            now_at=now_at,
            lifetime=asked.expires_after,
            origins=asked.origins or (),
        )
        return self._answer(claims)

    def _answer(self, claims: Mapping[str, Any]) -> TokenAnswer:
        return TokenAnswer(
            jwt=self._tokens.sign(claims),
            expires_at=claims["exp"],
            authorization_details=claims.get("authorization_details"),
            scope=claims["scope"].split(),
            origins=claims.get("origins"),
        )

    async def _holder(self, request: HTTPConnection) -> Caller | LivereactorError | None:
        """Return the caller whose credentials a request shows, or what is wrong with them; None = it shows none."""
        shown = _shown(request.headers)
        try:
            if shown.token is not None:
                caller = self._tokens.verify(shown.token, now_at=self._unix_us() / 1e6)
                if caller.origins:
                    caller.must_come_from(page_origin(request, self._options.public_url))
                return caller
            if shown.key is not None:
                if shown.key.startswith(_TOKEN):
                    raise UnauthorizedError(_NO_KEY)
                return _key_caller(await self.keys.find(shown.key, peer=peer(request)))
        except LivereactorError as error:
            return error
        return None

    async def serves_guests(self) -> bool:
        """Return whether requests without credentials are served now, on this machine or from anywhere."""
        if self._options.guests_from_anywhere or not self._options.guests:
            return self._options.guests_from_anywhere
        with suppress(StoreUnavailableError):
            return not await self.keys.are_there()
        return False

    async def _no_guest(self, request: HTTPConnection) -> str | None:
        """Return why a request without credentials is refused; None = it is a guest's."""
        options = self._options
        if options.guests_from_anywhere:
            return None
        if not options.guests:
            return _NOBODY
        # A caller without credentials must be on this machine, and not a page from elsewhere.
        if not is_of_this_machine(request):
            return _ONLY_HERE
        # Not every proxy can be recognised, so guests are refused as soon as there is a key.
        return _SINCE_KEYS if await self.keys.are_there() else None

    def _must_be_allowed(self, tx: Tx, account: str, bound: list[str], at_once: int | None) -> None:
        for each in bound:
            session = tx.session(each)
            if session is None or session.account != account or session.state not in OPEN:
                raise _no_open_session(each)
        record = tx.account(account)
        own = record.max_sessions if record is not None else None
        most = self._options.quotas.concurrent_sessions if own is None else own
        if at_once is not None and most and at_once > most:
            raise ForbiddenError(
                f"max_concurrent_sessions {at_once} is over the account's {most} concurrent sessions; ask for no more"
            )


def _shown_by_worker(request: HTTPConnection) -> str:
    kind, _, shown = request.headers.get("authorization", "").partition(" ")
    return shown.strip() if kind.lower() == "bearer" else ""


def _shown(headers: Mapping[str, str]) -> _Shown:
    for name in ("reactor-api-key", "x-api-key"):
        if key := headers.get(name, "").strip():
            return _Shown(key=key)
    scheme, _, rest = headers.get("authorization", "").strip().partition(" ")
    value = rest.strip()
    if scheme.lower() != "bearer" or value in _NO_CREDENTIALS:
        return _Shown()
    return _Shown(key=value) if value.startswith(PREFIX) else _Shown(token=value)


def _key_caller(key: ApiKey) -> Caller:
    return Caller(key.account, known_scopes(key.scopes))


def _must_not_last_too_long(asked: int | None, options: CoordinatorOptions) -> None:
    longest = options.limits.max_session_duration
    if asked is not None and longest and asked > longest:
        raise ForbiddenError(
            f"max_session_duration_seconds {asked} is over the {longest:g} s that sessions last here; ask for no more"
        )


def _no_open_session(session: str) -> NotFoundError:
    return NotFoundError(f"no open session {session[:64]!r} for this account; GET /sessions lists yours")


def _new_jti() -> str:
    return token_hex(16)
