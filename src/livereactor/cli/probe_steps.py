"""The steps of `livereactor probe`, from a server's name to its first frame, one function each.

The first step that fails is the last, because the steps after it cannot be tried. The session that was opened is always
ended. The module is over 400 lines because each step builds on what earlier steps found, down to the media connection.
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
from functools import partial
from importlib.metadata import version
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from livereactor.base.errors import LivereactorError, PeerError, UnavailableError
from livereactor.base.tasks import Changes, set_within
from livereactor.client.errors import AuthError, error_of
from livereactor.client.http.api import Api
from livereactor.client.http.client import ANSWER_BYTES, Http, HttpAnswer
from livereactor.client.http.credentials import Credentials, minted
from livereactor.client.http.reading import ReceivedDescriptor
from livereactor.client.http.urls import base_url
from livereactor.client.transport.signalling import answer_to
from livereactor.client.types import TrackCapability
from livereactor.engine.default import make_engine
from livereactor.engine.port import (
    CandidateFound,
    CandidatePair,
    Channel,
    ChannelAdded,
    Engine,
    IceServer,
    Peer,
    PeerConfig,
    PeerEvent,
    PeerState,
    ReceivedTrack,
    Section,
    StateChanged,
    TrackAdded,
    Use,
)
from livereactor.media.frames import Frame
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.protocol.json_text import parse_json

TO_CONNECT: Final = 5.0  # seconds for a name, a connection, a handshake
QUEUED: Final = 60.0  # seconds for a session to become ready: a model may load, or a queue move
CLOCK: Final = 30.0  # seconds by which clocks may differ; beyond that, tokens may fail
CERTIFICATE: Final = 14.0  # days that a certificate should still be valid

PATIENCE: Final = 15.0  # seconds for each media step: ICE itself gives up later
POLLS: Final = 7  # polls for an answer if the server does not hold the first: 13 s in all
MEDIA_STEPS: Final = ("signalling", "ice", "dtls", "channels", "frame")
LOOK: Final = 0.02  # seconds between two checks of the ICE candidates
_USES: Final = {"recvonly": Use.RECEIVE, "sendonly": Use.SEND}

Outcome: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One line of the report; `fix` is empty if there is nothing to do."""

    check: str
    status: Outcome
    text: str
    fix: str = ""
    took_ms: float = 0.0


