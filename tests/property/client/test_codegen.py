"""A typed client holds the whole contract it was made from, and formatters leave it as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livereactor.base.errors import InvalidCommandError
from livereactor.client.codegen import client_source
from livereactor.client.contract import Contract
from livereactor.protocol import messages as m
from livereactor.protocol import types as t
from livereactor.protocol import v1
from livereactor.protocol.contract import contract_hash
from livereactor.protocol.openapi import from_openapi, to_openapi
from livereactor.protocol.schema import CommandSchema, ModelSchema, validate_arguments
from livereactor.protocol.validation import check
from livereactor.protocol.values import plain
from tests.property.client import contracts as c

RESERVED = frozenset({"connect", "schema", "get_state", "on", "on_message", "contract"})


def loaded(schema: ModelSchema) -> ModuleType:
    """The module of a client, with bare classes in the place of `Reactor`."""
    name = "client_of_this_example"
    module = ModuleType(name)
    sys.modules[name] = module  # dataclasses look their annotations up there
    base = "livereactor.client.typed"
    stand_in = ModuleType(base)
    stand_in.__dict__.update(Contract=Contract, TypedReactor=object, SyncTypedReactor=object, FileRef=object)
    before, sys.modules[base] = sys.modules.get(base), stand_in
    try:
        exec(compile(client_source(schema, RESERVED), name, "exec"), module.__dict__)
    finally:
        del sys.modules[base]
        if before is not None:
            sys.modules[base] = before
    return module


def must_be_formatted(schema: ModelSchema) -> None:
    source = client_source(schema, RESERVED)
    command = [Path(sys.executable).with_name("ruff"), "format", "--isolated", "--diff", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert client_source(schema, RESERVED) == source


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(c.schemas())
def test_ruff_leaves_it_as_it_is(schema: ModelSchema) -> None:
    must_be_formatted(schema)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(c.schemas())
def test_ruff_leaves_thousands_as_they_are(schema: ModelSchema) -> None:
    must_be_formatted(schema)


def must_survive(schema: ModelSchema) -> None:
    module = loaded(schema)
    assert module.SCHEMA_HASH == module.CONTRACT.hash == contract_hash(schema)
    frame = v1.encode_server(m.SchemaDocument(to_openapi(schema)))
    assert frame is not None
    message = v1.decode_server(*frame)
    assert isinstance(message, m.SchemaDocument)
    assert contract_hash(from_openapi(message.openapi)) == module.SCHEMA_HASH


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(c.schemas())
def test_the_contract_survives(schema: ModelSchema) -> None:
    must_survive(schema)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(c.schemas())
def test_thousands_of_contracts_survive(schema: ModelSchema) -> None:
    must_survive(schema)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(c.fields(c.types | st.builds(t.FileType)), st.data())
def test_the_verdicts_are_those_of_the_schema(fields: tuple[t.Field, ...], data: st.DataObject) -> None:
    schema = ModelSchema("pond", commands=(CommandSchema("drop", fields),))
    there, here = schema.command("drop"), loaded(schema).CONTRACT.schema.command("drop")
    given_fields = [each for each in fields if data.draw(st.booleans())]
    arguments = {each.name: data.draw(c.values(each.type) | c.json_values) for each in given_fields}
    assert verdict(here, arguments) == verdict(there, arguments)


def verdict(command: CommandSchema, arguments: dict[str, Any]) -> object:
    try:
        return validate_arguments(command, arguments)
    except InvalidCommandError as error:
        # A structure has the name of its class there, and that may have been given to another already.
        return error.message.partition(": ")[0]


def must_become_its_class_and_back(schema: ModelSchema, data: st.DataObject) -> None:
    module = loaded(schema)
    for each in schema.messages:
        kind = t.StructureType("", each.fields)
        sent = data.draw(c.values(kind))
        received = module.CONTRACT.message(each.name, {**as_doubles(sent), "said_by_a_newer_server": 1})
        assert type(received).__module__ == module.__name__
        assert check(plain(received), kind, "") == check(sent, kind, "")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(c.schemas().filter(lambda schema: schema.messages), st.data())
def test_a_message_becomes_its_class_and_back(schema: ModelSchema, data: st.DataObject) -> None:
    must_become_its_class_and_back(schema, data)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(c.schemas().filter(lambda schema: schema.messages), st.data())
def test_thousands_of_messages_become_their_classes_and_back(schema: ModelSchema, data: st.DataObject) -> None:
    must_become_its_class_and_back(schema, data)


def as_doubles(value: Any) -> Any:
    """As the binary wire format carries it."""
    if isinstance(value, dict):
        return {name: as_doubles(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_doubles(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
