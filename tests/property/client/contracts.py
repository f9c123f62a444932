"""Hypothesis strategies for schemas as models have them, with defaults everywhere, and for values that they take."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from livereactor.protocol import types as t
from livereactor.protocol.schema import MessageSchema, ModelSchema, TrackSchema
from tests.property.protocol.strategies import command_schema, distinct, json_values, texts

LONG_NAME = "a_very_long_name_that_somebody_thought_explains_it_all_by_itself"
LONG_TEXT = "a sentence that is much longer than a line of code may be, so that it has to be wrapped somewhere"
NAMES = "x drop set_sky on schema get_state field dataclasses sequence value message connect größe type list any"
words = st.sampled_from([*NAMES.split(), LONG_NAME])
descriptions = st.sampled_from(
    [
        "",
        LONG_TEXT,
        'He said "stop"',
        '"quoted"',
        "ends with \\",
        'three """ quotes',
        "two\n\n  lines\tand a tab",
        "é🙂\u202e",
    ]
)
numbers = st.one_of(
    st.builds(t.Bounds, ge=st.integers(-5, 0), le=st.integers(9, 99)),
    st.builds(t.Bounds, gt=st.just(-0.5), lt=st.just(100.25)),
    st.builds(t.Bounds, multiple_of=st.just(2)),
    st.builds(t.Bounds),
)
lengths = st.builds(t.Bounds, min_length=st.none() | st.integers(0, 1), max_length=st.none() | st.integers(3, 9))
choices = st.one_of(
    st.lists(texts | st.sampled_from(["it's", '"', "both'\"", "\\", "\x00", "\ud7ff"]), min_size=1, max_size=9),
    st.lists(st.integers(-9, 9), min_size=1, max_size=3),
    st.lists(st.sampled_from([0.5, 1.5]), min_size=1, max_size=2),
    st.sampled_from(
        [["a", 1, 2.5], [True], ["some of the values are long enough", "to fill a line", "of their own" * 2]]
    ),
).map(lambda values: t.ChoiceType(distinct(values)))
scalars: st.SearchStrategy[t.Type] = st.one_of(
    st.builds(t.BoolType),
    st.builds(t.IntType, numbers),
    st.builds(t.FloatType, numbers),
    st.builds(t.StrType, lengths),
    st.builds(t.AnyType),
    choices,
)


def values(kind: t.Type) -> st.SearchStrategy[Any]:
    """Checked JSON values of the type."""
    match kind:
        case t.BoolType():
            return st.booleans()
        case t.IntType():
            return st.sampled_from([0, 2, 8])
        case t.FloatType():
            return st.sampled_from([0.0, 2.0, 8.0] if kind.bounds.multiple_of else [0.0, 1e-05, 3.25])
        case t.StrType():
            return st.text(st.sampled_from("ab\"'\\\n é"), min_size=kind.bounds.min_length or 0, max_size=3)
        case t.ListType():
            return st.lists(values(kind.item), min_size=kind.bounds.min_length or 0, max_size=3)
        case t.DictType():
            low = kind.bounds.min_length or 0
            return st.dictionaries(texts, values(kind.value), min_size=low, max_size=3)
        case t.StructureType():
            return st.fixed_dictionaries({each.name: values(each.type) for each in kind.fields})
        case t.OptionalType():
            return st.none() | values(kind.inner)
        case t.ChoiceType():
            return st.sampled_from(kind.values)
        case t.FileType():
            keys = {"upload_id": texts, "name": texts, "mime_type": texts, "size": st.integers(0, 99)}
            return st.fixed_dictionaries(keys)
        case _:
            return json_values


@st.composite
def field_of(draw: st.DrawFn, inner: st.SearchStrategy[t.Type]) -> t.Field:
    kind = draw(inner)
    has_default = draw(st.booleans()) and not _holds_file(kind)
    default = draw(values(kind)) if has_default else t.REQUIRED
    return t.Field(draw(words), kind, default, draw(descriptions))


def _holds_file(kind: t.Type) -> bool:
    return "FileType" in repr(kind)


def fields(inner: st.SearchStrategy[t.Type]) -> st.SearchStrategy[tuple[t.Field, ...]]:
    return st.lists(field_of(inner), max_size=4, unique_by=lambda each: each.name).map(tuple)


types: st.SearchStrategy[t.Type] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(t.ListType, inner, lengths),
        st.builds(t.DictType, inner, lengths),
        st.builds(t.StructureType, st.sampled_from(["", "Point", "Brush", "Any", "point"]), fields(inner)),
        inner.filter(lambda kind: not isinstance(kind, t.OptionalType)).map(t.OptionalType),
    ),
    max_leaves=4,
)
message_types = types.filter(lambda kind: not _holds_file(kind))


@st.composite
def schemas(draw: st.DrawFn) -> ModelSchema:
    said = st.lists(
        st.builds(
            MessageSchema,
            words,
            st.sampled_from(["Point", "State", "Any", "x", "Sequence"]),
            fields(types),
            descriptions,
        ),
        max_size=2,
        unique_by=(lambda each: each.name, lambda each: each.title),
    )
    messages = draw(said)
    reply = st.sampled_from([None, *(each.name for each in messages)])
    arguments = fields(types | st.builds(t.FileType) | st.just(t.ListType(t.FileType())))
    given = st.lists(
        st.builds(command_schema, words, arguments, descriptions, reply, st.booleans()),
        max_size=3,
        unique_by=lambda each: each.name,
    )
    tracks = st.builds(TrackSchema, words, st.sampled_from(["video", "audio"]), st.sampled_from(["out", "in"]))
    return ModelSchema(
        draw(st.sampled_from(["pond", "acme/rain-pond", "3d", "größe", "", "a b"])),
        "v1",
        draw(descriptions),
        tuple(draw(st.lists(tracks, max_size=3, unique_by=lambda each: each.name))),
        tuple(draw(given)),
        tuple(messages),
    )
