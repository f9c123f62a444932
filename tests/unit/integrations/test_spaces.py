"""What of a model's parameters can be acted by, and that every action is a value the model takes."""

from __future__ import annotations

import math

import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from livereactor.integrations.gym import parameter_actions
from livereactor.protocol.schema import CommandSchema, ModelSchema, validate_arguments
from livereactor.protocol.types import BoolType, Bounds, ChoiceType, Field, FloatType, IntType, StrType, Type


def schema(**kinds: Type) -> ModelSchema:
    commands = [CommandSchema(f"set_{name}", (Field(name, kind),)) for name, kind in kinds.items()]
    return ModelSchema("m", commands=(*commands, CommandSchema("drop", (Field("x", FloatType()),))))


def test_each_kind_has_its_space() -> None:
    actions = parameter_actions(
        schema(
            push=FloatType(Bounds(ge=-1, le=1)),
            gear=IntType(Bounds(gt=0, lt=6)),
            even=IntType(Bounds(ge=0, le=9, multiple_of=2)),
            lamp=BoolType(),
            place=ChoiceType(("left", "right")),
        ),
        None,
    )
    assert list(actions) == ["push", "gear", "even", "lamp", "place"]
    assert actions["gear"].space == spaces.Discrete(5, start=1)
    assert actions["even"].space == spaces.Discrete(5)
    assert actions["even"].value(4) == 8
    assert actions["lamp"].value(1) is True
    assert actions["place"].value(1) == "right"


def test_what_is_not_bounded_is_left_out_unless_it_is_asked_for() -> None:
    model = schema(push=FloatType(Bounds(ge=-1, le=1)), prompt=StrType(), speed=FloatType(Bounds(ge=0)))
    assert list(parameter_actions(model, None)) == ["push"]
    with pytest.raises(ValueError, match=r"prompt \(str\) is not bounded"):
        parameter_actions(model, ["prompt"])
    with pytest.raises(ValueError, match="speed"):
        parameter_actions(model, ["speed"])


def test_the_seed_belongs_to_reset() -> None:
    model = schema(push=BoolType(), seed=IntType(Bounds(ge=0, le=9)))
    assert list(parameter_actions(model, None)) == ["push"]
    assert list(parameter_actions(model, ["seed"])) == ["seed"]


def test_an_unknown_parameter_and_a_model_without_any_are_said() -> None:
    with pytest.raises(ValueError, match="no parameter 'pull'; there are push"):
        parameter_actions(schema(push=BoolType()), ["pull"])
    with pytest.raises(ValueError, match="no parameter to act by"):
        parameter_actions(schema(prompt=StrType()), None)


_NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
# Between two doubles that are neighbours an open range has no value at all.
_RANGES = st.tuples(_NUMBERS, _NUMBERS).filter(lambda pair: math.nextafter(pair[0], math.inf) < pair[1])


@given(bounds=_RANGES, open_ends=st.booleans())
def test_every_action_is_a_value_that_the_model_takes(bounds: tuple[float, float], open_ends: bool) -> None:
    low, high = bounds
    kind = FloatType(Bounds(gt=low, lt=high) if open_ends else Bounds(ge=low, le=high))
    model = schema(push=kind)
    action = parameter_actions(model, None)["push"]
    assert isinstance(action.space, spaces.Box)
    for value in (action.space.low, action.space.high, action.space.sample()):
        validate_arguments(model.command("set_push"), {"push": action.value(value)})
