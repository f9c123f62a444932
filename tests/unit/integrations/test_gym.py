"""What an environment makes of steps that go wrong; the rest is in `tests/e2e/integrations`."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from livereactor.client._sync.generated.reactor import SyncReactor
from livereactor.client.stepping import StepFrame, StepResult, StepTrack
from livereactor.integrations.gym import ReactorEnv
from livereactor.protocol.openapi import to_openapi
from livereactor.protocol.schema import CommandSchema, ModelSchema
from livereactor.protocol.types import BoolType, Field

FRAME = StepFrame(np.zeros((4, 6, 3), np.uint8))
GOOD = StepResult(1, (StepTrack("main_video", "video", 30.0, (FRAME,)),))
FAILED = StepResult(2, error="it fell over")


class Stepped:
    """A client whose steps are given."""

    def __init__(self, *results: StepResult) -> None:
        self._results = list(results)

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def close(self) -> None: ...
    def request_schema(self) -> dict[str, Any]:
        return to_openapi(ModelSchema("m", commands=(CommandSchema("set_lamp", (Field("lamp", BoolType()),)),)))

    def step(self, **_: Any) -> StepResult:
        return self._results.pop(0)


def env(*results: StepResult) -> ReactorEnv:
    return ReactorEnv(cast("SyncReactor", Stepped(*results)))


def test_a_step_that_failed_and_has_no_tracks_ends_the_episode_with_the_last_frame() -> None:
    observed, reward, terminated, truncated, info = env(GOOD, FAILED).step(1)
    assert observed is FRAME.array
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert (info["frames"], info["number"]) == ([], 2)


def test_a_first_step_that_failed_says_why() -> None:
    with pytest.raises(ValueError, match="it fell over"):
        env(FAILED)


def test_a_track_that_the_model_has_not_is_named() -> None:
    with pytest.raises(KeyError, match="main_video"):
        env(StepResult(1, (StepTrack("other", "video", 30.0, (FRAME,)),)))
