"""What `livereactor probe` tries, from the name of a server to its first frame: one function a step.

A step that fails is the last, as those after it cannot be tried; the Session that was made is ended whatever happens.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import socket
import ssl
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from livereactor.base.errors import LivereactorError, UnavailableError
from livereactor.cli.answers import bare_name, names_of, object_of
from livereactor.cli.probing_media import MediaPath
from livereactor.client.http.api import Api
from livereactor.client.http.client import ANSWER_BYTES, Http, HttpAnswer
from livereactor.client.http.credentials import Credentials, minted
from livereactor.client.http.reading import ReceivedDescriptor
from livereactor.client.http.urls import base_url
from livereactor.engine.default import make_engine
from livereactor.engine.port import Engine
from livereactor.protocol.json_text import parse_json

TO_CONNECT: Final = 5.0  # seconds for a name, a connection, a handshake
QUEUED: Final = 60.0  # seconds for a Session to be ready: a model that loads, a queue that moves
CLOCK: Final = 30.0  # seconds that the clocks may differ before tokens are in doubt
CERTIFICATE: Final = 14.0  # days that a certificate should still have

Outcome: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the report; `fix` is empty where nothing is to be done."""

    check: str
    status: Outcome
    text: str
    fix: str = ""
    took_ms: float = 0.0