class StepFailed(Exception):  # noqa: N818  (the outcome of a step, raised inside it)
    """The step failed: what is wrong, and what to do."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.text, self.fix = text, fix


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """The server and model to probe.

    Attributes:
        model: None = the server's only or first model.
        local: treat the server as a runtime, even if it does not identify itself as one.
        api_key, jwt: credentials for a coordinator.
    """

    url: str
    model: str | None = None
    local: bool = False
    api_key: str | None = None
    jwt: str | None = None


async def run_probe(target: ServerTarget) -> AsyncIterator[ProbeStep]:
    """Try one step after another; raise ValueError if the URL is invalid."""
    path = _Probe(target)
    engine = asyncio.create_task(_engine(), name="probe engine")  # its load time must not count as the network's
    try:
        await asyncio.wait([engine])
        for name, check in path.checks(engine):
            began = time.monotonic()
            step = await _tried(name, check)
            if step is None:  # the step does not apply
                continue
            yield replace(step, took_ms=(time.monotonic() - began) * 1000)
            if step.status == "fail":
                break
    finally:
        ended = await path.close()
        engine.cancel()  # if it is still starting
        if engine.done() and not engine.cancelled() and engine.exception() is None:
            await engine.result().aclose()
    if ended is not None:
        yield ended


async def resolve_target(target: ServerTarget) -> ServerTarget:
    """Complete the target with the server's model and kind, without opening a session.

    Raises:
        ValueError: the URL is invalid.
        UnavailableError: a step to the server failed; the message says which, and what to do.
    """
    path = _Probe(target)
    try:
        for name, check in path.checks_before_session():
            step = await _tried(name, check)
            if step is not None and step.status == "fail":
                raise UnavailableError(f"{name}: {step.text}; {step.fix}")
        return await path.found()
    finally:
        await path.close()


async def _engine() -> Engine:
    importlib.import_module("httpx2")  # its load time must not count either
    engine = make_engine()
    await engine.start()
    return engine


async def _tried(name: str, check: Callable[[], Awaitable[ProbeStep | None]]) -> ProbeStep | None:
    try:
        return await check()
    except StepFailed as failed:
        return ProbeStep(name, "fail", failed.text, failed.fix)
    except LivereactorError as error:
        text, _, fix = error.message.partition("; ")
        return ProbeStep(name, "fail", f"[{error.code}] {text}", fix or "read the server's log")


class _Probe:
    """A probe in progress: everything that the steps so far have found."""

    def __init__(self, target: ServerTarget) -> None:
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

    def checks(self, engine: asyncio.Task[Engine]) -> list[tuple[str, Callable[[], Awaitable[ProbeStep | None]]]]:
        """Return the name and function of each step, in order."""
        return [
            *self.checks_before_session(),
            ("session", self._open),
            ("version", self._version),
            *((name, partial(self._media_step, engine, name)) for name in MEDIA_STEPS),
        ]

    def checks_before_session(self) -> list[tuple[str, Callable[[], Awaitable[ProbeStep | None]]]]:
        """Return the steps that change nothing on the server."""
        return [
            ("dns", self._dns),
            ("tcp", self._tcp),
            ("tls", self._tls),
            ("http", self._health),
            ("server", self._server),
            ("token", self._token),
        ]

    async def found(self) -> ServerTarget:
        """Return the target as the steps have found it; raise if it is a runtime with a session."""
        assert self._api is not None
        if self._api.local and object_of(await self._get("/health")).get("state") == "serving":
            raise UnavailableError("a session is running there; try again when it has ended")
        return replace(self._target, model=self._model, local=self._api.local)

    async def close(self) -> ProbeStep | None:
        """Close everything and end the session; return the step that ended it, if any."""
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

    async def _dns(self) -> ProbeStep:
        with suppress(ValueError):
            self._addresses = [str(ipaddress.ip_address(self._host))]
            return ProbeStep("dns", "ok", f"{self._host} is an address")
        try:
            async with asyncio.timeout(TO_CONNECT):
                found = await asyncio.get_running_loop().getaddrinfo(
                    self._host, self._port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
                )
        except (OSError, UnicodeError, TimeoutError) as error:
            why = getattr(error, "strerror", None) or "no answer"
            fix = "check the spelling of the name, and that DNS works on this machine"
            raise StepFailed(f"{self._host}: {why.lower()}", fix) from error
        self._addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        return ProbeStep("dns", "ok", f"{self._host} is {', '.join(self._addresses)}")

    async def _tcp(self) -> ProbeStep:
        troubles: list[str] = []
        for address in self._addresses:
            try:
                async with asyncio.timeout(TO_CONNECT):
                    _, writer = await asyncio.open_connection(address, self._port)
                writer.close()
            except TimeoutError:
                troubles.append(f"{address}: no answer in {TO_CONNECT:g} s")
            except OSError as error:
                reason = "refused" if isinstance(error, ConnectionRefusedError) else error.strerror
                troubles.append(f"{address}: {reason}")
            else:
                text = f"{address} accepts connections on port {self._port}"
                if troubles:
                    fix = "remove the dead addresses from DNS, or serve on them: some clients try them first"
                    return ProbeStep("tcp", "warn", f"{text}; {'; '.join(troubles)}", fix)
                return ProbeStep("tcp", "ok", text)
        fix = f"start the server, correct the port, or open TCP {self._port} in the firewall"
        raise StepFailed(f"port {self._port}: {'; '.join(troubles)}", fix)

    async def _tls(self) -> ProbeStep | None:
        if not self._secure:
            return None
        try:
            async with asyncio.timeout(TO_CONNECT):
                _, writer = await asyncio.open_connection(self._host, self._port, ssl=ssl.create_default_context())
        except ssl.SSLCertVerificationError as error:
            fix = f"give the server a certificate for {self._host} from an authority that this machine trusts"
            raise StepFailed(error.verify_message.lower(), fix) from error
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "reason", None) or "the handshake failed"
            fix = "check that this port uses TLS (if not, use http://), and look for a proxy in between"
            raise StepFailed(str(reason).lower().replace("_", " "), fix) from error
        tls: Any = writer.get_extra_info("ssl_object")
        writer.close()
        left = (ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"]) - time.time()) / 86_400
        text = f"{tls.version()}, certificate valid for {left:.0f} days"
        if left < CERTIFICATE:
            return ProbeStep("tls", "warn", text, "renew the certificate")
        return ProbeStep("tls", "ok", text)

    # --- the server ----------------------------------------------------------------------------------------------

    async def _health(self) -> ProbeStep:
        answer = await self._get("/health")
        if 300 <= answer.status < 400:
            fix = f"probe {answer.headers.get('location', 'that address')} instead"
            raise StepFailed(f"/health redirects ({answer.status})", fix)
        body = object_of(answer)
        if answer.status == 404 and not answer.body.lstrip().startswith(b"<"):
            fix = "if a later step fails, check the address"
            return ProbeStep("http", "warn", "the server answers, but has no /health", fix)
        status = body.get("status")
        if not isinstance(status, str):
            fix = "check the address, including the path if the server is below one"
            raise StepFailed(f"/health answers {answer.status}, but not as a Reactor server does", fix)
        text = ", ".join(str(body[key]) for key in ("status", "state", "detail") if body.get(key))
        if body.get("state") == "loading":
            return ProbeStep("http", "warn", text, "wait until the model is loaded; the log shows its progress")
        if answer.status != 200:
            raise StepFailed(text, "see the server's log")
        if (date := answer.headers.get("date")) is not None:
            ahead = time.time() - parsedate_to_datetime(date).timestamp()
            if abs(ahead) > CLOCK:
                return ProbeStep(
                    "http", "warn", f"{text}; this clock is {ahead:+.0f} s off", "synchronise the clocks (NTP)"
                )
        return ProbeStep("http", "ok", text)

    async def _server(self) -> ProbeStep:
        session = object_of(await self._get("/session"))
        is_local = self._target.local or isinstance(session.get("session_id"), str)
        self._api = Api(self._url, local=is_local, credentials=self._credentials)
        if is_local:
            wanted, self._model = self._model, next(iter(names_of([session.get("model")])), "")
            if wanted and self._model and bare_name(wanted) != bare_name(self._model):
                text = f"a runtime with the model {self._model}, not {wanted}"
                return ProbeStep("server", "warn", text, "check the address")
            named = f"with the model {self._model}" if self._model else "that does not name its model"
            return ProbeStep("server", "ok", f"a runtime {named}")
        models = names_of(object_of(await self._get("/models")).get("models"))
        if self._model is None and not models:
            fix = "check the address and its path; if the coordinator does not list models, name one with --model"
            raise StepFailed("the server answers, but lists no models", fix)
        if self._model is not None and models and bare_name(self._model) not in models:
            text = f"the coordinator has no model {self._model}, but {', '.join(models)}"
            raise StepFailed(text, "choose one of them with --model")
        self._model = self._model or models[0]
        listed = f"with {', '.join(models)}" if models else "that lists no models"
        return ProbeStep("server", "ok", f"a coordinator {listed}")

    async def _token(self) -> ProbeStep:
        assert self._api is not None
        if self._api.local:
            return ProbeStep("token", "ok", "not needed")
        if not self._credentials.are_given:
            return ProbeStep("token", "ok", "none: asking as a guest")
        if self._target.jwt:
            return _expiry_of(self._target.jwt)
        self._credentials.ask_for(model=(self._model or "").partition("@")[0])
        await self._credentials.header(lambda key, grant: minted(self._http, self._url, key, grant))
        return ProbeStep("token", "ok", "minted with the API key")

    async def _open(self) -> ProbeStep:
        assert self._api is not None
        try:
            opened = await self._api.create_session(self._model or "")
        except AuthError as error:
            if self._credentials.are_given:
                raise
            raise StepFailed(
                "the server does not serve guests", "set LIVEREACTOR_API_KEY, or pass --key or --jwt"
            ) from error
        self._session, self._is_ours = opened.descriptor, opened.is_ours
        give_up_at = time.monotonic() + QUEUED
        while self._session.capabilities is None:
            if self._session.state == "CLOSED":
                why = self._session.end_reason or "no reason given"
                raise StepFailed(f"the session ended: {why}", "see the logs of the coordinator and its worker")
            if time.monotonic() > give_up_at:
                place = f"the session is {self._session.state}"
                if (queue := self._session.queue) is not None:
                    place = f"position {queue.position} of {queue.length} in the queue"
                raise StepFailed(f"not ready after {QUEUED:g} s; {place}", "add a worker, or try later")
            await asyncio.sleep(0.05)  # not needed with servers that hold the answer
            self._session = await self._api.session(self._session.session_id, wait=5.0, version=self._session.version)
        if not self._is_ours:
            text, fix = "a session is already running; the probe joined it", "probe again when it has ended"
            return ProbeStep("session", "warn", text, fix)
        return ProbeStep("session", "ok", f"{self._session.session_id} is ready")

    async def _version(self) -> ProbeStep:
        assert self._session is not None
        theirs, ours = self._session.server_info.server_version, version("livereactor")
        text = f"server {theirs or '(unknown version)'}, client {ours}"
        if theirs.startswith("2."):
            text += ": this server sends no replies to commands"
            return ProbeStep("version", "warn", text, "upgrade the server to version 3 or later")
        return ProbeStep("version", "ok", text)

    async def _media_step(self, engine: asyncio.Task[Engine], name: str) -> ProbeStep | None:
        assert self._api is not None
        assert self._session is not None
        if self._media is None:
            self._media = MediaPath(self._api, self._session, engine)
        text, warning = await self._media.step(name)
        return None if text is None else ProbeStep(name, "warn" if warning else "ok", text, warning)

    async def _end(self) -> ProbeStep:
        assert self._api is not None
        assert self._session is not None
        await self._api.end_session(self._session.session_id)
        return ProbeStep("end", "ok", "the session has ended")

    async def _get(self, path: str) -> HttpAnswer:
        return await self._http.ask("GET", self._url + path, headers={})


def _expiry_of(jwt: str) -> ProbeStep:
    """Report how long the token is valid by its own claims; only the server can verify it."""
    try:
        claims: object = parse_json(urlsafe_b64decode(jwt.split(".")[1] + "=="), "a token", limit=ANSWER_BYTES)
        left = float(cast("dict[str, Any]", claims)["exp"]) - time.time()
    except (LivereactorError, IndexError, KeyError, TypeError, ValueError):
        return ProbeStep("token", "warn", "the token does not say when it expires", "mint a token with a key")
    if left <= 0:
        raise StepFailed(f"the token expired {-left:.0f} s ago", "mint a new one with `livereactor token`")
    return ProbeStep("token", "ok", f"valid for {left / 60:.0f} min")


def object_of(answer: HttpAnswer) -> dict[str, Any]:
    """Return the JSON object of an answer; empty if the answer is not one."""
    try:
        value: object = parse_json(answer.body, "an answer", limit=ANSWER_BYTES)
    except PeerError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def bare_name(model: str) -> str:
    """Return a model's name without its owner and version."""
    return model.partition("@")[0].rpartition("/")[2]


