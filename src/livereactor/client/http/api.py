"""The HTTP API as a client uses it: sessions, signalling, uploads, clips, of a coordinator or of a runtime.

Every call is bounded in time. All of them raise `ReactorError` and nothing else, with the precise code; the
connection decides which of them a program gets as `CONNECTION_FAILED` (`errors.not_connected`).

Above 400 lines because it is one list of requests; the ICE servers are those that are asked for ahead of time.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any, BinaryIO, Final, Literal, TypeAlias

from livereactor.base.errors import UsageError
from livereactor.base.limits import KIB
from livereactor.client.errors import ReactorError, error_of
from livereactor.client.http.api_errors import API_VERSION, asked_again, refusal, retry_after, unreadable
from livereactor.client.http.client import ANSWER_BYTES, PATIENCE, Http, HttpAnswer, origin_of
from livereactor.client.http.credentials import Credentials, minted
from livereactor.client.http.reading import (
    ReceivedDescriptor,
    UploadPlace,
    read_body,
    read_descriptor,
    read_ice_servers,
)
from livereactor.client.http.urls import base_url, moved_to, segment, under
from livereactor.client.types import TrackCapability
from livereactor.engine.port import Candidate, IceServer
from livereactor.protocol.http import Answer, ConnectionCreated, OfferTaken, UploadSlot
from livereactor.protocol.json_text import to_json_text

FRESH: Final = 30.0  # seconds that servers fetched ahead are used
LASTING: Final = 600.0  # seconds that credentials must still last to be reused: the relay ends with them
# A relay's user name says when its credentials end, Unix seconds (draft-uberti-behave-turn-rest-00, 2.2).
_ENDS: Final = re.compile(r"(\d{9,11})(:.*)?", re.DOTALL)

Servers: TypeAlias = tuple[IceServer, ...]


@dataclass(frozen=True, slots=True)
class _Ahead:
    session_id: str
    servers: asyncio.Task[Servers]
    asked_at: float


class IceServersCache:
    """The ICE servers of one client.

    Args:
        ask: fetches those of a Session; raises `ReactorError`.
    """

    def __init__(self, ask: Callable[[str], Coroutine[Any, Any, Servers]]) -> None:
        self._ask = ask
        self._ahead: _Ahead | None = None
        self._known: tuple[str, Servers] = ("", ())

    def ask_ahead(self, session_id: str) -> None:
        """Fetch them while the Session is being prepared: the server gives them from its first moment on."""
        asking = asyncio.get_running_loop().create_task(self._ask(session_id), name="ice servers")
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._ahead = _Ahead(session_id, asking, time.monotonic())

    async def get(self, session_id: str, *, again: bool) -> Servers:
        """Return the servers to gather with.

        Args:
            again: the Session was connected to before: reuse its servers while their credentials last.
        """
        if again and self._known[0] == session_id and are_lasting(self._known[1], time.time()):
            return self._known[1]
        self._known = session_id, await self._new(session_id)
        return self._known[1]

    def cancel(self) -> None:
        """Cancel a request that is under way."""
        if self._ahead is not None:
            self._ahead.servers.cancel()

    async def _new(self, session_id: str) -> Servers:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.session_id == session_id and time.monotonic() < ahead.asked_at + FRESH:
            with suppress(ReactorError):  # perhaps it was asked too early
                return await ahead.servers
        return await self._ask(session_id)


def are_lasting(servers: Iterable[IceServer], now_at: float) -> bool:
    """Return whether all credentials last long enough, at `now_at` in Unix seconds."""
    return all(not each.username or _ends_at(each.username) > now_at + LASTING for each in servers)


def _ends_at(username: str) -> float:
    found = _ENDS.fullmatch(username)
    return float(found[1]) if found else 0.0


SDK_TYPE: Final = "livereactor-python"
HELD: Final = 30.0  # seconds for an answer that a server may hold; ours hold it 25 at most
LOADING: Final = 25.0  # seconds to wait for a local runtime whose model is loading
SOONEST: Final = 0.2  # seconds before it is asked again, even if it says less
FLAT: Final = 1001  # the only connection of old runtimes
_VERSIONS: Final = {
    "Reactor-API-Version": API_VERSION,
    "Reactor-API-Accept-Version": API_VERSION,
    "Reactor-WebRTC-Version": "1.0",
}
_STARTING, _CREATING, _ASKING = "starting a session", "creating a session", "asking for the session"


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A Session as `create_session` left it.

    Attributes:
        is_ours: this client created it, and ends it; False if a local runtime had one that other clients are in.
    """

    descriptor: ReceivedDescriptor
    is_ours: bool


