"""What a Ticket's client is told of the Worker that it waits for."""

from __future__ import annotations

from livereactor.protocol.http import QueueBody
from tests.unit.coordinator.service_rig import ALICE, Rig


async def place(rig: Rig, session: str) -> QueueBody:
    queue = (await rig.service.queries.describe(ALICE, session)).queue
    assert queue is not None
    return queue


async def test_while_a_models_first_worker_has_not_dialled_in_its_client_is_told_that_it_starts() -> None:
    rig = Rig()
    await rig.model()
    session = (await rig.create()).session_id
    told = await place(rig, session)
    assert (told.position, told.loading, told.loading_text) == (1, None, "its process starts")
    await rig.worker(state="starting")
    await rig.beat(state="starting", progress=0.4, text="weights")
    told = await place(rig, session)
    assert (told.loading, told.loading_text) == (0.4, "weights")


async def test_whoever_waits_for_a_worker_in_use_is_told_of_none_that_starts() -> None:
    rig = Rig()
    await rig.ready()
    told = await place(rig, (await rig.create()).session_id)
    assert (told.position, told.loading, told.loading_text) == (1, None, None)


async def test_a_model_that_nobody_here_can_start_promises_none() -> None:
    rig = Rig()
    await rig.model(max_workers=0)
    await rig.worker(state="starting")
    session = (await rig.create()).session_id
    await rig.service.bye("w1", "incarnation")
    assert (await place(rig, session)).loading_text is None
