"""A server of the official protocol that does what a script says: any style and format, and every fault as data.

    async with scripted(style="local", faults={"W2": refuses(503, {"Retry-After": "1"})}) as server:
        ...
        assert server.steps() == ["L1", "W1", "W2", "L3"]

`script` says what it can be told. WebRTC is answered by an engine of ours (`scripted_peer`). Every request is recorded,
also one that is never answered.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from livereactor.engine.default import make_engine
from livereactor.engine.port import Engine
from livereactor.protocol.http import Candidates, Offer
from livereactor.protocol.messages import WireFormat
from livereactor.wiring.process import Server, listen
from tests.tools.script import ROUTES, Fault, Recorded, Script, Step
from tests.tools.scripted_peer import ScriptedPeer

FLAT = 1001  # the connection of the flat routes
PATIENCE = 30.0  # seconds for what takes a moment on an idle machine


class _Connection:
    def __init__(self, peer: ScriptedPeer) -> None:
        self.peer = peer
        self.answer: asyncio.Task[str] | None = None
        self.gets = 0
        self.is_handed_out = False
        self.stale = ""  # the answer to the offer before


@dataclass(slots=True)
class _Session:
    sid: str
    is_doomed: bool
    is_closed: bool = False
    gets: int = 0
    connections: dict[int, _Connection] = field(default_factory=dict[int, _Connection])


class ScriptedServer:
    """A running one.

    Attributes:
        requests: in order of arrival.
        peers: in order of their connections' making.
    """

    def __init__(self, script: Script, url: str, engine: Engine) -> None:
        self.script, self.url, self._engine = script, url, engine
        self.requests: list[Recorded] = []
        self.peers: list[ScriptedPeer] = []
        self.uploads: dict[str, bytes] = {}
        self._sessions: dict[str, _Session] = {}
        self._counts = Counter[str]()
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()

    # --- what tests look at ---

    def of(self, *steps: Step) -> list[Recorded]:
        """The requests of these steps."""
        return [each for each in self.requests if each.step in steps]

    def steps(self, *, but: Sequence[Step] = ("W5", "F5")) -> list[Step]:
        """The steps asked for, in order; candidates come when they like and are left out."""
        return [each.step for each in self.requests if each.step not in but]

    @property
    def open_sessions(self) -> list[str]:
        """Those that nobody has ended: what a client leaves behind."""
        return [each.sid for each in self._sessions.values() if not each.is_closed]

    @property
    def peer(self) -> ScriptedPeer:
        """The newest connection."""
        return self.peers[-1]

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until `condition` holds, looked at whenever something happened here; raises `TimeoutError`."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def close_sessions(self) -> None:
        """Every session is over; their connections live on until somebody closes them."""
        for session in self._sessions.values():
            session.is_closed = True

    async def aclose(self) -> None:
        """Let go of whoever waits and close every peer."""
        self._stopping.set()
        for session in self._sessions.values():
            for connection in session.connections.values():
                if connection.answer is not None:
                    connection.answer.cancel()
                    await asyncio.gather(connection.answer, return_exceptions=True)
                await connection.peer.aclose()

    # --- one request ---

    def app(self) -> Starlette:
        """All routes; what the script lacks answers 404 as FastAPI does."""
        absent = ("F3", "F4", "F5") if not self.script.flat else ("W2", "W3", "W4", "W5")
        return Starlette(
            routes=[
                Route(path, self._endpoint(step), methods=list(methods))
                for step, (methods, path) in ROUTES.items()
                if step not in absent
            ]
        )

    def _endpoint(self, step: Step) -> Callable[[Request], Awaitable[Response]]:
        serve: Callable[[Request, Recorded], Awaitable[Response]] = getattr(self, f"_{step.lower()}")

        async def endpoint(request: Request) -> Response:
            headers, query = dict(request.headers), dict(request.query_params)
            recorded = Recorded(step, request.method, request.url.path, query, headers, b"", time.monotonic())
            self.requests.append(recorded)
            recorded.body = await request.body()
            number, self._counts[step] = self._counts[step], self._counts[step] + 1
            self._changed.set()
            fault = self.script.fault(step, number)
            if fault is not None and (fault.hangs or fault.delay) and await self._gone(request, fault):
                response = Response(status_code=500)
            elif fault is not None and fault.status is not None:
                response = fault.response()
                recorded.status = fault.status
            else:
                response = await serve(request, recorded)
                recorded.status = response.status_code
            recorded.ended_at = time.monotonic()
            self._changed.set()
            return response

        return endpoint

    async def _gone(self, request: Request, fault: Fault) -> bool:
        """Wait as long as the fault says; True when the client went away or the server ended meanwhile."""

        async def left() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass

        waits = [asyncio.create_task(left()), asyncio.create_task(self._stopping.wait())]
        done, pending = await asyncio.wait(
            waits, timeout=None if fault.hangs else fault.delay, return_when=asyncio.FIRST_COMPLETED
        )
        for wait in pending:
            wait.cancel()
        return bool(done)

    # --- the steps, served well ---

    async def _t(self, request: Request, recorded: Recorded) -> Response:
        if "reactor-api-key" not in request.headers:
            return _error(401, "no API key")
        return JSONResponse({"jwt": f"token-{self._counts['T']}", "expires_at": int(time.time()) + 3600})

    async def _s1(self, request: Request, recorded: Recorded) -> Response:
        if not self._is_let_in(request):
            return _error(401, "no token")
        session = self._new()
        return JSONResponse({**self._about(session), "state": "CREATED"}, 201)

    async def _s2(self, request: Request, recorded: Recorded) -> Response:
        session = self._session(request)
        if session is None:
            return _error(404, "session not found")
        number, session.gets = session.gets, session.gets + 1
        if session.is_closed:
            return JSONResponse({**self._about(session), "state": "CLOSED"})
        if number < len(self.script.before_ready):
            said = self.script.before_ready[number]
            session.is_closed = said.get("state") == "CLOSED"
            return JSONResponse({**self._about(session), **said})
        return JSONResponse(self._ready(session))

    async def _s5(self, request: Request, recorded: Recorded) -> Response:
        session = self._session(request)
        if session is None:
            return _error(404, "session not found")
        session.is_closed = True
        return Response(status_code=204)

    async def _l1(self, request: Request, recorded: Recorded) -> Response:
        if self.script.running and not self._sessions:
            self._new()
        if self._current is not None:
            return _error(409, "cannot start session while waiting")
        return JSONResponse(self._ready(self._new()))

    async def _l2(self, request: Request, recorded: Recorded) -> Response:
        session = self._current
        return _error(409, "no session") if session is None else JSONResponse(self._ready(session))

    async def _l3(self, request: Request, recorded: Recorded) -> Response:
        session = self._current
        if session is None:
            return _error(409, "no session is running")
        session.is_closed = True
        return Response(status_code=200)

    async def _l4(self, request: Request, recorded: Recorded) -> Response:
        return JSONResponse({})

    async def _w1(self, request: Request, recorded: Recorded) -> Response:
        return self._if_alive(request) or JSONResponse({"ice_servers": []})

    async def _w2(self, request: Request, recorded: Recorded) -> Response:
        if (gone := self._if_alive(request)) is not None:
            return gone
        session = self._session(request)
        assert session is not None
        number = 5001 + len(session.connections)
        self._connection(session, number)
        return JSONResponse({"connection_id": number}, 201)

    async def _w3(self, request: Request, recorded: Recorded) -> Response:
        if (gone := self._if_alive(request)) is not None:
            return gone
        session, number = self._session(request), self._number(request)
        assert session is not None
        old = session.connections.pop(number, None) if request.method == "PUT" else None
        connection = self._connection(session, number)
        if old is not None:  # is replaced
            connection.stale = old.answer.result() if self.script.stale and old.answer else ""
            await old.peer.aclose()
        if self.script.webrtc:
            offer = Offer.model_validate(recorded.json)
            answering = connection.peer.accept(self._engine, offer, resume=self.script.flat)
            connection.answer = asyncio.create_task(answering, name="answering")
            connection.answer.add_done_callback(lambda _: self._changed.set())
        return JSONResponse({"connection_id": number}, 202)

    async def _w4(self, request: Request, recorded: Recorded) -> Response:
        session = self._session(request)
        connection = session.connections.get(self._number(request)) if session else None
        if connection is None:
            return _error(404, "no such connection")
        number, connection.gets = connection.gets, connection.gets + 1
        if connection.stale and not number:
            return JSONResponse({"sdp_answer": connection.stale})
        is_there = connection.answer is not None and connection.answer.done() and number >= self.script.pending
        if not is_there or (self.script.answer_once and connection.is_handed_out):
            return Response(status_code=202)
        assert connection.answer is not None
        connection.is_handed_out = True
        return JSONResponse({"sdp_answer": connection.answer.result(), "connection_id": self._number(request)})

    async def _w5(self, request: Request, recorded: Recorded) -> Response:
        session = self._session(request)
        if session is not None:
            connection = self._connection(session, self._number(request))
            await connection.peer.add(Candidates.model_validate(recorded.json).candidates)
        return Response(status_code=202)

    _f3, _f4, _f5 = _w3, _w4, _w5

    async def _u1(self, request: Request, recorded: Recorded) -> Response:
        upload = uuid.uuid4().hex
        body = {"presigned_id": upload, "presigned_url": f"{self.url}/uploads/{upload}", "path": upload}
        return JSONResponse(body, 201)

    async def _u2(self, request: Request, recorded: Recorded) -> Response:
        if "authorization" in request.headers:  # as object stores do
            return _error(400, "only one way to sign, please")
        self.uploads[request.path_params["upload"]] = recorded.body
        return Response(status_code=200)

    async def _c1(self, request: Request, recorded: Recorded) -> Response:
        if self._counts["C1"] <= self.script.clip_pending:
            return Response(status_code=202, headers={"Retry-After": "0.2"})
        base = f"/clips/chunks/{request.query_params.get('session_id')}"
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:1", "#EXT-X-PLAYLIST-TYPE:VOD"]
        for name in self.script.files:
            lines += [f'#EXT-X-MAP:URI="{base}/{name}"'] if name == "init.mp4" else ["#EXTINF:1.000,", f"{base}/{name}"]
        return Response("\n".join([*lines, "#EXT-X-ENDLIST", ""]), media_type="application/vnd.apple.mpegurl")

    async def _c2(self, request: Request, recorded: Recorded) -> Response:
        part = self.script.files.get(request.path_params["file"])
        return _error(404, "no such part") if part is None else Response(part, media_type="video/mp4")

    # --- sessions ---

    @property
    def _current(self) -> _Session | None:
        return next((each for each in self._sessions.values() if not each.is_closed), None)

    def _new(self) -> _Session:
        sid = self.script.session_id or str(uuid.uuid4())
        session = self._sessions[sid] = _Session(
            sid, is_doomed=self._counts["S1"] + self._counts["L1"] <= self.script.doomed
        )
        return session

    def _session(self, request: Request) -> _Session | None:
        return self._sessions.get(request.path_params["sid"])

    def _is_let_in(self, request: Request) -> bool:
        return self.script.style == "local" or request.headers.get("authorization", "").startswith("Bearer ")

    def _if_alive(self, request: Request) -> Response | None:
        """What signalling answers instead when the session is gone."""
        session = self._session(request)
        if session is not None and session.is_doomed:
            session.is_closed = True
        return _error(404, "session not found") if session is None or session.is_closed else None

    def _about(self, session: _Session) -> dict[str, Any]:
        version = "2.10.1" if self.script.wire is WireFormat.V0 else "3.10.0"
        return {
            "session_id": session.sid,
            "cluster": "local",
            "model": {"name": "m"},
            "server_info": {"server_version": version},
        }

    def _ready(self, session: _Session) -> dict[str, Any]:
        return {
            **self._about(session),
            "state": self.script.then if self.script.style == "coordinator" else "waiting",
            "selected_transport": {"protocol": "webrtc", "version": "1.0"},
            "capabilities": {"protocol_version": "v0", "tracks": list(self.script.tracks), "commands": []},
        }

    def _number(self, request: Request) -> int:
        return int(request.path_params.get("cid", FLAT))

    def _connection(self, session: _Session, number: int) -> _Connection:
        if number not in session.connections:
            peer = ScriptedPeer(
                reply=self.script.reply,
                only=self.script.wire,
                chunking=self.script.chunking,
                first_words=self.script.first_words,
                changed=self._changed.set,
            )
            self.peers.append(peer)
            session.connections[number] = _Connection(peer)
        return session.connections[number]


@asynccontextmanager
async def scripted(
    script: Script | None = None, *, engine: Engine | None = None, **more: Any
) -> AsyncIterator[ScriptedServer]:
    """A server on a free port of loopback that follows `script`, or `Script(**more)`; over libwebrtc by itself."""
    made = engine or make_engine("libwebrtc")
    await made.start()
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        scripted_server = ScriptedServer(script or Script(**more), url, made)
        server = Server(
            uvicorn.Config(scripted_server.app(), log_config=None, access_log=False, lifespan="off", ws="none")
        )
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield scripted_server
        finally:
            await scripted_server.aclose()
            server.should_exit = server.force_exit = True
            await serving
            if engine is None:
                await made.aclose()


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence, "detail": sentence}, status)