class Failed(Exception):  # noqa: N818  (a step's outcome, raised from within it)
    """The step cannot be done: what is wrong, and what to do."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.text, self.fix = text, fix


@dataclass(frozen=True, slots=True)
class Target:
    """What to probe.

    Attributes:
        model: None = the only, or the first, that the server has.
        local: it is a runtime, even if it does not describe itself as one.
        api_key, jwt: what is shown to a coordinator.
    """

    url: str
    model: str | None = None
    local: bool = False
    api_key: str | None = None
    jwt: str | None = None


async def probe(target: Target) -> AsyncIterator[Step]:
    """Try one step after the other; raises ValueError where the URL is none."""
    path = _Path(target)
    engine = asyncio.create_task(_engine(), name="probe engine")  # what it takes to load is not the network's
    try:
        await asyncio.wait([engine])
        for name, check in path.checks(engine):
            began = time.monotonic()
            step = await _tried(name, check)
            if step is None:  # nothing to try here
                continue
            yield replace(step, took_ms=(time.monotonic() - began) * 1000)
            if step.status == "fail":
                break
    finally:
        ended = await path.close()
        engine.cancel()  # where it is still on its way
        if engine.done() and not engine.cancelled() and engine.exception() is None:
            await engine.result().aclose()
    if ended is not None:
        yield ended


async def found(target: Target) -> Target:
    """The same with its model and whether it is a runtime, as the server says; opens no Session.

    Raises:
        ValueError: the URL is none.
        UnavailableError: a step to the server fails; the message says which, and what to do.
    """
    path = _Path(target)
    try:
        for name, check in path.checks_before_session():
            step = await _tried(name, check)
            if step is not None and step.status == "fail":
                raise UnavailableError(f"{name}: {step.text}; {step.fix}")
        return await path.found()
    finally:
        await path.close()


async def _engine() -> Engine:
    importlib.import_module("httpx2")  # likewise
    engine = make_engine()
    await engine.start()
    return engine


async def _tried(name: str, check: Callable[[], Awaitable[Step | None]]) -> Step | None:
    try:
        return await check()
    except Failed as failed:
        return Step(name, "fail", failed.text, failed.fix)
    except LivereactorError as error:
        text, _, fix = error.message.partition("; ")
        return Step(name, "fail", f"[{error.code}] {text}", fix or "read the server's log at this time")


class _Path:
    """What the steps so far have found."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._url = base_url(target.url)
        parts = urlsplit(self._url)
        self._host, self._secure = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._addresses: list[str] = []
        self._http = Http(self._url, direct=False)
        self._credentials = Credentials(target.api_key, target.jwt)
        self._api: Api | None = None
        self._model = target.model
        self._session: ReceivedDescriptor | None = None
        self._is_ours = False
        self._media: MediaPath | None = None

    def checks(self, engine: asyncio.Task[Engine]) -> list[tuple[str, Callable[[], Awaitable[Step | None]]]]:
        """Name and function of each step, in order."""
        return [
            *self.checks_before_session(),
            ("session", self._open),
            ("version", self._version),
            ("signalling", lambda: self._media_step(engine, "signalling")),
            ("ice", lambda: self._media_step(engine, "ice")),
            ("dtls", lambda: self._media_step(engine, "dtls")),
            ("channels", lambda: self._media_step(engine, "channels")),
            ("frame", lambda: self._media_step(engine, "frame")),
        ]

    def checks_before_session(self) -> list[tuple[str, Callable[[], Awaitable[Step | None]]]]:
        """Those that change nothing at the server."""
        return [
            ("dns", self._dns),
            ("tcp", self._tcp),
            ("tls", self._tls),
            ("http", self._health),
            ("server", self._server),
            ("token", self._token),
        ]

    async def found(self) -> Target:
        """The target as the steps have found it; a runtime must have no Session."""
        assert self._api is not None
        if self._api.local and object_of(await self._get("/health")).get("state") == "serving":
            raise UnavailableError("somebody's session is running there; try again when it is over")
        return replace(self._target, model=self._model, local=self._api.local)

    async def close(self) -> Step | None:
        """End what was begun."""
        if self._media is not None:
            await self._media.aclose()
        try:
            if self._api is None or self._session is None or not self._is_ours:
                return None
            began = time.monotonic()
            step = await _tried("end", self._end)
            return None if step is None else replace(step, took_ms=(time.monotonic() - began) * 1000)
        finally:
            if self._api is not None:
                await self._api.aclose()
            await self._http.aclose()

    # --- the network ---------------------------------------------------------------------------------------------

    async def _dns(self) -> Step:
        with suppress(ValueError):
            self._addresses = [str(ipaddress.ip_address(self._host))]
            return Step("dns", "ok", f"{self._host} is an address")
        try:
            async with asyncio.timeout(TO_CONNECT):
                found = await asyncio.get_running_loop().getaddrinfo(
                    self._host, self._port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
                )
        except (OSError, UnicodeError, TimeoutError) as error:
            why = getattr(error, "strerror", None) or "no answer"
            raise Failed(
                f"{self._host}: {why.lower()}", "check the name for a slip, and that this machine's DNS answers"
            ) from error
        self._addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        return Step("dns", "ok", f"{self._host} is {', '.join(self._addresses)}")

    async def _tcp(self) -> Step:
        troubles: list[str] = []
        for address in self._addresses:
            try:
                async with asyncio.timeout(TO_CONNECT):
                    _, writer = await asyncio.open_connection(address, self._port)
                writer.close()
            except TimeoutError:
                troubles.append(f"{address}: no answer in {TO_CONNECT:g} s")
            except OSError as error:
                troubles.append(
                    f"{address}: {'refused' if isinstance(error, ConnectionRefusedError) else error.strerror}"
                )
            else:
                text = f"{address} takes connections on port {self._port}"
                if troubles:
                    fix = "take the dead addresses out of DNS, or serve on them: some clients try them first"
                    return Step("tcp", "warn", f"{text}; {'; '.join(troubles)}", fix)
                return Step("tcp", "ok", text)
        fix = f"start the server, correct the port, or open TCP {self._port} in the firewall between"
        raise Failed(f"port {self._port}: {'; '.join(troubles)}", fix)

    async def _tls(self) -> Step | None:
        if not self._secure:
            return None
        try:
            async with asyncio.timeout(TO_CONNECT):
                _, writer = await asyncio.open_connection(self._host, self._port, ssl=ssl.create_default_context())
        except ssl.SSLCertVerificationError as error:
            fix = f"give the server a certificate for {self._host} of an authority that this machine trusts"
            raise Failed(error.verify_message.lower(), fix) from error
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "reason", None) or "handshake cut off, or no answer to it"
            fix = "check that this port speaks TLS (http:// where it does not), and look for a proxy between"
            raise Failed(str(reason).lower().replace("_", " "), fix) from error
        tls: Any = writer.get_extra_info("ssl_object")
        writer.close()
        left = (ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"]) - time.time()) / 86_400
        text = f"{tls.version()}, certificate good for {left:.0f} days"
        if left < CERTIFICATE:
            return Step("tls", "warn", text, "renew the certificate")
        return Step("tls", "ok", text)

    # --- the server ----------------------------------------------------------------------------------------------

    async def _health(self) -> Step:
        answer = await self._get("/health")
        if 300 <= answer.status < 400:
            fix = f"probe {answer.headers.get('location', 'that address')} instead"
            raise Failed(f"/health is answered with a redirect ({answer.status})", fix)
        body = object_of(answer)
        if answer.status == 404 and not answer.body.lstrip().startswith(b"<"):
            return Step("http", "warn", "it answers, and has no /health", "check the address, should a later step fail")
        status = body.get("status")
        if not isinstance(status, str):
            raise Failed(
                f"/health is answered with {answer.status}, and not as a Reactor server answers",
                "check the address, and the path where the server is below one",
            )
        text = ", ".join(str(body[key]) for key in ("status", "state", "detail") if body.get(key))
        if body.get("state") == "loading":
            return Step("http", "warn", text, "wait until the model is loaded; its log says how far it is")
        if answer.status != 200:
            raise Failed(text, "see the server's log")
        if (date := answer.headers.get("date")) is not None:
            ahead = time.time() - parsedate_to_datetime(date).timestamp()
            if abs(ahead) > CLOCK:
                return Step("http", "warn", f"{text}; this clock is {ahead:+.0f} s off", "synchronise the clocks (NTP)")
        return Step("http", "ok", text)

    async def _server(self) -> Step:
        session = object_of(await self._get("/session"))
        is_local = self._target.local or isinstance(session.get("session_id"), str)
        self._api = Api(self._url, local=is_local, credentials=self._credentials)
        if is_local:
            wanted, self._model = self._model, next(iter(names_of([session.get("model")])), "")
            if wanted and self._model and bare_name(wanted) != bare_name(self._model):
                return Step(
                    "server", "warn", f"a runtime with the model {self._model}, not {wanted}", "check the address"
                )
            return Step("server", "ok", f"a runtime with the model {self._model or 'it does not name'}")
        models = names_of(object_of(await self._get("/models")).get("models"))
        if self._model is None and not models:
            fix = "check the address, the path in it too; of a coordinator that does not tell, say one with --model"
            raise Failed("it answers, and names no models", fix)
        if self._model is not None and models and bare_name(self._model) not in models:
            raise Failed(f"a coordinator without {self._model}; it has {', '.join(models)}", "say another with --model")
        self._model = self._model or models[0]
        return Step("server", "ok", f"a coordinator with {', '.join(models) or 'models it does not name'}")

    async def _token(self) -> Step:
        assert self._api is not None
        if self._api.local:
            return Step("token", "ok", "none needed")
        if not self._credentials.are_given:
            raise Failed("no credentials", "set LIVEREACTOR_API_KEY, or give --key or --jwt")
        if self._target.jwt:
            return _told_by(self._target.jwt)
        self._credentials.ask_for(model=(self._model or "").partition("@")[0])
        await self._credentials.header(lambda key, grant: minted(self._http, self._url, key, grant))
        return Step("token", "ok", "the API key was exchanged for one")

    async def _open(self) -> Step:
        assert self._api is not None
        opened = await self._api.create_session(self._model or "")
        self._session, self._is_ours = opened.descriptor, opened.is_ours
        give_up_at = time.monotonic() + QUEUED
        while self._session.capabilities is None:
            if self._session.state == "CLOSED":
                why = self._session.end_reason or "without a reason"
                raise Failed(f"the session ended: {why}", "see the log of the coordinator and of its worker")
            if time.monotonic() > give_up_at:
                raise Failed(f"not ready after {QUEUED:g} s; {_waiting(self._session)}", "add a worker, or try later")
            await asyncio.sleep(0.05)  # servers that hold the answer do not need it
            self._session = await self._api.session(self._session.session_id, wait=5.0, version=self._session.version)
        if not self._is_ours:
            return Step("session", "warn", "one is running; the probe looks in on it", "probe again when it is over")
        return Step("session", "ok", f"{self._session.session_id} is ready")

    async def _version(self) -> Step:
        assert self._session is not None
        theirs, ours = self._session.server_info.server_version, version("livereactor")
        text = f"server {theirs or 'of unknown version'}, this client {ours}"
        if theirs.startswith("2."):
            return Step(
                "version", "warn", f"{text}: it sends no replies to commands", "upgrade the server to 3 or later"
            )
        return Step("version", "ok", text)

    async def _media_step(self, engine: asyncio.Task[Engine], name: str) -> Step | None:
        assert self._api is not None
        assert self._session is not None
        if self._media is None:
            self._media = MediaPath(self._api, self._session, engine)
        text, warning = await self._media.step(name)
        return None if text is None else Step(name, "warn" if warning else "ok", text, warning)

    async def _end(self) -> Step:
        assert self._api is not None
        assert self._session is not None
        await self._api.end_session(self._session.session_id)
        return Step("end", "ok", "the session is ended")

    async def _get(self, path: str) -> HttpAnswer:
        return await self._http.ask("GET", self._url + path, headers={})


def _told_by(jwt: str) -> Step:
    """How long the token says that it counts; whether it does is the server's to say."""
    try:
        claims: object = parse_json(urlsafe_b64decode(jwt.split(".")[1] + "=="), "a token", limit=ANSWER_BYTES)
        left = float(cast("dict[str, Any]", claims)["exp"]) - time.time()
    except (LivereactorError, IndexError, KeyError, TypeError, ValueError):
        return Step("token", "warn", "one was given, and it does not say how long it counts", "mint one with a key")
    if left <= 0:
        raise Failed(f"the token expired {-left:.0f} s ago", "mint a new one: livereactor token")
    return Step("token", "ok", f"counts for {left / 60:.0f} min")


def _waiting(session: ReceivedDescriptor) -> str:
    queue = session.queue
    if queue is None:
        return f"its state is {session.state}"
    return f"position {queue.position} of {queue.length} in the queue"
