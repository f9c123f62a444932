"""What is written reads back the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from livereactor.base.errors import InvalidCommandError
from livereactor.protocol import messages as m
from livereactor.protocol import types as t
from livereactor.protocol import v0, v1
from livereactor.protocol.chunking import Reassembled, Reassembly, split
from livereactor.protocol.codecs import format_of
from livereactor.protocol.messages import WireFormat
from livereactor.protocol.openapi import from_openapi, to_openapi
from livereactor.protocol.schema import ModelSchema, breaking_changes
from livereactor.protocol.validation import check
from tests.property.protocol import strategies as s


@given(s.client_both)
def test_a_client_message_survives_v0(message: m.ClientMessage) -> None:
    frame = v0.encode_client(message)
    assert frame is not None
    assert format_of(frame[1], text=False) is WireFormat.V0
    kept = m.Command(message.name, message.arguments, message.uploads) if isinstance(message, m.Command) else message
    assert v0.decode_client(*frame) == kept


@settings(max_examples=50)
@given(s.client_v1)
def test_a_client_message_survives_v1(message: m.ClientMessage) -> None:
    frame = v1.encode_client(message)
    assert frame is not None
    assert v1.decode_client(*frame) == message


@settings(max_examples=50)
@given(s.client_v1.filter(lambda message: getattr(message, "request_id", "x") != ""))
def test_a_v1_frame_is_known_as_v1(message: m.ClientMessage) -> None:
    frame = v1.encode_client(message)
    assert frame is not None
    assert format_of(frame[1], text=False) is WireFormat.V1


@given(s.server_v0)
def test_a_server_message_survives_v0(message: m.ServerMessage) -> None:
    frame = v0.encode_server(message)
    assert frame is not None
    assert v0.decode_server(*frame) == message


@settings(max_examples=50)
@given(s.server_v1)
def test_a_server_message_survives_v1(message: m.ServerMessage) -> None:
    assume(not (isinstance(message, m.Failure) and message.code in (m.PUBLISH_REFUSED, m.PUBLISHER_SLOT_TAKEN)))
    frame = v1.encode_server(message)
    assert frame is not None
    assert v1.decode_server(*frame) == message


@settings(max_examples=25)
@given(s.schemas())
def test_a_contract_survives_its_document(schema: ModelSchema) -> None:
    assert from_openapi(json.loads(json.dumps(to_openapi(schema)))) == schema


@settings(max_examples=25)
@given(s.schemas())
def test_a_contract_survives_both_wire_formats(schema: ModelSchema) -> None:
    for codec in (v0, v1):
        frame = codec.encode_server(m.SchemaDocument(to_openapi(schema)))
        assert frame is not None
        message = codec.decode_server(*frame)
        assert isinstance(message, m.SchemaDocument)
        assert from_openapi(message.openapi) == schema


@settings(max_examples=25)
@given(s.schemas())
def test_a_contract_breaks_nothing_of_itself(schema: ModelSchema) -> None:
    assert breaking_changes(schema, schema) == []


@given(s.types, s.json_values)
def test_a_checked_value_is_taken_as_it_is(kind: t.Type, value: Any) -> None:
    try:
        checked = check(value, kind, "a.b")
    except InvalidCommandError:
        return
    assert check(checked, kind, "a.b") == checked
    # The binary wire format has only doubles; the verdict and the value must not depend on that.
    assert check(as_doubles(checked), kind, "a.b") == checked


def as_doubles(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_doubles(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_doubles(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@given(st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=5), st.integers(2, 9))
def test_messages_survive_chunking(messages: list[tuple[bytes, bool]], chunk: int) -> None:
    reassembly = Reassembly(limit=40)
    frames = [frame for data, text in messages for frame in split(data, text=text, chunk_bytes=chunk)]
    assert all(len(frame) <= chunk for frame in frames)
    results = [result for frame in frames if (result := reassembly.add(frame, text=False))]
    assert results == [Reassembled(data, text) for data, text in messages]
