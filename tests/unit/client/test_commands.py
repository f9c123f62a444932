"""`reactor.commands` over a known schema, and what arguments are on the wire."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np
import pytest
import structlog

from livereactor.base.errors import InvalidCommandError
from livereactor.client.commands import Commands, ServerSchema, command_doc, command_of, json_arguments, signature
from livereactor.client.errors import CommandRejected
from livereactor.client.types import FileRef
from livereactor.protocol import types as t
from livereactor.protocol.messages import Command, UploadReference
from livereactor.protocol.openapi import to_openapi
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema, validate_arguments

UNIT = t.FloatType(t.Bounds(ge=0, le=1))
DROP = CommandSchema(
    "drop",
    (t.Field("x", UNIT, description="From the left."), t.Field("y", UNIT), t.Field("strength", t.FloatType(), 1.0)),
    "let a drop fall",
    reply="dropped",
)
SET_PROMPT = CommandSchema(
    "set_prompt", (t.Field("seed", t.IntType(), 0), t.Field("prompt", t.StrType(t.Bounds(max_length=8))))
)
SET_SKY = CommandSchema("set-sky", (t.Field("sky", t.ChoiceType(("dawn", "noon")), "dawn"),))
SHOW = CommandSchema("show", (t.Field("image", t.FileType()), t.Field("others", t.ListType(t.FileType()), [])))
POND = ModelSchema(
    "pond",
    commands=(DROP, SET_PROMPT, SET_SKY, SHOW, CommandSchema("reset")),
    messages=(MessageSchema("dropped", "Dropped"),),
)
IMAGE = FileRef("up-1", "a.png", "image/png", 5)


class Sky(Enum):
    NOON = "noon"


class Sent:
    """What was sent, in order."""

    def __init__(self, schema: ModelSchema | None = POND) -> None:
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.commands = Commands(lambda name, data: self.calls.append((name, data)), lambda: schema)


@pytest.fixture
def sent() -> Sent:
    return Sent()


def test_a_command_is_a_method(sent: Sent) -> None:
    sent.commands.drop(x=0.5, y=np.float32(0.25))
    assert sent.calls == [("drop", {"x": 0.5, "y": np.float32(0.25)})]


def test_a_name_that_is_no_attribute_is_an_item(sent: Sent) -> None:
    sent.commands["set-sky"](sky="noon")
    assert sent.calls == [("set-sky", {"sky": "noon"})]


def test_arguments_are_given_by_name_whether_the_schema_is_there_or_not(sent: Sent) -> None:
    for each in (sent, Sent(schema=None)):
        with pytest.raises(TypeError, match="set_prompt takes its arguments by name"):
            each.commands.set_prompt("a fox")
        assert each.calls == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("drop", {"x": 2, "y": 0}),
        ("drop", {"x": 0.5}),
        ("drop", {"x": 0.5, "y": 0.5, "z": 1}),
        ("drop", {"x": "left", "y": 0}),
        ("drop", {"x": None, "y": 0}),
        ("set_prompt", {"prompt": "x" * 9}),
        ("set-sky", {"sky": "dusk"}),
        ("show", {"image": "a.png"}),
        ("show", {"image": IMAGE, "others": [IMAGE, {"name": "no id"}]}),
        ("reset", {"now": True}),
    ],
)
def test_the_verdict_is_the_servers_and_nothing_is_sent(sent: Sent, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(CommandRejected) as here:
        sent.commands[name](**arguments)
    with pytest.raises(InvalidCommandError) as there:
        validate_arguments(POND.command(name), json_arguments(arguments))
    assert (here.value.code, here.value.message) == (there.value.code, there.value.message)
    assert sent.calls == []


def test_files_are_taken_wherever_the_schema_has_one(sent: Sent) -> None:
    sent.commands.show(image=IMAGE, others=[IMAGE])
    assert len(sent.calls) == 1


def test_without_a_schema_the_server_decides() -> None:
    sent = Sent(schema=None)
    sent.commands.anything(x=[1])
    assert sent.calls == [("anything", {"x": [1]})]
    assert dir(sent.commands) == []


def test_an_unknown_command_is_no_attribute_and_the_likely_one_is_named(sent: Sent) -> None:
    with pytest.raises(AttributeError, match="no command named 'drp'; did you mean 'drop'"):
        _ = sent.commands.drp
    assert not hasattr(sent.commands, "__wrapped__")
    assert "set-sky" in sent.commands
    assert list(sent.commands) == ["drop", "set_prompt", "set-sky", "show", "reset"]
    assert dir(sent.commands) == ["drop", "reset", "set_prompt", "show"]


def test_help_says_what_the_schema_says(sent: Sent) -> None:
    assert inspect.getdoc(sent.commands.drop) == (
        "Let a drop fall.\n\nArgs:\n    x: From the left. 0 to 1.\n    y: 0 to 1.\n\n"
        "Replies with the message `dropped`."
    )
    assert str(inspect.signature(sent.commands.drop)) == "(*, x: float, y: float, strength: float = 1.0)"
    assert str(inspect.signature(sent.commands.set_prompt)) == "(*, prompt: str, seed: int = 0)"
    assert "Replies with the message `dropped`, or only" in command_doc(replace(DROP, may_acknowledge=True))
    foreign = CommandSchema("go", tuple(t.Field(name, UNIT) for name in ("class", "to-day", "x")))
    assert str(signature(foreign)) == "(*, x: float)"
    assert repr(sent.commands.reset) == "<command reset()>"


def test_arguments_become_plain_json() -> None:
    data = {
        "a": np.float64(0.5),
        "b": np.arange(3),
        "c": np.bool_(True),
        "d": Sky.NOON,
        "e": (1, None, {"f": np.int8(2)}),
        "f": np.str_("x"),
    }
    arguments = json_arguments(data)
    assert arguments == {"a": 0.5, "b": [0, 1, 2], "c": True, "d": "noon", "e": [1, None, {"f": 2}], "f": "x"}
    assert [type(value) for value in arguments.values()] == [float, list, bool, str, list, str]
    assert json_arguments(None) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan"), [{"a": float("-inf")}], 2**2000])
def test_numbers_that_are_none_are_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"number|integer"):
        json_arguments({"x": value})


@pytest.mark.parametrize("data", [[1], "x", {1: 2}, {"x": object()}, {"x": b"bytes"}, {"x": {2: 3}}])
def test_what_is_no_json_is_a_type_error(data: Any) -> None:
    with pytest.raises(TypeError):
        json_arguments(data)


def test_data_without_an_end_is_a_value_error() -> None:
    endless: dict[str, Any] = {}
    endless["x"] = endless
    with pytest.raises(ValueError, match="without an end"):
        json_arguments(endless)


def test_files_at_the_top_go_beside_the_other_arguments() -> None:
    command = command_of("show", {"image": IMAGE, "others": [IMAGE], "k": 1})
    inline = {"upload_id": "up-1", "name": "a.png", "mime_type": "image/png", "size": 5}
    beside = {"image": UploadReference("up-1", "a.png", "image/png", 5)}
    assert command == Command("show", {"others": [inline], "k": 1}, beside)


def test_a_schema_is_read_once_and_one_that_cannot_be_read_is_none() -> None:
    documents: list[Any] = [None, to_openapi(POND), {"paths": 3}]
    current = 0
    schema = ServerSchema(lambda: documents[current])
    assert schema.get() is None
    current = 1
    read = schema.get()
    assert read is not None
    assert read.commands == POND.commands
    assert schema.get() is read
    current = 2
    with structlog.testing.capture_logs() as logs:
        assert schema.get() is None
        assert schema.get() is None
    assert len(logs) == 1
