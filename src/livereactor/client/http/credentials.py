"""Credentials of a client: a token, a function that gives one, or an API key that is exchanged for narrow tokens.

Keys and tokens never appear in a repr, a log or an error message.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final, TypeAlias

from livereactor.client.errors import AuthError, ReactorError, error_of
from livereactor.client.http.api_errors import asked_again, refusal
from livereactor.client.http.client import Http, HttpAnswer
from livereactor.client.http.reading import read_object
from livereactor.client.http.urls import DEFAULT_API_URL, base_url
from livereactor.protocol.json_text import to_json_text

Resolver: TypeAlias = Callable[[], str | Awaitable[str]]
Mint: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable["Token"]]
"""Exchange a key for a token that grants what the mapping asks for (the body of `POST /tokens`)."""

PATIENCE: Final = 30.0  # seconds: a resolver may ask a server of its own; tokens of official clients have as long
RENEW_BEFORE: Final = 60.0  # seconds before a token's end
_UNTOLD: Final = 600.0  # seconds to keep a token if the server does not say when it expires
_WHAT: Final = "the exchange of the API key"
_REFUSED: Final = "the API key was refused; "  # the beginning of our coordinator's sentence, which would be said twice


@dataclass(frozen=True, slots=True)
class Token:
    """A token, valid until `until`, monotonic seconds."""

    jwt: str = field(repr=False)
    until: float


class Credentials:
    """The credentials of one client. A token, or a function that gives one, wins over a key.

    Args:
        api_key: exchanged for tokens, each as narrow as the next request allows.
        jwt: a token, or a function without arguments (sync or async) that is asked for one before every request.
    """

    def __init__(self, api_key: str | None = None, jwt: str | Resolver | None = None) -> None:
        self._key, self._jwt = api_key, jwt
        self._grant: dict[str, Any] = {}
        self._token: Token | None = None
        self._minting = asyncio.Lock()

    @property
    def are_given(self) -> bool:
        """True if a token or a key was given."""
        return bool(self._key) or bool(self._jwt)

    def use(self, jwt: str | Resolver) -> None:
        """Send this token from now on."""
        self._jwt = jwt

    def ask_for(
        self, *, model: str | None = None, session_id: str | None = None, max_session_duration: float | None = None
    ) -> None:
        """Set what tokens of the key must permit from now on; a token for something else is forgotten.

        Args:
            model: the model, without its version, of a Session to create.
            session_id: an existing Session to act on.
            max_session_duration: seconds after which the server ends the created Session.
        """
        grant = grant_of(
            models=None if model is None else [model],
            sessions=None if session_id is None else [session_id],
            max_session_duration=max_session_duration,
        )
        if grant != self._grant:
            self._grant, self._token = grant, None

    def keep_for(self, session_id: str) -> None:
        """Ask for this Session, which was created, in later tokens; the present token stays valid for it."""
        self._grant = grant_of(sessions=[session_id])

    def forget(self) -> None:
        """Forget a refused token; the next request gets another one if a key was given."""
        self._token = None

    async def header(self, mint: Mint) -> dict[str, str]:
        """Return the header of the next request; no header if a function gives an empty text.

        Raises:
            ReactorError: the key was refused, or the function raised or gave no text.
        """
        jwt = await self._resolved() if self._jwt else (await self._minted(mint)).jwt if self._key else ""
        return {"Authorization": f"Bearer {fit_for_a_header(jwt, 'token')}"} if jwt else {}

    def __repr__(self) -> str:
        kinds = (("jwt", self._jwt), ("api_key", self._key))
        return f"Credentials({', '.join(f'{name}=…' for name, given in kinds if given)})"

    async def _minted(self, mint: Mint) -> Token:
        async with self._minting:
            token = self._token
            if token is None or time.monotonic() > token.until - RENEW_BEFORE:
                token = self._token = await mint(self._key or "", self._grant)
            return token

    async def _resolved(self) -> str:
        jwt = self._jwt
        if isinstance(jwt, str):
            return jwt
        assert jwt is not None
        try:
            async with asyncio.timeout(PATIENCE):
                # A plain function may block, as most that ask a server do, and must not hold the loop up.
                given = jwt() if inspect.iscoroutinefunction(jwt) else await asyncio.to_thread(jwt)
                token = await given if inspect.isawaitable(given) else given
        except ReactorError:  # raised by `fetch_jwt`, say, which knows best whether to try again
            raise
        except TimeoutError as error:
            raise AuthError(
                f"the jwt function returned no token in {PATIENCE:g} s; check it", recoverable=True
            ) from error
        except Exception as error:  # the program's own code may raise anything; an OSError is mostly the network's
            text = f"the jwt function raised {type(error).__name__}; check it"
            raise AuthError(text, recoverable=isinstance(error, OSError)) from error
        if not isinstance(token, str):
            raise AuthError(f"the jwt function returned a {type(token).__name__}, not a string; check it")
        return token


async def fetch_jwt(
    api_key: str,
    api_url: str = DEFAULT_API_URL,
    *,
    models: Sequence[str] | None = None,
    sessions: Sequence[str] | None = None,
    max_sessions: int | None = None,
    max_session_duration: float | None = None,
    expires_after: float | None = None,
) -> str:
    """Exchange an API key for a token, as a web back end does for its pages.

    Args:
        api_key: starts with `rk_`.
        api_url: the address of the coordinator.
        models: names of the models that the token may create Sessions of; None = all that the key may use.
        sessions: ids of Sessions that it may act on.
        max_sessions: the number of Sessions it may create in its life.
        max_session_duration: seconds after which each of them is ended.
        expires_after: seconds that the token is valid, 6 hours at most.

    Raises:
        ValueError: the key is empty, or the address is not valid.
        ReactorError: `UNAUTHORIZED` (an `AuthError`) if the key is refused; `NETWORK_ERROR`, …
    """
    if not api_key:
        raise ValueError("an api_key is needed; it starts with rk_")
    grant = grant_of(models, sessions, max_sessions, max_session_duration, expires_after)
    url = base_url(api_url)
    http = Http(url, direct=False)
    try:
        return (await minted(http, url, api_key, grant)).jwt
    finally:
        await http.aclose()


def grant_of(
    models: Sequence[str] | None = None,
    sessions: Sequence[str] | None = None,
    max_sessions: int | None = None,
    max_session_duration: float | None = None,
    expires_after: float | None = None,
) -> dict[str, Any]:
    """Return the body of `POST /tokens`; `{}` asks for all that the key permits."""
    limits = {
        "max_sessions": max_sessions,
        "max_session_duration_seconds": None if max_session_duration is None else math.ceil(max_session_duration),
    }
    constraints = {name: each for name, each in limits.items() if each is not None}
    grant: dict[str, Any] = {} if expires_after is None else {"expires_after": max(1, int(expires_after))}
    if models is None and sessions is None and not constraints:
        return grant
    resources: dict[str, Any] = {"models": {"all": True} if models is None else {"match": list(models)}}
    if sessions is not None:
        resources["sessions"] = {"bind": list(sessions)}
    detail = {"type": "session", "resources": resources, **({"constraints": constraints} if constraints else {})}
    return {**grant, "authorization_details": [detail]}


async def minted(http: Http, url: str, key: str, grant: Mapping[str, Any]) -> Token:
    """Exchange a key for a token, at the coordinator at `url`."""
    headers = {"Reactor-API-Key": fit_for_a_header(key, "API key"), "Content-Type": "application/json"}
    ask = partial(http.ask, "POST", f"{url}/tokens", headers=headers, content=to_json_text(grant), timeout=PATIENCE)
    answer = await asked_again(ask)
    if answer.status in (401, 403):
        said = refusal(answer, _WHAT)
        message = f"the API key was refused ({answer.status}): {said.message.removeprefix(_REFUSED)}"
        raise AuthError(message, component="api", status=answer.status, details=said.details)
    if not answer.is_ok:
        raise refusal(answer, _WHAT)
    said = read_object(answer, _WHAT)
    jwt = said.get("jwt")
    if not isinstance(jwt, str) or not jwt:
        raise error_of("DECODE_FAILED", f"unexpected answer to {_WHAT}: it has no jwt")
    return Token(jwt, time.monotonic() + _lifetime(said.get("expires_at"), answer))


def fit_for_a_header(secret: str, what: str) -> str:
    """Return the secret, checked here because the HTTP library's own error would show it."""
    if not secret.isascii() or not secret.isprintable():
        words = "such as a line end; check where it comes from"
        raise AuthError(f"the {what} contains characters that no {what} has, {words}")
    return secret


def _lifetime(expires_at: object, answer: HttpAnswer) -> float:
    """Return the seconds that a token is valid, by the server's clock if it gives the time."""
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        return _UNTOLD
    try:
        now = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        now = time.time()
    return expires_at - now
