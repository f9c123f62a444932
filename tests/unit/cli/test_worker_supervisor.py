"""When a kept Worker is started again, and when not."""

from __future__ import annotations

import pytest

from livereactor.cli.commands.worker import BACK_OFF_MAX, HEALTHY, RestartPolicy


def test_the_pause_doubles_with_each_crash_up_to_a_bound() -> None:
    restarts = RestartPolicy()
    pauses = [restarts.after(-9, lived=1.0) for _ in range(9)]
    assert pauses[:5] == [0.5, 1, 2, 4, 8]
    assert pauses[-1] == BACK_OFF_MAX


def test_after_a_while_of_health_a_crash_is_the_first_one_again() -> None:
    restarts = RestartPolicy()
    for _ in range(5):
        restarts.after(1, lived=1.0)
    assert restarts.after(1, lived=HEALTHY) == 0.5


@pytest.mark.parametrize("code", [0, 2, 130])
def test_what_ended_in_order_or_was_called_wrongly_is_not_started_again(code: int) -> None:
    assert RestartPolicy().after(code, lived=1000.0) is None


def test_a_model_that_never_loaded_is_not_started_again_but_one_that_had_is() -> None:
    restarts = RestartPolicy()
    assert restarts.after(3, lived=5.0) is None
    restarts.after(-9, lived=HEALTHY)
    assert restarts.after(3, lived=5.0) is not None
