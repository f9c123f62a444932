"""A visitor that may only watch, at a program in a process of its own, and the owner of the session beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import httpx2

from livereactor import Reactor
from livereactor.base.errors import EngineError
from livereactor.engine.aiortc.engine import AiortcEngine
from livereactor.engine.default import make_engine
from livereactor.engine.port import Engine, MessageReceived, PeerConfig, PeerState, Section, Use
from livereactor.protocol import messages as m
from tests.tools.client_side import ClientSide
from tests.tools.processes import REPOSITORY, Program, livereactor_run
from tests.tools.serving import Coordinator, livereactor_serve

PATIENCE = 60.0  # seconds for what takes a few: two processors may be shared by many tests
MAPPING: Final = [{"mid": "0", "name": "main_video", "kind": "video", "direction": "recvonly"}]
LOST: Final = ("worker lost", "Traceback", "session failed")  # what no log may say


PROGRAMS: Final = ("run-libwebrtc", "run-aiortc", "serve-libwebrtc", "serve-aiortc")


@contextmanager
def conformance_program(name: str, log_path: Path, settings: Mapping[str, str]) -> Iterator[Program]:
    """Run one of `PROGRAMS` with the small model of the conformance tests and settings of `[runtime]`."""
    command, engine = name.split("-")
    model = REPOSITORY / "examples/conformance.py"
    environment = {
        "CONFORMANCE_WIDTH": "320",
        "CONFORMANCE_HEIGHT": "180",
        "LIVEREACTOR_RUNTIME__ENGINE": engine,
        **{f"LIVEREACTOR_RUNTIME__{setting}": value for setting, value in settings.items()},
    }
    begun = (
        livereactor_run(model, log_path=log_path, environment=environment)
        if command == "run"
        else livereactor_serve([model], log_path=log_path, environment=environment)
    )
    with begun as program:
        yield program


@asynccontextmanager
async def engine_of(kind: str) -> AsyncIterator[Engine]:
    """An engine of this kind, for a client."""
    made = AiortcEngine() if kind == "aiortc" else make_engine("libwebrtc")
    await made.start()
    try:
        yield made
    finally:
        await made.aclose()


class Watcher:
    """A client with a share link, below any library of ours.

    Attributes:
        side: its Peer.
    """

    def __init__(self, side: ClientSide, codec: ModuleType) -> None:
        self.side, self._codec = side, codec

    def say(self, message: m.ClientMessage) -> None:
        label, frame = self._codec.encode_client(message)
        self.side.send(label, frame.decode() if self._codec.TEXT else frame)

    @property
    def heard(self) -> list[m.ServerMessage]:
        """All messages so far."""
        return [
            self._codec.decode_server(label, event.data, limit=1 << 30)
            for label, events in self.side.channel_events.items()
            for event in events
            if isinstance(event, MessageReceived)
        ]

    def refusals(self, code: str) -> int:
        """How often it was told this code."""
        return sum(_code(message) == code for message in self.heard)

    async def until(self, condition: Callable[[], bool]) -> None:
        await self.side.until(condition, PATIENCE)

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed its connection."""
        gone = PeerState.CLOSED, PeerState.FAILED, PeerState.DISCONNECTED
        return self.side.state in gone or not self.side.channels["data"].is_open


def _code(message: m.ServerMessage) -> str:
    match message:
        case m.Failure(code=code):
            return code
        case m.RuntimeMessage(data=data):
            return str(data.get("code"))
        case _:
            return ""


class Stage:
    """A program, its session, the owner and whoever watches."""

    def __init__(self, program: Program, http: httpx2.AsyncClient, owner: Reactor) -> None:
        self.program, self._http, self.owner = program, http, owner
        self._sides: list[ClientSide] = []

    async def watcher(
        self,
        engine: Engine,
        codec: ModuleType,
        *,
        chunking: bool = True,
        owns: bool = False,
        more_channels: Sequence[str] = (),
    ) -> Watcher:
        """One more visitor with a link to watch, or with the owner's own key; asserts that there is a place for it."""
        side = await ClientSide.make(engine, PeerConfig(chunking=chunking))
        self._sides.append(side)
        headers = self._headers(owns=owns)
        made = await self._http.post(base := self._connections, json={}, headers=headers)
        assert made.status_code == 201, made.text
        at = f"{base}/{made.json()['connection_id']}/sdp_params"
        offer = await side.offer([Section("video", Use.RECEIVE, "main_video")], ("data", "control", *more_channels))
        posted = await self._http.post(at, json={"sdp_offer": offer, "track_mapping": MAPPING}, headers=headers)
        assert posted.status_code == 202, posted.text
        while (answer := await self._http.get(at, headers=headers)).status_code == 204:
            pass
        await side.take_answer(answer.json()["sdp_answer"])
        await side.until(lambda: {"data", "control"} <= side.channels.keys(), PATIENCE)
        watcher = Watcher(side, codec)
        with suppress(EngineError):  # who opens too many channels may be out already
            watcher.say(m.Ping())  # so the wire format is known
        return watcher

    async def refused(self) -> httpx2.Response:
        """The answer to one more visitor with a link to watch, for whom there is no place."""
        return await self._http.post(self._connections, json={}, headers=self._headers(owns=False))

    @property
    def _connections(self) -> str:
        return f"/sessions/{self.owner.session_id}/transport/webrtc/connections"

    def _headers(self, *, owns: bool) -> dict[str, str]:
        if not isinstance(self.program, Coordinator):
            return {} if owns else {"Livereactor-Role": "viewer"}
        shared = {"jwt": self.program.key}
        if not owns:
            shared = self.program.call("POST", f"/sessions/{self.owner.session_id}/share", {})[1]
        return {"Authorization": f"Bearer {shared['jwt']}"}

    async def owner_is_served(self, commands: int = 200) -> None:
        """Each command of the owner is answered, in its session, and pictures come."""
        session = self.owner.session_id
        for number in range(commands):
            reply: Any = await asyncio.wait_for(self.owner.send_command("echo", {"value": number}), PATIENCE)
            assert reply["data"]["value"] == number
        await self.owner.track("main_video").read(timeout=PATIENCE)
        assert self.owner.session_id == session

    def workers(self) -> list[tuple[str, str]]:
        """Id and state of each Worker; of `run`, its process."""
        if not isinstance(self.program, Coordinator):
            return [(str(self.program.pid), self.program.get("/session")[1]["session_id"])]
        return [(each["worker"], each["state"]) for each in self.program.workers()]

    async def aclose(self) -> None:
        for each in self._sides:
            await each.aclose()


@asynccontextmanager
async def on_stage(program: Program) -> AsyncIterator[Stage]:
    """A session whose owner sees and steers; the same worker must hold it at the end, and no log complain."""
    there: dict[str, Any] = {"local": program.url}
    if isinstance(program, Coordinator):
        there = {"api_key": program.key, "api_url": program.url}
    async with (
        Reactor("conformance", **there) as owner,
        httpx2.AsyncClient(base_url=program.url, timeout=PATIENCE) as http,
    ):
        stage = Stage(program, http, owner)
        await stage.owner_is_served(5)
        before = stage.workers()
        try:
            yield stage
            await stage.owner_is_served()
            assert stage.workers() == before
            assert not [each for each in LOST if each in program.log()]
        finally:
            await stage.aclose()
