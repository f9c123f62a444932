"""What keys and gamepad may be bound to, and what is said of what may not, when the class is defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import livereactor as lr
from livereactor.base.errors import DefinitionError
from livereactor.protocol.openapi import to_openapi
from livereactor.runtime.authoring.definition import definition_of


class Walk(lr.Model):
    main_video = lr.VideoOut(width=64, height=48, fps=24)
    forward: float = lr.param(0.0, ge=-1, le=1, keys=("s", "w"), gamepad="left_y")
    gear: int = lr.param(0, ge=-1, le=5, keys=("arrowdown", "arrowup"))
    throttle: float = lr.param(0.0, ge=0, le=1, gamepad="right_trigger")
    run: bool = lr.param(False, keys="shift", gamepad="left_trigger")
    fog: float = lr.param(0.2, ge=0, le=1)

    @lr.command(keys="r", gamepad="b")
    def reset(self) -> None:
        self.fog = 1.0

    @lr.command(keys="space")
    def jump(self, height: float = 1.0) -> None: ...


def post(model: type[lr.Model], command: str) -> dict[str, Any]:
    return to_openapi(definition_of(model).schema)["paths"][f"/events/{command}"]["post"]


def param_input(model: type[lr.Model], name: str) -> object:
    schema = post(model, f"set_{name}")["requestBody"]["content"]["application/json"]["schema"]
    return schema["properties"][name].get("x-livereactor-input")


def test_keys_and_gamepad_are_in_the_schema_document() -> None:
    assert param_input(Walk, "forward") == {"keys": ["s", "w"], "gamepad": "left_y"}
    assert param_input(Walk, "gear") == {"keys": ["arrowdown", "arrowup"]}
    assert param_input(Walk, "throttle") == {"gamepad": "right_trigger"}
    assert param_input(Walk, "run") == {"keys": ["shift"], "gamepad": "left_trigger"}
    assert param_input(Walk, "fog") is None
    assert post(Walk, "reset")["x-livereactor-input"] == {"keys": ["r"], "gamepad": "b"}
    assert post(Walk, "jump")["x-livereactor-input"] == {"keys": ["space"]}


def param(annotation: object, default: object, **given: Any) -> Callable[[], type]:
    def define() -> type:
        body = {"__annotations__": {"forward": annotation}, "forward": lr.param(default, **given)}
        return type("Walk", (lr.Model,), body)

    return define


def command(**given: Any) -> Callable[[], type]:
    def define() -> type:
        class Walk(lr.Model):
            @lr.command(**given)
            def look(self, x: float, y: float) -> None: ...

        return Walk

    return define


def plain_command(**given: Any) -> Callable[[], type]:
    def define() -> type:
        class Walk(lr.Model):
            @lr.command(**given)
            def look(self) -> None: ...

        return Walk

    return define


def same_key() -> type:
    class Walk(lr.Model):
        forward: float = lr.param(0.0, ge=-1, le=1, keys=("s", "w"))

        @lr.command(keys="w")
        def wave(self) -> None: ...

    return Walk


def same_stick() -> type:
    class Walk(lr.Model):
        forward: float = lr.param(0.0, ge=-1, le=1, gamepad="left_y")
        up: float = lr.param(0.0, ge=-1, le=1, gamepad="left_y")

    return Walk


def argument() -> type:
    class Walk(lr.Model):
        @lr.command
        def go(self, forward: float = lr.param(0.0, ge=-1, le=1, keys=("s", "w"))) -> None: ...

    return Walk


BOUNDED: dict[str, Any] = {"ge": -1, "le": 1}


@pytest.mark.parametrize(
    ("define", "parts"),
    [
        (param(float, 0.0, **BOUNDED, keys=("s", "up arrow")), ["Walk.forward: 'up arrow'", "'arrowup'?"]),
        (param(float, 0.0, **BOUNDED, keys=("S", "w")), ["Walk.forward: 'S' is not a key", "write 's'"]),
        (param(float, 0.0, **BOUNDED, keys=(" ", "w")), ["write 'space'"]),
        (param(float, 0.0, **BOUNDED, keys=("tab", "w")), ["'tab'", "choose another"]),
        (param(float, 0.0, **BOUNDED, keys=(1, "w")), ["1 is not a key", 'such as "w"']),
        (param(float, 0.0, **BOUNDED, keys=("qqq", "w")), ["'qqq'", "one character or one of arrowup"]),
        (param(float, 0.0, **BOUNDED, keys="w"), ["Walk.forward", "two keys", 'keys=("s", "w")']),
        (param(float, 0.0, **BOUNDED, keys=("w", "w")), ["two keys"]),
        (param(float, 0.0, **BOUNDED, keys=("a", "w", "d")), ["two keys"]),
        (param(float, 0.0, ge=0, keys=("s", "w")), ["Walk.forward", "both ge= and le="]),
        (param(float, 0.0, **BOUNDED, gamepad="stick"), ["no 'stick'", "left_x, left_y"]),
        (param(float, 0.0, **BOUNDED, gamepad="a"), ["'a' does not fit a number", "left_x"]),
        (param(bool, False, keys=("a", "d")), ["Walk.forward", 'keys="shift"']),
        (param(bool, True, keys="a"), ["make False its default"]),
        (param(bool, False, gamepad="left_x"), ["'left_x' does not fit a switch", "left_bumper"]),
        (param(str, "", keys="w"), ["Walk.forward", "a number or a bool"]),
        (command(keys="l"), ["Walk.look", "give x, y a default"]),
        (command(gamepad="b"), ["Walk.look", "give x, y a default"]),
        (plain_command(keys=("a", "b")), ["Walk.look", 'keys="shift"']),
        (plain_command(keys="L"), ["Walk.look: 'L'", "write 'l'", "test_bindings.py:"]),
        (plain_command(gamepad="left_x"), ["does not fit a command"]),
        (same_key, ["Walk: forward and wave", "the key 'w'"]),
        (same_stick, ["Walk: forward and up", "the gamepad's 'left_y'"]),
        (argument, ["Walk.go.forward", "@lr.command(keys=…)"]),
    ],
)
def test_a_wrong_binding_is_refused_with_what_to_write(define: Callable[[], type], parts: list[str]) -> None:
    with pytest.raises(DefinitionError) as caught:
        define()
    for part in parts:
        assert part in caught.value.message
