"""A schema with one of everything that a typed client can be asked to write."""

from __future__ import annotations

from livereactor.protocol import types as t
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema, TrackSchema

POINT = t.StructureType(
    "Point", (t.Field("x", t.FloatType(t.Bounds(ge=0, le=1))), t.Field("y", t.FloatType(t.Bounds(ge=0, le=1)), 0.5))
)
MOOD = t.ChoiceType(("calm", "wild"))
BRUSH = t.StructureType(
    "Brush",
    (
        t.Field("size", t.IntType(t.Bounds(ge=1, le=9)), description="In pixels."),
        t.Field("at", POINT, {"x": 0.5, "y": 0.5}),
        t.Field("moods", t.ListType(MOOD), ["calm"]),
        t.Field("weights", t.DictType(t.FloatType()), {"red": 1.0}),
        t.Field("extra", t.AnyType(), {"a": [1, {}]}),
    ),
)
LAYERS = t.OptionalType(t.ListType(t.DictType(t.OptionalType(BRUSH)), t.Bounds(max_length=3)))
COLOUR = t.Field("colour", t.StrType(t.Bounds(max_length=7)), "#fff")
BRUSHED, PAINTED = t.Field("brush", BRUSH), t.Field("brush", t.OptionalType(BRUSH))
STEP = t.ChoiceType((0.5, 1.5))
LAMP = ModelSchema(
    "rain-lamp",
    "v1.2.0",
    "A lamp in the rain.",
    (
        TrackSchema("main_video", "video", "out"),
        TrackSchema("webcam", "video", "in"),
        TrackSchema("voice", "audio", "out"),
    ),
    (
        CommandSchema("set_colour", (COLOUR,), "The lamp's colour."),
        CommandSchema("paint", (BRUSHED, t.Field("mood", MOOD, "wild"), t.Field("layers", LAYERS, None))),
        CommandSchema("show", (t.Field("image", t.FileType()), t.Field("others", t.ListType(t.FileType()), []))),
        CommandSchema("peek", reply="state", may_acknowledge=True),
        CommandSchema("get_state", description='Say "everything".', reply="state"),
        CommandSchema("tune", (t.Field("step", STEP), t.Field("any", t.AnyType(), None)), reply="tuned"),
    ),
    (
        MessageSchema("state", "State", (PAINTED, t.Field("n", t.IntType(), 0)), "How it is."),
        MessageSchema("tuned", "Tuned"),
    ),
)
