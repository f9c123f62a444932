"""`lr.param`: a value that clients may set, with its bounds; also the default of a command's argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, cast

from livereactor.protocol.types import Bounds
from livereactor.runtime.authoring.bindings import Keys

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Param:
    """What `lr.param` was given; stands on the class, while instances hold plain values."""

    default: Any
    bounds: Bounds
    description: str
    moderate: bool
    keys: Keys
    gamepad: str | None


def param(
    default: Value,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    multiple_of: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    description: str = "",
    moderate: bool = False,
    keys: str | tuple[str, str] | None = None,
    gamepad: str | None = None,
) -> Value:
    """Declare a value that clients set by the command `set_<name>` and that the model reads as `self.<name>`.

    Args:
        default: its value at the start of every Session; within the bounds. A list's default is written as a tuple.
        ge, gt, le, lt, multiple_of: bounds of a number.
        min_length, max_length: bounds of the length of a text or list.
        description: shown beside its control.
        moderate: marks free content that a deployment may check.
        keys: what pushes it while held, on the page; let go, it is back at its default. Of a number the keys for down
            and up, to its bounds `ge` and `le`, which it needs then; of a bool one. Named as `KeyboardEvent.key` in
            lower case: "w", "arrowup", "space", "shift".
        gamepad: the same on a gamepad. Of a number "left_x", "left_y", "right_x", "right_y" (right and up are
            positive), "left_trigger" or "right_trigger"; of a bool a button: "a", "b", "x", "y", "left_bumper",
            "right_bumper", "left_trigger", "right_trigger", "up", "down", "left", "right", "start", "select".
    """
    bounds = Bounds(ge, gt, le, lt, multiple_of, min_length, max_length)
    # The class holds the declaration and every instance the plain value, so this is the type its readers see.
    return cast("Value", Param(default, bounds, description, moderate, keys, gamepad))
