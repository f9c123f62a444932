"""A stepped Session as a Gymnasium environment: `pip install livereactor[gym]`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from livereactor.protocol.openapi import from_openapi
from livereactor.protocol.schema import ModelSchema
from livereactor.protocol.types import BoolType, Bounds, ChoiceType, Field, FloatType, IntType, type_name

# A model's parameters as Gymnasium spaces.


@dataclass(frozen=True, slots=True)
class Action:
    """The action space of one parameter.

    Attributes:
        space: where its actions lie.
        value: an action as the JSON value that the parameter takes.
    """

    space: spaces.Space[Any]
    value: Callable[[Any], Any]


def parameter_actions(schema: ModelSchema, names: Sequence[str] | None) -> dict[str, Action]:
    """The parameters of a model that can be acted by, in the schema's order.

    Args:
        names: those to use; None = all whose values are bounded, but for `seed`, which belongs to `reset`.

    Raises:
        ValueError: none of that name, one whose values are not bounded, or none at all.
    """
    fields = {
        command.fields[0].name: command.fields[0]
        for command in schema.commands
        if len(command.fields) == 1 and command.name == f"set_{command.fields[0].name}"
    }
    known = ", ".join(fields) or "none"
    actions: dict[str, Action] = {}
    for name in fields if names is None else names:
        if name not in fields:
            raise ValueError(f"{schema.name} has no parameter {name!r}; there are {known}")
        action = None if names is None and name == "seed" else _action(fields[name])
        if action is not None:
            actions[name] = action
        elif names is not None:
            kind = type_name(fields[name].type)
            raise ValueError(f"{name} ({kind}) is not bounded; give it ge and le in the model, or leave it out")
    if not actions:
        raise ValueError(f"{schema.name} has no parameter to act by (bounded number, bool or choice); it has {known}")
    return actions


def _action(field: Field) -> Action | None:
    match field.type:
        case BoolType():
            return Action(spaces.Discrete(2), bool)
        case ChoiceType(values):
            return Action(spaces.Discrete(len(values)), lambda place: values[int(place)])
        case IntType(bounds):
            return _whole(bounds)
        case FloatType(bounds):
            return _real(bounds)
        case _:
            return None


def _whole(bounds: Bounds) -> Action | None:
    low = bounds.ge if bounds.ge is not None else None if bounds.gt is None else math.floor(bounds.gt) + 1
    high = bounds.le if bounds.le is not None else None if bounds.lt is None else math.ceil(bounds.lt) - 1
    if low is None or high is None:
        return None
    step = int(bounds.multiple_of or 1)
    first, last = math.ceil(low / step), math.floor(high / step)
    return Action(spaces.Discrete(last - first + 1, start=first), lambda place: int(place) * step)


def _real(bounds: Bounds) -> Action | None:
    low = bounds.ge if bounds.ge is not None else None if bounds.gt is None else math.nextafter(bounds.gt, math.inf)
    high = bounds.le if bounds.le is not None else None if bounds.lt is None else math.nextafter(bounds.lt, -math.inf)
    if low is None or high is None or bounds.multiple_of is not None:
        return None
    # float32 of a bound may lie a hair outside it.
    return Action(spaces.Box(low, high, (), np.float32), lambda action: min(max(float(action), low), high))


if TYPE_CHECKING:
    from livereactor.client._sync.generated.reactor import SyncReactor
    from livereactor.client.stepping import StepFrame, StepResult

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
