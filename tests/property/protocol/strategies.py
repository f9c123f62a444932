"""Hypothesis strategies for what travels: messages, types, schemas."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from livereactor.protocol import messages as m
from livereactor.protocol import types as t
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema, TrackSchema

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
ids = st.from_regex(r"(data|ctrl)_[0-9]{1,4}", fullmatch=True)
maybe_ids = st.none() | ids
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, json_values, max_size=4)
sizes = st.integers(0, 2**53)
uploads = st.builds(m.UploadReference, texts, texts, texts, sizes)
commands = st.builds(m.Command, texts, objects, st.dictionaries(texts, uploads, max_size=2), maybe_ids)
metrics = st.dictionaries(texts, finite, max_size=3)
media_frames = st.builds(
    m.MediaFrame,
    encoding=st.sampled_from(["raw", "h264"]),
    dtype=st.sampled_from(["uint8", "int16"]),
    shape=st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple),
    data=st.binary(max_size=16),
    metadata=st.none() | st.binary(max_size=4),
    capture_time_us=st.none() | st.integers(-(2**63), 2**63 - 1),
)
track_frames = st.builds(
    m.TrackFrames,
    track=texts,
    kind=st.sampled_from(["video", "audio"]),
    frames=st.lists(media_frames, max_size=2).map(tuple),
    rate=finite,
)
tracks = st.lists(track_frames, max_size=2).map(tuple)
plain_commands = st.builds(m.Command, texts, objects, st.dictionaries(texts, uploads, max_size=1))
frame_stages = st.lists(st.builds(m.FrameStage, texts, finite, st.integers(0, 2**64 - 1)), max_size=2).map(tuple)
track_stats = st.builds(m.TrackStats, texts, st.booleans(), metrics, frame_stages)

client_both: st.SearchStrategy[m.ClientMessage] = st.one_of(
    commands,
    st.builds(m.Ping),
    st.builds(m.RequestSchema),
    st.builds(m.FileUploaded, uploads),
    st.builds(m.RequestClip, finite),
    st.builds(m.RequestRecording),
    st.builds(m.PublishTrack, texts, ids),
    st.builds(m.UnpublishTrack, texts),
    st.builds(m.PauseTrack, texts),
    st.builds(m.ResumeTrack, texts),
)
client_v1: st.SearchStrategy[m.ClientMessage] = st.one_of(
    client_both,
    st.builds(m.RequestStep, maybe_ids, objects, st.lists(plain_commands, max_size=2).map(tuple), tracks),
    st.builds(m.ClientStats, st.lists(track_stats).map(tuple), metrics),
    st.builds(m.PeerFault, texts, texts),
)
clips = st.builds(
    m.ClipReady,
    texts,
    st.sampled_from(["snap", "recording"]),
    finite,
    finite,
    finite,
    st.integers(0, 2**53),
    texts,
)
server_v0: st.SearchStrategy[m.ServerMessage] = st.one_of(
    st.builds(m.ModelMessage, texts, objects),
    st.builds(m.SchemaDocument, objects),
    st.builds(m.ModelCapabilities, objects),
    clips,
    st.builds(m.ClipFailed, texts),
    st.builds(m.Moderation, texts, texts, texts, st.lists(texts, max_size=2).map(tuple), texts),
    st.builds(m.PublishGranted, st.just(""), ids),
    st.builds(m.PublishRefused, st.just(""), ids, texts),
    st.builds(m.SessionEnded, texts),
)
server_v1: st.SearchStrategy[m.ServerMessage] = st.one_of(
    st.builds(m.ModelMessage, texts, objects, maybe_ids),
    st.builds(m.Ack, ids),
    st.builds(m.Failure, maybe_ids, names, texts, st.sampled_from([m.DATA, m.CONTROL])),
    st.builds(m.SchemaDocument, objects, maybe_ids),
    clips,
    st.builds(m.ClipFailed, texts, maybe_ids),
    st.builds(m.Moderation, texts, texts, texts, st.lists(texts, max_size=2).map(tuple), texts),
    st.builds(m.PublishGranted, texts, maybe_ids),
    st.builds(m.PublishRefused, st.just(""), maybe_ids, texts),
    st.builds(m.SessionEnded, texts),
    st.builds(
        m.StepResult,
        maybe_ids,
        st.integers(0, 2**64 - 1),
        tracks,
        finite,
        st.none() | st.sampled_from(m.StepFailure),
        st.none() | texts,
        st.none() | texts,
        st.none() | texts,
    ),
    st.builds(m.Pong),
)

# --- types and schemas -------------------------------------------------------------------------------------------

limits = st.integers(-100, 100) | st.floats(-100, 100)
number_bounds = st.builds(t.Bounds, ge=st.none() | limits, lt=st.none() | limits, multiple_of=st.none() | st.just(2))
length_bounds = st.builds(t.Bounds, min_length=st.none() | st.integers(0, 3), max_length=st.none() | st.integers(3, 9))


def distinct(values: list[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


scalars: st.SearchStrategy[t.Type] = st.one_of(
    st.builds(t.BoolType),
    st.builds(t.IntType, number_bounds),
    st.builds(t.FloatType, number_bounds),
    st.builds(t.StrType, length_bounds),
    st.builds(t.AnyType),
    st.builds(t.FileType),
    st.builds(t.ChoiceType, st.lists(texts, min_size=1, max_size=3).map(distinct)),
    st.builds(t.ChoiceType, st.lists(st.integers(0, 9), min_size=1, max_size=3).map(distinct)),
)


def unique_fields(inner: st.SearchStrategy[t.Type]) -> st.SearchStrategy[tuple[t.Field, ...]]:
    fields = st.builds(
        t.Field,
        names,
        inner,
        description=texts,
        moderate=st.booleans(),
        hints=st.dictionaries(names, texts, max_size=1),
    )
    return st.lists(fields, max_size=3, unique_by=lambda field: field.name).map(tuple)


def no_marks(fields: tuple[t.Field, ...]) -> tuple[t.Field, ...]:
    """Fields as messages have them: without moderation marks, which only commands carry."""
    return tuple(t.Field(each.name, each.type, each.default, each.description, False, each.hints) for each in fields)


types: st.SearchStrategy[t.Type] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(t.ListType, inner, length_bounds),
        st.builds(t.DictType, inner, length_bounds),
        st.builds(t.StructureType, names, unique_fields(inner)),
        inner.filter(lambda kind: not isinstance(kind, t.OptionalType)).map(t.OptionalType),
    ),
    max_leaves=4,
)
plain_types = scalars.filter(lambda kind: not isinstance(kind, t.FileType))
message_schemas = st.lists(
    st.builds(MessageSchema, names, names.map(str.title), unique_fields(plain_types).map(no_marks), texts),
    max_size=2,
    unique_by=(lambda message: message.name, lambda message: message.title),
)


def command_schema(
    name: str, fields: tuple[t.Field, ...], description: str, reply: str | None, may_acknowledge: bool
) -> CommandSchema:
    return CommandSchema(name, fields, description, reply, may_acknowledge=reply is not None and may_acknowledge)


@st.composite
def schemas(draw: st.DrawFn) -> ModelSchema:
    messages = draw(message_schemas)
    reply = st.none() | st.sampled_from([message.name for message in messages]) if messages else st.none()
    commands = st.lists(
        st.builds(command_schema, names, unique_fields(types), texts, reply, st.booleans()),
        max_size=3,
        unique_by=lambda c: c.name,
    )
    tracks = st.builds(TrackSchema, names, st.sampled_from(["video", "audio"]), st.sampled_from(["out", "in"]))
    return ModelSchema(
        draw(texts),
        draw(texts),
        draw(texts),
        tuple(draw(st.lists(tracks, max_size=2, unique_by=lambda track: track.name))),
        tuple(draw(commands)),
        tuple(messages),
    )
