"""What a Worker did not hear of is told again, and stays one assignment to whoever reads the log."""

from __future__ import annotations

from structlog.testing import capture_logs

from livereactor.protocol import link
from tests.unit.coordinator.service_rig import Rig


async def test_an_assignment_that_is_told_again_is_logged_once() -> None:
    rig = Rig()
    await rig.model()
    await rig.worker()
    with capture_logs() as lines:
        session = (await rig.create()).session_id
        await rig.beat(link.SlotReport(n=0))  # it was written before the assignment came
        await rig.accept()
    assert [each.session for each in rig.links.frames(link.Assign)] == [session] * 2
    assert [each["session"] for each in lines if each["event"] == "session assigned"] == [session]
