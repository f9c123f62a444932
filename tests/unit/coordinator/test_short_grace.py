"""A Ticket's polls are written down often enough for its grace, however short an operator makes that."""

from __future__ import annotations

import pytest

from livereactor.coordinator.decisions import sweep_tickets
from livereactor.coordinator.options import CoordinatorOptions
from tests.unit.coordinator.service_rig import ALICE, UNLIMITED, Rig


@pytest.mark.parametrize("grace", [2.0, 8.0, 60.0])
async def test_a_client_that_polls_keeps_its_ticket(grace: float) -> None:
    rig = Rig(CoordinatorOptions(quotas=UNLIMITED, ticket_grace=grace))
    await rig.model()
    session = (await rig.create()).session_id
    for _ in range(16):
        await rig.service.queries.describe(ALICE, session)
        rig.advance(grace / 2)
        dropped, _ = await rig.store.transact(lambda tx: sweep_tickets(tx, rig.now_us, rig.options))
        assert dropped == 0
    rig.advance(grace)
    dropped, _ = await rig.store.transact(lambda tx: sweep_tickets(tx, rig.now_us, rig.options))
    assert dropped == 1