def names_of(listed: object) -> list[str]:
    """Return the names of listed models; skip entries in a format that we do not know."""
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    names = [cast("dict[str, object]", each).get("name") for each in entries if isinstance(each, dict)]
    return [name for name in names if isinstance(name, str)]


class MediaPath:
    """The media connection of a probe, from the offer to the first frame, brought up piece by piece.

    Args:
        api: API of the server.
        session: a session that is ready.
        engine: the engine, started or starting.
    """

    def __init__(self, api: Api, session: ReceivedDescriptor, engine: asyncio.Task[Engine]) -> None:
        assert session.capabilities is not None
        self._api, self._session = api, session
        self._tracks = [TrackCapability(each.name, each.kind, each.direction) for each in session.capabilities.tracks]
        self._engine = engine
        self._peer: Peer | None = None
        self._state = PeerState.NEW
        self._inputs: dict[str, ReceivedTrack] = {}
        self._channels: dict[str, Channel] = {}
        self._candidates: asyncio.Queue[CandidateFound] = asyncio.Queue()
        self._trickling: asyncio.Task[None] | None = None
        self._changes = Changes()
        self._servers: tuple[IceServer, ...] = ()

    async def step(self, name: str) -> tuple[str | None, str]:
        """Run one step; return its result (None = the step does not apply) and advice (empty = none).

        Raises:
            LivereactorError: the step failed; the message says what to do.
        """
        return await {
            "signalling": self._signalling,
            "ice": self._ice,
            "dtls": self._dtls,
            "channels": self._open_channels,
            "frame": self._frame,
        }[name]()

    async def aclose(self) -> None:
        """Close the connection."""
        if self._trickling is not None:
            self._trickling.cancel()
        if self._peer is not None:
            await self._peer.aclose()

    async def _signalling(self) -> tuple[str, str]:
        session = self._session.session_id
        self._servers = await self._api.ice_servers(session)
        self._peer = await (await self._engine).peer(PeerConfig(ice_servers=self._servers), self._event)
        sections = [Section(each.kind, _USES[each.direction], each.name) for each in self._tracks]
        offer = await self._peer.offer(sections, ["control", "data"])
        connection = await self._api.create_connection(session)
        mapping = [(str(mid), each) for mid, each in enumerate(self._tracks)]
        self._trickling = asyncio.create_task(self._trickle(connection), name="probe candidates")
        began = time.monotonic()
        given = await self._api.send_offer(session, connection, offer, mapping, again=False)
        await self._peer.take_answer(given or await answer_to(self._api, session, connection, POLLS))
        took = (time.monotonic() - began) * 1000
        relays = sum(url.startswith("turn") for each in self._servers for url in each.urls)
        return f"connection {connection}, answered in {took:.0f} ms; {relays or 'no'} relays offered", ""

    async def _ice(self) -> tuple[str, str]:
        assert self._peer is not None
        pair = await self._pair()
        round_trip = "" if pair.rtt_ms is None else f", {pair.rtt_ms:.0f} ms round trip"
        relay = f" by {pair.relay_protocol}" if pair.relay_protocol else ""
        remote = f" to {pair.remote_type}" if pair.remote_type else ""
        text = f"{pair.local_type or 'a path'}{relay}{remote}{round_trip}"
        if pair.local_type == "relay":
            return text, "no direct path: open UDP between both sides to avoid the delay and cost of a relay"
        return text, ""

    async def _pair(self) -> CandidatePair:
        """Return the first candidate pair that works; if none does, raise with the number of pairs tried."""
        assert self._peer is not None
        tried: tuple[CandidatePair, ...] = ()
        give_up_at = time.monotonic() + PATIENCE
        while time.monotonic() < give_up_at and self._state not in (PeerState.FAILED, PeerState.CLOSED):
            tried = (await self._peer.stats()).pairs
            for pair in tried:
                if pair.succeeded:
                    return pair
            if self._state is PeerState.CONNECTED:  # the engine does not report pairs
                return CandidatePair("", nominated=True, succeeded=True)
            await asyncio.sleep(LOOK)
        relays = any(url.startswith("turn") for each in self._servers for url in each.urls)
        advice = (
            "the relays cannot be reached either; open their ports to this machine"
            if relays
            else "open UDP between this machine and the worker, or configure a relay ([turn] in the server's settings)"
        )
        raise error_of("TRANSPORT_ERROR", f"no network path, {len(tried)} pairs tried; {advice}")

    async def _dtls(self) -> tuple[str, str]:
        advice = "something on the path drops large packets; check its MTU"
        await self._until(lambda: self._state is PeerState.CONNECTED, f"no handshake; {advice}")
        return "the transport is encrypted and up", ""

    async def _open_channels(self) -> tuple[str, str]:
        there = self._channels
        await self._until(
            lambda: all(label in there and there[label].is_open for label in (m.DATA, m.CONTROL)),
            f"the channels data and control are needed, open: {', '.join(there) or 'none'}; see the runtime's log",
        )
        return "data and control are open", ""

    async def _frame(self) -> tuple[str | None, str]:
        mids = [
            str(mid) for mid, each in enumerate(self._tracks) if (each.kind, each.direction) == ("video", "recvonly")
        ]
        if not mids:
            return None, ""
        track = self._tracks[int(mids[0])]
        await self._until(lambda: mids[0] in self._inputs, f"the answer refused {track.name}; see the server's log")
        loop, seen = asyncio.get_running_loop(), asyncio.Event()
        sizes: list[tuple[int, ...]] = []

        def arrived(frame: Frame) -> None:  # called on a thread of the engine
            sizes.append(frame.pixels.shape)
            loop.call_soon_threadsafe(seen.set)

        self._inputs[mids[0]].on_frame(arrived)
        self._say(m.ResumeTrack(track.name))
        try:
            if not await set_within(seen, PATIENCE):
                fix = "check its page and log to see whether the model runs; a model that waits for input shows nothing"
                raise error_of("TRANSPORT_ERROR", f"no frame of {track.name} in {PATIENCE:g} s; {fix}")
        finally:
            self._inputs[mids[0]].on_frame(None)
        height, width = sizes[0][:2]
        return f"{track.name}, {width}x{height}", ""

    def _say(self, message: m.ClientMessage) -> None:
        old = self._session.server_info.server_version.startswith("2.")  # 2.x runtimes only know JSON
        frame = (v0 if old else v1).encode_client(message)
        assert frame is not None
        label, data = frame
        self._channels[label].send(data, text=old)

    async def _trickle(self, connection: int) -> None:
        while True:
            found = (await self._candidates.get()).candidate
            listed = [found] if found.line else []
            await self._api.send_candidates(self._session.session_id, connection, listed, is_final=not found.line)

    async def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        over = (PeerState.FAILED, PeerState.CLOSED)
        await self._changes.until(lambda: condition() or self._state in over, PATIENCE)
        if not condition():
            raise error_of("TRANSPORT_ERROR", otherwise)

    def _event(self, event: PeerEvent) -> None:
        match event:
            case CandidateFound():
                self._candidates.put_nowait(event)
            case StateChanged(state):
                self._state = state
            case TrackAdded(mid, track):
                self._inputs[mid] = track
            case ChannelAdded(channel):
                self._channels[channel.label] = channel
                channel.listen(lambda _: self._changes.notify())
            case _:
                pass
        self._changes.notify()
