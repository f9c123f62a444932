"""Keys and gamepad controls that a page gives a parameter or a command by: their names, and their JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from livereactor.base.errors import PeerError
from livereactor.protocol.fields import json_object, text

BINDING_KEY: Final = "x-livereactor-input"  # in the schema document, on a property or on a command's operation

# Named as `KeyboardEvent.key`, in lower case, but for the space bar, whose " " nobody sees. Keys of one character are
# named by it. Left out are those that browsers or the page keep for themselves.
NAMED_KEYS: Final = (
    *("arrowup", "arrowdown", "arrowleft", "arrowright", "space", "enter", "shift", "backspace", "delete"),
    *("home", "end", "pageup", "pagedown"),
)
KEPT_KEYS: Final = ("?", "tab", "escape", "control", "alt", "meta", *(f"f{number}" for number in range(1, 13)))

GAMEPAD_AXES: Final = ("left_x", "left_y", "right_x", "right_y")  # -1..1, right and up positive
GAMEPAD_TRIGGERS: Final = ("left_trigger", "right_trigger")  # 0..1; also buttons
GAMEPAD_BUTTONS: Final = (
    *("a", "b", "x", "y", "left_bumper", "right_bumper", *GAMEPAD_TRIGGERS),
    *("up", "down", "left", "right", "start", "select"),
)


@dataclass(frozen=True, slots=True)
class Binding:
    """An input device that gives a value: a key, a button, an axis.

    Attributes:
        keys: of a number the one that pushes it down and the one that pushes it up; of a switch or a command one; or
            none.
        gamepad: an axis, trigger or button; empty: none.
    """

    keys: tuple[str, ...] = ()
    gamepad: str = ""


def is_key(name: str) -> bool:
    """Whether a page can hear this key and leaves it to the model."""
    if name in KEPT_KEYS:
        return False
    return name in NAMED_KEYS or (len(name) == 1 and name.isprintable() and name != " " and name == name.lower())


def binding_to_json(binding: Binding) -> dict[str, Any]:
    """Return the JSON object that stands under `BINDING_KEY`, without empty members."""
    keys = {"keys": list(binding.keys)} if binding.keys else {}
    return {**keys, "gamepad": binding.gamepad} if binding.gamepad else keys


def binding_in(schema: Mapping[str, Any]) -> Binding | None:
    """Return the binding of a property or an operation in a document; names are taken as they are.

    Raises:
        PeerError: it is none.
    """
    if BINDING_KEY not in schema:
        return None
    data = json_object(schema[BINDING_KEY], BINDING_KEY)
    keys = data.get("keys", [])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in cast("list[Any]", keys)):
        raise PeerError(f"{BINDING_KEY}: expected keys to be a list of strings")
    return Binding(tuple(cast("list[str]", keys)), text(data, "gamepad", default=""))