class Api:
    """The HTTP API of one server. It makes no connection before the first call.

    Args:
        url: the address of the coordinator, or of the runtime if `local`.
        local: the protocol's local mode: other session routes, no Authorization.
        credentials: sent to a coordinator.
    """

    def __init__(self, url: str, *, local: bool, credentials: Credentials, http: Http | None = None) -> None:
        self.url, self.local, self.credentials = base_url(url), local, credentials
        self._http = http or Http(self.url, direct=local)
        self._ice = IceServersCache(self._ice_servers)

    # --- sessions ------------------------------------------------------------------------------------------------

    async def create_session(
        self,
        model: str,
        *,
        session_args: Mapping[str, Any] | None = None,
        max_session_duration: float | None = None,
        generation: Literal["streamed", "stepped"] | None = None,
        patience: float = LOADING,
    ) -> OpenedSession:
        """Create a Session; its description is slim (without capabilities) if a coordinator creates it.

        Args:
            model: `name`, `owner/name` or `name@version`; a local runtime has its own.
            session_args: for the model.
            max_session_duration: seconds after which the server ends it.
            patience: seconds to keep asking a local runtime whose model is loading.

        Raises:
            ReactorError: `MODEL_LOADING`, `NO_CAPACITY`, `RATE_LIMITED`, `NOT_FOUND`, `UNAUTHORIZED`, `FORBIDDEN`, …
        """
        body: dict[str, Any] = {
            "extra_args": dict(session_args) if session_args else None,
            "max_duration": max_session_duration,
            "generation": generation if self.local else None,
            # Official stepped clients send it to a coordinator under this name.
            "extra_configs": {"generation": generation} if generation and not self.local else None,
        }
        body = {name: value for name, value in body.items() if value is not None}
        return await (self._start(body, patience) if self.local else self._create(model, body))

    async def session(
        self, session_id: str, *, wait: float | None = None, version: str | None = None
    ) -> ReceivedDescriptor:
        """Fetch the description of a Session.

        Args:
            wait: seconds that our coordinator may hold the answer until something changes; None = as it likes.
            version: of the last description; with `wait`, a change is a difference from that one.

        Raises:
            ReactorError: `NOT_FOUND` if this account has no Session of that id, or the runtime runs another.
        """
        if self.local:
            found = read_descriptor(await self._ask("GET", "/session", _ASKING), _ASKING)
            if found.session_id != session_id:
                raise error_of("NOT_FOUND", f"no session {session_id[:64]!r} runs at {self.url}", session_id=session_id)
            return found
        query = {"wait": None if wait is None else f"{wait:g}", "version": version}
        given = "&".join(f"{name}={segment(value)}" for name, value in query.items() if value is not None)
        path = f"/sessions/{segment(session_id)}" + (f"?{given}" if given else "")
        held = HELD + (wait or 0.0)
        answer = await self._ask("GET", path, _ASKING, timeout=held, session_id=session_id, twice=True)
        found = read_descriptor(answer, _ASKING)
        if found.session_id != session_id:
            raise unreadable(_ASKING, "it describes another one", status=answer.status, session_id=session_id)
        return found

    async def end_session(self, session_id: str) -> None:
        """End a Session; do nothing if it is over already, or unknown."""
        method, path = ("POST", "/stop_session") if self.local else ("DELETE", f"/sessions/{segment(session_id)}")
        answer = await self._request(method, path)
        # A runtime answers 409 if no Session runs; a coordinator 404 or 410.
        if not answer.is_ok and answer.status not in (404, 409, 410):
            raise refusal(answer, "ending the session", session_id=session_id)

    # --- signalling ----------------------------------------------------------------------------------------------

    async def ice_servers(self, session_id: str, *, again: bool = False) -> tuple[IceServer, ...]:
        """Fetch the STUN and TURN servers to gather with, without those that cannot be used.

        Args:
            again: the Session was connected to before: reuse that answer while its credentials last.
        """
        return await self._ice.get(session_id, again=again)

    async def _ice_servers(self, session_id: str) -> tuple[IceServer, ...]:
        what, path = "asking for ICE servers", self._transport(session_id) + "/ice_servers"
        answer = await self._ask("GET", path, what, session_id=session_id, twice=True)
        return read_ice_servers(answer, what)

    async def create_connection(self, session_id: str) -> int:
        """Register a new Connection, and return its number; `FLAT` for old runtimes, which have no numbers.

        Raises:
            ReactorError: `NOT_FOUND`: no such Session; `RATE_LIMITED` or `SERVER_ERROR`: it has too many.
        """
        what = "registering a connection"
        answer = await self._request("POST", self._transport(session_id) + "/connections", body={})
        if answer.status == 405 or (answer.status == 404 and b"session" not in answer.body.lower()):
            return FLAT  # the route is missing, not the session
        if not answer.is_ok:
            raise refusal(answer, what, session_id=session_id)
        return read_body(answer, ConnectionCreated, what).connection_id

    async def send_offer(
        self,
        session_id: str,
        connection: int,
        offer: str,
        mapping: Sequence[tuple[str, TrackCapability]],
        *,
        again: bool,
    ) -> str | None:
        """Post an offer.

        Args:
            mapping: the Tracks with the mids of their sections.
            again: replace what was negotiated on this Connection before.

        Returns:
            the answer if the server gives it at once, as ours do; None if it must be asked for.
        """
        tracks = [{"mid": mid, "name": t.name, "kind": t.kind, "direction": t.direction} for mid, t in mapping]
        body = {"sdp_offer": offer, "client_info": client_info(), "track_mapping": tracks, "want_answer": True}
        path = self._connection(session_id, connection) + "/sdp_params"
        what, method = "sending the offer", "PUT" if again else "POST"
        answer = await self._ask(method, path, what, body=body, timeout=HELD, session_id=session_id)
        with suppress(ReactorError):  # an official 202 may have any body, or none
            return read_body(answer, OfferTaken, what).sdp_answer
        return None

    async def answer(self, session_id: str, connection: int) -> str | None:
        """Fetch the answer to the offer; None while it is not ready. Official runtimes hand it out once."""
        what = "asking for the answer to the offer"
        path = self._connection(session_id, connection) + "/sdp_params"
        answer = await self._ask("GET", path, what, timeout=HELD, session_id=session_id, again=False)
        return None if answer.status == 202 else read_body(answer, Answer, what).sdp_answer

    async def send_candidates(
        self, session_id: str, connection: int, candidates: Sequence[Candidate], *, is_final: bool
    ) -> None:
        """Trickle candidates; `is_final` says that these are the last."""
        listed = [{"candidate": c.line, "sdp_mid": c.mid, "sdp_mline_index": c.line_index} for c in candidates]
        bare = [{name: value for name, value in each.items() if value is not None} for each in listed]
        body = {"candidates": bare, "is_final": is_final, "client_info": client_info()}
        path = self._connection(session_id, connection) + "/ice_candidates"
        await self._ask("POST", path, "sending candidates", body=body, session_id=session_id)

    # --- files ---------------------------------------------------------------------------------------------------

    async def reserve_upload(self, session_id: str, *, name: str, size: int, mime_type: str) -> UploadPlace:
        """Reserve an upload for a file of `size` bytes."""
        body = {"name": name, "size": size, "mime_type": mime_type}
        what = "announcing the file"
        path = f"/sessions/{segment(session_id)}/uploads"
        answer = await self._ask("POST", path, what, body=body, session_id=session_id)
        slot = read_body(answer, UploadSlot, what)
        # Official runtimes of 2.x give an address at localhost, wherever they run.
        with _addresses(what):
            url = moved_to(self.url, slot.presigned_url) if self.local else under(self.url, slot.presigned_url)
        return UploadPlace(slot.presigned_id, url, takes_pieces="upload-offset" in answer.headers)

    async def at_address(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: AsyncIterator[bytes] | None = None,
    ) -> HttpAnswer:
        """Send a request to the address of an upload, without a token, which is not for that host."""
        timeout = PATIENCE if content is None else None
        return await self._http.ask(method, url, headers=headers or {}, content=content, timeout=timeout)

    async def get(
        self, url: str, *, limit: int = ANSWER_BYTES, timeout: float | None = PATIENCE, into: BinaryIO | None = None
    ) -> HttpAnswer:
        """Fetch an address that a server gave, whatever its status; the token is sent to our own server only.

        Args:
            url: absolute, or a path of our server.
            limit: bytes of the answer.
            timeout: seconds for all of it; None = as long as bytes move.
            into: takes the body of a success, of any size.
        """
        with _addresses("reading an address"):
            url = under(self.url, url)
            is_ours = origin_of(url) == origin_of(self.url)
        headers = {**_VERSIONS, **await self._authorization()} if is_ours else {}
        return await self._http.ask("GET", url, headers=headers, timeout=timeout, limit=limit, into=into)

    async def aclose(self) -> None:
        """Close all connections. It may be called twice; a later request opens new ones."""
        self._ice.cancel()
        await self._http.aclose()

    # --- inside --------------------------------------------------------------------------------------------------

    async def _create(self, model: str, body: Mapping[str, Any]) -> OpenedSession:
        name, _, version = model.partition("@")
        asked = {
            "model": {"name": name, **({"version": version} if version else {})},
            "client_info": client_info(),
            "supported_transports": [{"protocol": "webrtc", "version": "1.0"}],
            **body,
        }
        # An answer that is lost on the way must not leave a second session behind.
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        how: dict[str, Any] = {"headers": headers, "timeout": HELD, "again": False, "twice": True}
        answer = await self._request("POST", "/sessions", body=asked, **how)
        if not answer.is_ok:
            words = f"{self.url} is not a coordinator: it has no /sessions; for a runtime, pass local"
            raise _no_door(answer, words) or refusal(answer, _CREATING)
        found = read_descriptor(answer, _CREATING)
        self.credentials.keep_for(found.session_id)
        self._ice.ask_ahead(found.session_id)
        return OpenedSession(found, is_ours=True)

    async def _start(self, body: Mapping[str, Any], patience: float) -> OpenedSession:
        give_up_at = time.monotonic() + patience
        while True:
            answer = await self._request("POST", "/start_session", body=body, timeout=HELD)
            if answer.is_ok:
                found = read_descriptor(answer, _STARTING)
                # A server may answer a second start with the running session, `streaming`: another client owns it.
                return OpenedSession(found, is_ours=found.state != "streaming")
            wait = None if (said := retry_after(answer)) is None else max(said, SOONEST)
            if answer.status == 409 and "generation" not in body:
                return await self._join(answer)
            if answer.status != 503 or wait is None or time.monotonic() + wait > give_up_at:
                hint = "for a coordinator, omit local and pass a key or a token"
                words = f"{self.url} is not a runtime: it has no /start_session; {hint}"
                raise _no_door(answer, words) or refusal(answer, _STARTING)
            await asyncio.sleep(wait)

    async def _join(self, conflict: HttpAnswer) -> OpenedSession:
        """Join the Session of a runtime that does not hand it out a second time (official 3.x)."""
        found = await self._request("GET", "/session")
        if not found.is_ok:
            raise refusal(conflict, _STARTING)
        return OpenedSession(read_descriptor(found, _STARTING), is_ours=False)

    async def _ask(self, method: str, path: str, what: str, *, session_id: str | None = None, **how: Any) -> HttpAnswer:
        """Send a request, and return its answer if it is a success."""
        answer = await self._request(method, path, **how)
        if answer.is_ok:
            return answer
        raise refusal(answer, what, session_id=session_id)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = PATIENCE,
        again: bool = True,
        twice: bool = False,  # may be sent a second time if a proxy did not reach the server
    ) -> HttpAnswer:
        sent = {**_VERSIONS, **await self._authorization(), **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        url, content = self.url + path, None if body is None else _json(body)
        ask = partial(self._http.ask, method, url, headers=sent, content=content, timeout=timeout, again=again)
        answer = await (asked_again(ask) if twice else ask())
        if answer.status == 401:
            self.credentials.forget()
        return answer

    async def _authorization(self) -> dict[str, str]:
        return {} if self.local else await self.credentials.header(partial(minted, self._http, self.url))

    def _transport(self, session_id: str) -> str:
        return f"/sessions/{segment(session_id)}/transport/webrtc"

    def _connection(self, session_id: str, connection: int) -> str:
        flat = self._transport(session_id)
        return flat if connection == FLAT else f"{flat}/connections/{connection}"


def _no_door(answer: HttpAnswer, sentence: str) -> ReactorError | None:
    """Return the error for a server of the other kind, which lacks the route; None if it refused for another reason."""
    said = answer.body[:KIB].lower().replace(b" ", b"")
    if answer.status != 405 and (answer.status != 404 or not (b"noroute" in said or b'"detail":"notfound"' in said)):
        return None
    code = "NOT_FOUND" if answer.status == 404 else "BAD_REQUEST"
    return error_of(code, sentence, component="api", status=answer.status)


@contextmanager
def _addresses(what: str) -> Generator[None]:
    """Turn an invalid address that a server gave into an error."""
    try:
        yield
    except ValueError as error:
        raise unreadable(what, f"it names an invalid address ({error})") from error


def _json(body: Mapping[str, Any]) -> bytes:
    try:
        return to_json_text(body)
    except UsageError as error:
        raise ValueError(error.message) from error


@cache
def client_info() -> dict[str, str]:
    """Return the name of this client; `livereactor` in it tells our servers that it waits for answers to pings."""
    return {"sdk_version": version("livereactor"), "sdk_type": SDK_TYPE}
