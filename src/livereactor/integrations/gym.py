"""A stepped Session as a Gymnasium environment: `pip install livereactor[gym]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from livereactor.integrations.spaces import Action, parameter_actions
from livereactor.protocol.openapi_reading import from_openapi

if TYPE_CHECKING:
    from livereactor.client.stepping import StepFrame, StepResult
    from livereactor.client.sync.reactor import SyncReactor

Observation: TypeAlias = NDArray[np.uint8]
Judge: TypeAlias = "Callable[[StepResult], tuple[float, bool]]"


def by_reward_message(result: StepResult) -> tuple[float, bool]:
    """Reward and end by the last Message of type `reward`: its `value`, its `done` where it has one; else 0, go on."""
    for message in reversed(result.messages):
        if message["type"] == "reward":
            return float(message["data"]["value"]), bool(message["data"].get("done", False))
    return 0.0, False


class ReactorEnv(gymnasium.Env[Observation, Any]):
    """Steps of a model as steps of an environment; an episode is a Session.

    An action gives values to the model's parameters; the observation is the Frame that the step gave, the last one
    where it gave several. `info` has the step's `frames`, `messages` and `number`.

    Attributes:
        action_space: the one parameter's space, or a `Dict` of them: `Box` for a bounded float, `Discrete` for a
            bounded int, a bool and a choice (by its place in the schema).
        observation_space: uint8, shape (height, width, 3), RGB.

    Args:
        reactor: made with `generation="stepped"` and not connected; the environment's own from now on, till `close()`.
        actions: names of the parameters to act by; None = every one whose values are bounded.
        track: the output track to observe.
        judge: reward and end of a step.
        render_mode: `rgb_array`, where `render()` is to return the last Frame.

    Raises:
        ValueError: no such parameter, or one whose values are not bounded.
        ReactorError: the Session could not be had.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (so it is in the base)

    def __init__(
        self,
        reactor: SyncReactor,
        *,
        actions: Sequence[str] | None = None,
        track: str = "main_video",
        judge: Judge = by_reward_message,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode {render_mode!r}: there is 'rgb_array', or None")
        self._reactor, self._track, self._judge = reactor, track, judge
        self.render_mode = render_mode
        reactor.connect()
        try:
            schema = from_openapi(reactor.request_schema())
            self._actions = parameter_actions(schema, actions)
            self._seeded = any(command.name == "set_seed" for command in schema.commands)
            self._frame = self._first(reactor.step())
        except BaseException:
            self.close()
            raise
        self.observation_space = spaces.Box(0, 255, self._frame.shape, np.uint8)
        self.action_space = _space(self._actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a Session and run its first step.

        Args:
            seed: goes to the model as its parameter `seed`, where it has one.
            options: `params`: values of parameters to start with.
        """
        super().reset(seed=seed)
        self._reactor.disconnect()
        self._reactor.connect()
        params = dict((options or {}).get("params", {}))
        if seed is not None and self._seeded:
            params.setdefault("seed", seed)
        result = self._reactor.step(params=params)
        self._frame = self._first(result)
        return self._frame, _info(result, self._track)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Run one step: (observation, reward, terminated, False, info); a step in which the model failed ends it."""
        values = {next(iter(self._actions)): action} if len(self._actions) == 1 else action
        result = self._reactor.step(params={name: self._actions[name].value(values[name]) for name in self._actions})
        frames = _frames(result, self._track)
        self._frame = frames[-1].array if frames else self._frame
        reward, done = self._judge(result)
        return self._frame, reward, done or result.error is not None, False, _info(result, self._track)

    def render(self) -> Observation | None:
        """The last Frame, in the mode `rgb_array`."""
        return self._frame if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """End the Session and the client."""
        self._reactor.disconnect()
        self._reactor.close()

    def _first(self, result: StepResult) -> Observation:
        frames = _frames(result, self._track)
        if not frames:
            reason = result.error or "it yields none in its first step"
            raise ValueError(f"{self._track}: no Frame to observe; {reason}")
        return frames[-1].array


def _space(actions: Mapping[str, Action]) -> spaces.Space[Any]:
    if len(actions) == 1:
        return next(iter(actions.values())).space
    return spaces.Dict({name: action.space for name, action in actions.items()})


def _frames(result: StepResult, track: str) -> Sequence[StepFrame]:
    """A step in which the model failed may have no tracks at all."""
    return () if result.error is not None and not result.tracks else result.track(track).frames


def _info(result: StepResult, track: str) -> dict[str, Any]:
    return {
        "frames": [frame.array for frame in _frames(result, track)],
        "messages": list(result.messages),
        "number": result.step,
    }
