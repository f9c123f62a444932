"""Types from annotations, the schema document, arguments and their error sentences.

Long because one schema goes through all of them, and half of it are tables of cases.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Annotated, Any, Literal, Optional, Union

import annotated_types as at
import numpy as np
import pytest
from pydantic import BaseModel
from pydantic import Field as PydanticField

from livereactor.base.errors import DefinitionError, InvalidCommandError, PeerError
from livereactor.protocol.bindings import Binding
from livereactor.protocol.messages import UploadReference
from livereactor.protocol.openapi import from_openapi, to_openapi
from livereactor.protocol.reading import field_of, type_of
from livereactor.protocol.schema import (
    CommandSchema,
    MessageSchema,
    ModelSchema,
    TrackSchema,
    argument_uploads,
    arguments_with_files,
    breaking_changes,
    python_arguments,
    validate_arguments,
)
from livereactor.protocol.types import (
    AnyType,
    BoolType,
    Bounds,
    ChoiceType,
    DictType,
    Field,
    File,
    FileType,
    FloatType,
    Hint,
    IntType,
    ListType,
    OptionalType,
    StrType,
    StructureType,
)
from livereactor.protocol.values import to_json, to_python


class Mood(Enum):
    CALM = "calm"
    WILD = "wild"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    y: Annotated[float, at.Ge(0)] = 0.5


class Brush(BaseModel):
    size: int = PydanticField(ge=1, le=9, description="Pixels.")
    at: Point
    moods: list[Mood] = []


class UploadedFile(File):
    pass


@dataclasses.dataclass
class Endless:
    next: Endless | None


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (bool, BoolType()),
        (int, IntType()),
        (float, FloatType()),
        (str, StrType()),
        (Any, AnyType()),
        (list, ListType()),
        (list[int], ListType(IntType())),
        (dict[str, float], DictType(FloatType())),
        (Mapping[str, int], DictType(IntType())),
        (int | None, OptionalType(IntType())),
        (Optional[str], OptionalType(StrType())),  # noqa: UP045
        (Union[None, str], OptionalType(StrType())),  # noqa: UP007
        (Literal["a", "b"], ChoiceType(("a", "b"))),
        (Literal["a", None], OptionalType(ChoiceType(("a",)))),
        (Mood, ChoiceType(("calm", "wild"))),
        (Level, ChoiceType((1, 2))),
        (File, FileType()),
        (UploadedFile, FileType()),
        (Annotated[float, at.Interval(ge=0, lt=1)], FloatType(Bounds(ge=0, lt=1))),
        (Annotated[str, at.Len(1, 20)], StrType(Bounds(min_length=1, max_length=20))),
        (Annotated[int, at.MultipleOf(8)], IntType(Bounds(multiple_of=8))),
        (Annotated[int, PydanticField(ge=2)], IntType(Bounds(ge=2))),
        (Annotated[int | None, at.Ge(2)], OptionalType(IntType(Bounds(ge=2)))),
        (list[Annotated[int, at.Ge(2)]], ListType(IntType(Bounds(ge=2)))),
        (Point, StructureType("Point", (Field("x", FloatType()), Field("y", FloatType(Bounds(ge=0)), 0.5)))),
    ],
)
def test_an_annotation_reads_as_a_type(annotation: Any, expected: object) -> None:
    assert type_of(annotation, "Pond.x") == expected


def test_a_pydantic_model_reads_as_a_structure() -> None:
    kind = type_of(Brush, "Pond.brush")
    assert isinstance(kind, StructureType)
    assert kind.python is Brush
    assert kind.fields[0] == Field("size", IntType(Bounds(ge=1, le=9)), description="Pixels.")
    assert kind.fields[2] == Field("moods", ListType(ChoiceType(("calm", "wild"))), [])


@pytest.mark.parametrize(
    ("annotation", "part"),
    [
        (complex, "complex cannot be sent"),
        (int | str, "int | str cannot be sent"),
        (dict[int, str], "keys"),
        (set[int], "set"),
        (Literal[b"x"], "choice"),
        (Annotated[str, at.Ge(1)], "ge makes no sense for str"),
        (Annotated[bool, at.Ge(1)], "bounds make no sense"),
        (Annotated[int, at.Ge(5), at.Le(1)], "no number"),
        (Annotated[int, at.Predicate(str.islower)], "handler"),
        (Endless, "cannot hold itself"),
        ([1], "cannot be sent"),
    ],
)
def test_an_annotation_that_cannot_be_sent_is_named(annotation: Any, part: str) -> None:
    with pytest.raises(DefinitionError, match=part) as caught:
        type_of(annotation, "Pond.drop.x")
    assert caught.value.message.startswith("Pond.drop.x")


@pytest.mark.parametrize(
    ("annotation", "default", "message"),
    [
        (Annotated[int, at.Le(5)], 9, "Pond.steps: default 9 is above le=5; change one of them"),
        (int, "a", "Pond.steps: default: expected int, got str; change one of them"),
        (list[int], [], "Pond.steps: default [] is mutable and would be shared by all; use a tuple"),
        (int, None, "Pond.steps: default: expected int, got null; change one of them"),
    ],
)
def test_a_default_that_cannot_be_is_refused(annotation: Any, default: Any, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        field_of("steps", annotation, "Pond.steps", default=default)
    assert caught.value.message == message


def test_a_field_keeps_its_default_as_json_and_its_hints() -> None:
    field = field_of(
        "c", Annotated[str, Hint("format", "color"), PydanticField(description="Ink.")], "Pond.c", default="#fff"
    )
    assert field == Field("c", StrType(), "#fff", "Ink.", hints={"format": "color"})
    assert field_of("m", Mood, "Pond.m", default=Mood.WILD).default == "wild"
    assert field_of("l", list[int], "Pond.l", default=(1, 2)).default == [1, 2]
    assert field_of("d", dict[str, int], "Pond.d", default=MappingProxyType({"a": 1})).default == {"a": 1}
    assert field_of("f", float, "Pond.f", default=1).default == 1.0


DROP = CommandSchema(
    "drop",
    (
        Field("x", FloatType(Bounds(ge=0, le=1))),
        Field("y", FloatType(Bounds(ge=0, le=1))),
        Field("strength", FloatType(), 1.0),
    ),
    "Let a drop fall.",
    reply="dropped",
)
SET_STEPS = CommandSchema("set_steps", (Field("steps", IntType(Bounds(ge=1, le=5))),))
SET_PROMPT = CommandSchema("set_prompt", (Field("prompt", StrType(Bounds(max_length=8)), moderate=True),))
PAINT = CommandSchema(
    "paint", (Field("brush", type_of(Brush, "paint.brush")), Field("mood", type_of(Mood, ""), "calm"))
)
SHOW = CommandSchema("show", (Field("image", FileType()), Field("others", ListType(FileType()), [])))
RESET = CommandSchema("reset", binding=Binding(("r",), "b"))
SET_FORWARD = CommandSchema(
    "set_forward", (Field("forward", FloatType(Bounds(ge=-1, le=1)), 0.0, binding=Binding(("s", "w"), "left_y")),)
)
POND = ModelSchema(
    "pond",
    "v0.1.0",
    "Rain on a pond.",
    (TrackSchema("main_video", "video", "out"), TrackSchema("webcam", "video", "in")),
    (DROP, SET_STEPS, SET_PROMPT, PAINT, SHOW, RESET, SET_FORWARD),
    (MessageSchema("dropped", "Dropped", (Field("x", FloatType()), Field("y", FloatType())), "A drop fell."),),
)


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (SET_STEPS, {"steps": 9}, "set_steps.steps: 9 is above 5"),
        (SET_STEPS, {"steps": 0}, "set_steps.steps: 0 is below 1"),
        (SET_STEPS, {"steps": 2.5}, "set_steps.steps: expected int, got the fraction 2.5"),
        (SET_STEPS, {"steps": True}, "set_steps.steps: expected int, got bool"),
        (SET_STEPS, {"steps": None}, "set_steps.steps: expected int, got null"),
        (SET_STEPS, {}, "set_steps.steps: missing; set_steps takes steps"),
        (SET_PROMPT, {"prompt": 3}, "set_prompt.prompt: expected str, got int"),
        (SET_PROMPT, {"prompt": "x" * 9}, "set_prompt.prompt: 9 characters is above 8"),
        (DROP, {"x": 1, "y": 1, "z": 1}, "drop.z: unexpected argument; drop takes x, y, strength"),
        (DROP, {"x": False, "y": 1}, "drop.x: expected float, got bool"),
        (DROP, {"x": float("nan"), "y": 1}, "drop.x: expected float, got nan"),
        (RESET, {"x": 1}, "reset.x: unexpected argument; reset takes no arguments"),
        (
            PAINT,
            {"brush": {"size": 3, "at": {"x": 1, "z": 2}}},
            "paint.brush.at.z: unexpected argument; paint.brush.at takes x, y",
        ),
        (
            PAINT,
            {"brush": {"size": 3, "at": {"x": 1}}, "mood": "sad"},
            "paint.mood: 'sad' is not one of 'calm', 'wild'",
        ),
        (
            SHOW,
            {"image": {"name": "a"}},
            "show.image: expected an upload reference with a string 'upload_id', got {'name': 'a'}",
        ),
        (SHOW, {"image": 3}, "show.image: expected an upload reference, got int"),
    ],
)
def test_wrong_arguments_are_named_with_their_rule(command: CommandSchema, arguments: Any, message: str) -> None:
    with pytest.raises(InvalidCommandError) as caught:
        validate_arguments(command, arguments)
    assert caught.value.message == message
    assert caught.value.code == "invalid_command"


def test_an_unknown_command_names_the_likely_one() -> None:
    with pytest.raises(InvalidCommandError, match=r"^no command named 'drpo'; did you mean 'drop'\?$"):
        POND.command("drpo")
    with pytest.raises(InvalidCommandError, match="there are drop, set_steps"):
        POND.command("x" * 100_000)


def test_arguments_are_narrowed_and_filled() -> None:
    assert validate_arguments(SET_STEPS, {"steps": 3.0}) == {"steps": 3}
    assert type(validate_arguments(SET_STEPS, {"steps": 3.0})["steps"]) is int
    arguments = validate_arguments(DROP, {"x": 1, "y": 0})
    assert arguments == {"x": 1.0, "y": 0.0, "strength": 1.0}
    assert type(arguments["x"]) is float


def test_a_default_is_fresh_for_every_call() -> None:
    reference = {"image": {"upload_id": "u"}}
    first = validate_arguments(SHOW, reference)
    first["others"].append(1)
    assert validate_arguments(SHOW, reference)["others"] == []


def test_handlers_get_what_they_are_annotated_with() -> None:
    arguments = validate_arguments(PAINT, {"brush": {"size": 3.0, "at": {"x": 1}, "moods": ["wild"]}, "mood": "wild"})
    assert python_arguments(PAINT, arguments) == {
        "brush": Brush(size=3, at=Point(1.0, 0.5), moods=[Mood.WILD]),
        "mood": Mood.WILD,
    }


def test_files_come_beside_or_inside_the_arguments() -> None:
    beside = {"image": UploadReference("up-1", "a.txt", "text/plain", 5)}
    arguments = validate_arguments(SHOW, {"others": [{"upload_id": "up-2", "size": 5.0}]}, beside)
    assert list(argument_uploads(SHOW, arguments)) == ["up-1", "up-2"]
    files = {"up-1": "first", "up-2": "second"}
    resolved = arguments_with_files(SHOW, arguments, files)
    assert python_arguments(SHOW, resolved) == {"image": "first", "others": ["second"]}


def test_an_authors_own_rule_is_answered_as_an_invalid_command() -> None:
    @dataclasses.dataclass
    class Even:
        n: int

        def __post_init__(self) -> None:
            if self.n % 2:
                raise ValueError("n is odd")

    with pytest.raises(InvalidCommandError, match="Even: n is odd"):
        to_python({"n": 3}, StructureType("Even", (Field("n", IntType()),), Even))


def test_python_values_become_json() -> None:
    brush = Brush(size=2, at=Point(0.25), moods=[Mood.CALM])
    expected = {"size": 2, "at": {"x": 0.25, "y": 0.5}, "moods": ["calm"]}
    assert to_json(brush, type_of(Brush, ""), "m.brush") == expected
    assert to_json(np.float32(0.5), FloatType(), "m.x") == 0.5
    assert to_json(np.int64(3), IntType(), "m.x") == 3
    assert to_json(np.arange(3), ListType(IntType()), "m.x") == [0, 1, 2]
    assert to_json(np.bool_(True), BoolType(), "m.x") is True
    assert to_json(("a", {"b": Level.HIGH}), AnyType(), "m.x") == ["a", {"b": 2}]
    with pytest.raises(InvalidCommandError, match=r"m\.x: expected float, got inf"):
        to_json(float("inf"), FloatType(), "m.x")
    with pytest.raises(InvalidCommandError, match=r"m\.x.*object, which is not a JSON value"):
        to_json([object()], AnyType(), "m.x")


def test_the_document_is_that_of_the_specification() -> None:
    schema = ModelSchema(
        "brightness",
        "v0.0.0",
        "Light.",
        (TrackSchema("main_video", "video", "out"),),
        (
            CommandSchema(
                "set_brightness",
                (Field("brightness", FloatType(Bounds(ge=0.0, le=2.0)), 1.0, "How bright."),),
                "Set the brightness.",
                "brightness_set",
            ),
            CommandSchema("set_image", (Field("image", FileType(), moderate=True),), "Set it."),
        ),
        (MessageSchema("brightness_set", "BrightnessSet", (Field("brightness", FloatType()),), "It is set."),),
    )
    document = to_openapi(schema)
    # Ours beside it: official clients leave x-livereactor-… alone.
    assert document.pop("x-livereactor-order") == ["/events/set_brightness", "/events/set_image", "brightness_set"]
    upload = document["components"]["schemas"].pop("ReactorUploadReference")
    assert upload["format"] == "reactor-upload-reference"
    assert upload["required"] == ["upload_id", "name", "mime_type", "size"]
    reference = {"$ref": "#/components/schemas/BrightnessSet"}
    brightness = {
        "type": "number",
        "minimum": 0.0,
        "maximum": 2.0,
        "default": 1.0,
        "description": "How bright.",
        "x-reactor-moderate": False,
    }
    assert document == {
        "openapi": "3.1.0",
        "info": {"title": "brightness", "version": "v0.0.0", "description": "Light."},
        "x-reactor": {"tracks": [{"name": "main_video", "kind": "video", "direction": "out"}]},
        "paths": {
            "/events/set_brightness": {
                "post": {
                    "operationId": "set_brightness",
                    "summary": "Set the brightness.",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {"schema": {"type": "object", "properties": {"brightness": brightness}}}
                        },
                    },
                    "responses": {
                        "200": {"description": "BrightnessSet", "content": {"application/json": {"schema": reference}}}
                    },
                }
            },
            "/events/set_image": {
                "post": {
                    "operationId": "set_image",
                    "summary": "Set it.",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "properties": {
                                        "image": {
                                            "$ref": "#/components/schemas/ReactorUploadReference",
                                            "x-reactor-moderate": True,
                                        }
                                    },
                                    "required": ["image"],
                                }
                            }
                        },
                    },
                    "responses": {"202": {"description": "Command accepted"}},
                }
            },
        },
        "webhooks": {
            "brightness_set": {
                "post": {
                    "operationId": "brightness_set",
                    "summary": "It is set.",
                    "requestBody": {"required": True, "content": {"application/json": {"schema": reference}}},
                }
            }
        },
        "components": {
            "schemas": {
                "BrightnessSet": {
                    "type": "object",
                    "properties": {"brightness": {"type": "number"}},
                    "required": ["brightness"],
                }
            }
        },
    }


def test_a_model_without_commands_and_messages_has_no_empty_parts() -> None:
    assert set(to_openapi(ModelSchema("m"))) == {"openapi", "info", "x-reactor"}


def test_the_document_reads_back() -> None:
    assert from_openapi(to_openapi(POND)) == POND


def test_keys_and_gamepad_stand_on_the_property_and_on_the_operation() -> None:
    paths = to_openapi(POND)["paths"]
    assert paths["/events/reset"]["post"]["x-livereactor-input"] == {"keys": ["r"], "gamepad": "b"}
    body = paths["/events/set_forward"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["forward"]["x-livereactor-input"] == {"keys": ["s", "w"], "gamepad": "left_y"}
    assert "x-livereactor-input" not in paths["/events/paint"]["post"]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"paths": []},
        {"paths": {"/events/a": {"post": {"x-livereactor-input": {"keys": ["a", 1]}}}}},
        {"paths": {"/events/a": {"post": {"requestBody": {"content": {"application/json": {"schema": 3}}}}}}},
        {"x-reactor": {"tracks": [{"name": "a", "kind": "smell", "direction": "out"}]}},
        {"x-reactor": {"tracks": 1}},
    ],
)
def test_a_wrong_document_is_a_peer_error(document: Any) -> None:
    with pytest.raises(PeerError):
        from_openapi(document)


def property_document(schema: Any, **components: Any) -> dict[str, Any]:
    body = {"type": "object", "properties": {"x": schema}}
    post = {"requestBody": {"content": {"application/json": {"schema": body}}}}
    return {"paths": {"/events/a": {"post": post}}, "components": {"schemas": components}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "tensor"},
        {"type": "integer", "minimum": "low"},
        {"type": "integer", "minimum": float("nan")},
        {"type": "integer", "default": "a"},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"enum": []},
        {"$ref": "#/components/schemas/Nowhere"},
        {"$ref": "#/components/schemas/Self"},
        {"$ref": "#/components/schemas/Bomb"},
    ],
)
def test_a_wrong_property_is_a_peer_error(schema: Any) -> None:
    bomb = {"type": "object", "properties": {str(n): {"$ref": "#/components/schemas/Bomb"} for n in range(50)}}
    with pytest.raises(PeerError):
        from_openapi(property_document(schema, Self={"$ref": "#/components/schemas/Self"}, Bomb=bomb))


def replaced(command: CommandSchema) -> ModelSchema:
    commands = tuple(command if each.name == command.name else each for each in POND.commands)
    return dataclasses.replace(POND, commands=commands)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (POND, []),
        (dataclasses.replace(POND, commands=POND.commands[1:]), ["command 'drop' is gone"]),
        (dataclasses.replace(POND, messages=()), ["message 'dropped' is gone"]),
        (dataclasses.replace(POND, tracks=POND.tracks[:1]), ["track 'webcam' is gone"]),
        (
            replaced(CommandSchema("set_steps", (Field("steps", IntType(Bounds(ge=1, le=4))),))),
            ["set_steps.steps has le=4 now, 5 before"],
        ),
        (replaced(CommandSchema("set_steps", (Field("steps", FloatType(Bounds(ge=0, le=9))),))), []),
        (
            replaced(CommandSchema("set_steps", (Field("steps", StrType()),))),
            ["set_steps.steps was int and is str"],
        ),
        (replaced(CommandSchema("reset", (Field("hard", BoolType()),))), ["reset.hard is new and required"]),
        (replaced(CommandSchema("reset", (Field("hard", BoolType(), False),))), []),
        (replaced(dataclasses.replace(DROP, fields=DROP.fields[:2])), ["drop.strength is gone"]),
        (replaced(dataclasses.replace(DROP, reply=None)), ["drop replied with 'dropped' and no longer replies"]),
        (
            replaced(dataclasses.replace(DROP, may_acknowledge=True)),
            ["drop always replied with 'dropped' and may only acknowledge now"],
        ),
        (
            dataclasses.replace(POND, messages=(MessageSchema("dropped", "Dropped", (Field("x", FloatType()),)),)),
            ["dropped.y is gone"],
        ),
    ],
)
def test_what_breaks_clients_is_listed(new: ModelSchema, expected: list[str]) -> None:
    assert breaking_changes(POND, new) == expected
