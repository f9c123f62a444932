"""A coordinator on a real loopback socket, and Workers of it that speak the link from this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets as random
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from livereactor.blobs.port import Blobs
from livereactor.blobs.signing import Signer
from livereactor.coordinator.auth.authenticator import Authenticator
from livereactor.coordinator.auth.keys import Keys
from livereactor.coordinator.auth.secrets import Secrets, given_secrets
from livereactor.coordinator.cluster.forwarding import ClusterPeers
from livereactor.coordinator.http.app import Parts, create_app
from livereactor.coordinator.http.routes.models import Preview
from livereactor.coordinator.http.routes.workers import SERVER
from livereactor.coordinator.moderation import Moderation
from livereactor.coordinator.options import CoordinatorOptions, Quotas
from livereactor.coordinator.service import Service
from livereactor.coordinator.uploads import Uploads
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.moderation.judge import Judge
from livereactor.protocol import link
from livereactor.protocol.http import IceCredentials, IceServerBody
from livereactor.protocol.tokens import KeyRequest
from livereactor.store.memory.notices import MemoryNotices
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Store
from livereactor.store.records import ModelRecord
from livereactor.web.proxies import BehindProxies
from tests.tools.memory_blobs import MemoryBlobs
from tests.tools.processes import free_port

PATIENCE = 30.0  # seconds for what takes a moment on an idle machine
SECRETS = given_secrets("s" * 40)
CAPABILITIES = {
    "protocol_version": "0.1",
    "tracks": [{"name": "main_video", "kind": "video", "direction": "recvonly"}],
    "commands": [{"name": "drop", "description": ""}],
}
SPEC = {"capabilities": CAPABILITIES, "schema": {"openapi": "3.1.0"}, "description": "Rain on a pond."}
ICE = [
    IceServerBody(uris=["stun:stun.example:3478"]),
    IceServerBody(uris=["turn:turn.example:3478"], credentials=IceCredentials(username="u", password="p")),
]


def unix_us() -> int:
    return time.time_ns() // 1000


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@dataclass
class Served:
    """A running coordinator; `http` shows a key of the account `acme`."""

    url: str
    http: httpx2.AsyncClient
    key: str
    auth: Authenticator
    service: Service
    store: Store
    links: WorkerSockets
    blobs: Blobs
    secrets: Secrets

    async def session(self, model: str = "pond", **more: Any) -> str:
        answer = await self.http.post("/sessions", json={"model": {"name": model}, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()["session_id"]

    async def ready(self, session: str) -> dict[str, Any]:
        answer = await self.http.get(f"/sessions/{session}")
        assert answer.status_code == 200, answer.text
        assert "capabilities" in answer.json(), answer.text
        return answer.json()

    async def token(self, **asked: Any) -> str:
        answer = await self.http.post("/tokens", json=asked, headers={"Reactor-API-Key": self.key})
        assert answer.status_code == 200, answer.text
        return answer.json()["jwt"]


@asynccontextmanager
async def coordinating(
    options: CoordinatorOptions | None = None,
    *,
    store: Store | None = None,
    blobs: Blobs | None = None,
    models: Sequence[str] = ("pond",),
    operator: bool = False,
    previews: Mapping[str, Preview] | None = None,
    others: set[MemoryNotices] | None = None,
    judge: Judge | None = None,
) -> AsyncGenerator[Served]:
    """A coordinator; one of several, where the notices of the `others` on the same store are given."""
    port, peers = 0, None
    if others is not None:
        port = free_port()
        peers = ClusterPeers(f"http://127.0.0.1:{port}", MemoryNotices(others), SECRETS.worker)
        options = replace(options or CoordinatorOptions(quotas=Quotas(0, 0)), peer_url=peers.url)
    options = options or CoordinatorOptions(quotas=Quotas(0, 0))
    store, blobs, links = store or MemoryStore(), blobs or MemoryBlobs(), WorkerSockets()
    for model in models:
        record = ModelRecord(model, "1", SPEC, max_workers=1)
        await store.transact(lambda tx, record=record: tx.put_model(record))
    service = Service(store, links, options, unix_us=unix_us, peers=peers)
    keys = Keys(store, unix_us=unix_us)
    auth = Authenticator(store, keys, SECRETS, options, unix_us=unix_us)
    uploads = Uploads(service, store, blobs, Signer(*SECRETS.blobs), options.limits, unix_us=unix_us)
    asked: dict[str, Any] = {"scopes": ["view", "control", "record", "upload", "admin"]} if operator else {}
    key = (await keys.create(KeyRequest.model_validate({"account": "acme", **asked}))).key
    parts = Parts(
        service, auth, SECRETS, links, store, blobs, uploads, lambda session: ICE, unix_us, previews=previews or {}
    )
    if judge is not None and options.moderation is not None:
        parts = replace(parts, moderation=Moderation(judge, options.moderation, store, blobs, options.limits))
    app = create_app(parts)
    config = uvicorn.Config(
        BehindProxies(app),
        port=port,
        proxy_headers=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        **SERVER,
    )
    server = _Server(config)
    await service.start()
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.005)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
        try:
            yield Served(url, http, key, auth, service, store, links, blobs, SECRETS)
        finally:
            await service.aclose()
            await uploads.aclose()
            await links.aclose()
            server.should_exit = server.force_exit = True
            await serving


Answering = Callable[[link.Request], link.Reply | None]


@dataclass
class FakeWorker:
    """A Worker: dials in, accepts what it is assigned, answers requests by `answer`, and keeps what it heard."""

    socket: ClientConnection
    name: str
    incarnation: str
    slots: int
    accepts: bool = True
    answer: Answering = lambda request: link.Reply(id=request.id, status=200, body="{}")
    heard: list[link.FromCoordinator] = field(default_factory=list)
    requests: list[link.Request] = field(default_factory=list)
    reports: dict[int, link.SlotReport] = field(default_factory=dict)
    number: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def say(self, frame: link.FromWorker) -> None:
        await self.socket.send(link.write(frame))

    async def beat(self, state: Any = "ready") -> None:
        self.number += 1
        slots = [self.reports.get(n, link.SlotReport(n=n)) for n in range(self.slots)]
        await self.say(link.Beat(number=self.number, state=state, slots=slots))

    async def phase(self, phase: Any, n: int = 0) -> None:
        """Its Session in a Slot comes to be in that phase."""
        self.reports[n] = self.reports[n].model_copy(update={"phase": phase})
        await self.beat()

    async def hear(self, kind: type[Any], *, count: int = 1) -> Any:
        """The frame of that kind that came `count`th."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: sum(isinstance(each, kind) for each in self.heard) >= count)
        return [each for each in self.heard if isinstance(each, kind)][count - 1]

    async def listen(self) -> None:
        async for text in self.socket:
            frame = link.read_from_coordinator(text)
            if isinstance(frame, link.Request):
                self.requests.append(frame)
                if (reply := self.answer(frame)) is not None:
                    await self.say(reply.model_copy(update={"id": frame.id}))
            elif isinstance(frame, link.Assign) and self.accepts:
                self.reports[frame.slot] = link.SlotReport(
                    n=frame.slot, phase="accepting", session=frame.session, fence=frame.fence
                )
                await self.beat()
            elif isinstance(frame, link.Renewed):
                for n in frame.held:
                    self.reports[n] = self.reports[n].model_copy(update={"phase": "waiting"})
            elif isinstance(frame, link.End):
                await self.phase("free", frame.slot)
            async with self._news:
                self.heard.append(frame)
                self._news.notify_all()


