"""A model's parameters as Gymnasium spaces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from livereactor.protocol.schema import ModelSchema
from livereactor.protocol.types import BoolType, Bounds, ChoiceType, Field, FloatType, IntType, type_name


@dataclass(frozen=True, slots=True)
class Action:
    """How one parameter is acted by.

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
