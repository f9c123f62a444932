"""Pictures of a model with sound wait for it (acceptance 35)."""

import pytest

from livereactor.runtime.outputs.playout import Playout


def test_every_frame_waits_the_delay_and_the_queue_has_room_for_what_waits() -> None:
    playout = Playout[str](30.0, delay=0.035)
    playout.push(["a"], step_seconds=0.001, now=1.0)
    assert playout.has_capacity()
    playout.push(["b"], step_seconds=0.001, now=1.033)
    assert playout.has_capacity(in_work=1)
    assert playout.due(1.034) == []
    assert [item for item, _ in playout.due(1.0351)] == ["a"]
    assert playout.deadline() == pytest.approx(1.068)