@asynccontextmanager
async def working(
    served: Served, *, name: str = "w1", slots: int = 1, model: str = "pond", **given: Any
) -> AsyncGenerator[FakeWorker]:
    """A ready Worker, welcome."""
    async with dialled(served) as socket:
        worker = FakeWorker(socket, name, random.token_hex(8), slots, **given)
        listening = asyncio.create_task(worker.listen())
        try:
            await worker.say(hello(worker, model))
            await worker.hear(link.Welcome)
            yield worker
        finally:
            listening.cancel()


def hello(worker: FakeWorker, model: str = "pond", **more: Any) -> link.Hello:
    slots = [link.SlotReport(n=n) for n in range(worker.slots)]
    return link.Hello(
        worker=worker.name, incarnation=worker.incarnation, model=model, spec=SPEC, state="ready", slots=slots, **more
    )


@asynccontextmanager
async def dialled(served: Served, secret: str | None = None) -> AsyncGenerator[ClientConnection]:
    headers = {"Authorization": f"Bearer {secret or served.secrets.worker}"}
    url = served.url.replace("http", "ws") + link.PATH
    async with connect(url, additional_headers=headers, compression=None, proxy=None, max_size=None) as socket:
        yield socket


def as_json(value: object, status: int = 200) -> Answering:
    return lambda request: link.Reply(
        id=request.id, status=status, headers={"content-type": "application/json"}, body=json.dumps(value)
    )
