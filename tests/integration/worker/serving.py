"""A Worker in this process, over the in-memory engine, and clients that reach it through the stand-in coordinator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from livereactor.base.ids import uuid7
from livereactor.base.limits import Limits
from livereactor.engine.memory.engine import MemoryEngine
from livereactor.engine.port import PeerConfig, Section, Use
from livereactor.runtime.authoring.model import Model, definition_of
from livereactor.runtime.options import Moderated
from livereactor.runtime.session.describing import model_spec
from livereactor.runtime.session.service import Runtime, RuntimeOptions
from livereactor.runtime.worker.link import About, WorkerLink
from livereactor.runtime.worker.worker import Worker
from tests.integration.worker.standin import SECRET, StandIn
from tests.tools.client_side import ClientSide
from tests.tools.memory_blobs import MemoryBlobs


class Working:
    """The Worker and what it is made of."""

    def __init__(self, worker: Worker, task: asyncio.Task[None], engine: MemoryEngine, blobs: MemoryBlobs) -> None:
        self.worker, self.task, self.engine, self.blobs = worker, task, engine, blobs

    async def connect(
        self,
        coordinator: StandIn,
        session: str,
        fence: int,
        *,
        slot: int = 0,
        channels: Sequence[str] = ("data",),
        role: str = "owner",
        records: bool = True,
    ) -> ClientSide:
        """A client of the Session, whose signalling is relayed."""
        base = f"/sessions/{session}/transport/webrtc/connections"
        more: dict[str, Any] = {"slot": slot, "fence": fence, "role": role, "records": records}
        made = await coordinator.ask("POST", base, {}, **more)
        assert made.status == 201, made
        number = json.loads(made.body)["connection_id"]
        side = await ClientSide.make(self.engine, PeerConfig())
        text = await side.offer([Section("video", Use.RECEIVE, "main_video")], channels)
        mapping = [{"mid": "0", "name": "main_video", "kind": "video", "direction": "recvonly"}]
        offer = {"sdp_offer": text, "client_info": {"sdk_version": "1", "sdk_type": "test"}, "track_mapping": mapping}
        posted = await coordinator.ask("POST", f"{base}/{number}/sdp_params", offer, **more)
        assert posted.status == 202, posted
        answer = await coordinator.ask("GET", f"{base}/{number}/sdp_params", **more)
        assert answer.status == 200, answer
        await side.take_answer(json.loads(answer.body)["sdp_answer"])
        await side.connected(*channels)
        return side


@asynccontextmanager
async def working(
    model: type[Model],
    coordinator: StandIn | str,
    *,
    secret: str = SECRET,
    pooled: bool = False,
    drain_timeout: float = 5.0,
    limits: Limits | None = None,
    blobs: MemoryBlobs | None = None,
    moderation: Moderated | None = None,
) -> AsyncIterator[Working]:
    """A Worker of `model` for a coordinator; drained at once at the end if it still runs."""
    engine, blobs, definition = MemoryEngine(), blobs or MemoryBlobs(), definition_of(model)
    options = RuntimeOptions(limits=limits or replace(Limits(), exit_timeout=4.0), moderation=moderation)
    runtimes = [Runtime(model, engine=engine, blobs=blobs, options=options) for _ in range(definition.max_sessions)]
    about = About("w-1", definition.name, definition.schema.version, model_spec(definition), "here", 1, pooled)

    def make_link(now: float) -> WorkerLink:
        return WorkerLink(about, len(runtimes), incarnation=lambda: uuid7().hex, drain_timeout=drain_timeout, now=now)

    url = coordinator if isinstance(coordinator, str) else coordinator.url
    worker = Worker(runtimes, url, secret, make_link)
    task = asyncio.create_task(worker.run())
    try:
        yield Working(worker, task, engine, blobs)
    finally:
        if not task.done():
            worker.drain(0.0)
        await asyncio.wait([task], timeout=10.0)
        if not task.done():
            task.cancel()
