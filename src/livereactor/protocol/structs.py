"""JSON objects as protobuf Structs and back. Pure.

By hand, because `json_format` is ten times slower and lets infinities through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, cast

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value

from livereactor.base.errors import PeerError, UsageError
from livereactor.protocol.json_text import MAX_DEPTH, json_fault


def from_struct(struct: Struct, depth: int = 0) -> dict[str, Any]:
    """The object; all its numbers are floats, as a Struct knows no integers."""
    if depth > MAX_DEPTH:
        raise PeerError(f"an argument nests deeper than {MAX_DEPTH} levels; flatten it")
    return {name: _from_value(value, depth) for name, value in struct.fields.items()}


def _from_value(value: Value, depth: int) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        if not isfinite(value.number_value):
            raise PeerError("an argument holds a number that is not finite; send finite numbers")
        return value.number_value
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return from_struct(value.struct_value, depth + 1)
    if kind == "list_value":
        if depth >= MAX_DEPTH:
            raise PeerError(f"an argument nests deeper than {MAX_DEPTH} levels; flatten it")
        return [_from_value(item, depth + 1) for item in value.list_value.values]
    return None  # null, or a Value without a kind, which json_format reads as null too


def has_more_nodes(message: Message, limit: int) -> bool:
    """Return whether a message holds more than `limit` values, at any depth; looks at no more than these."""
    messages, found = [message], 0
    while messages:
        for _, value in messages.pop().ListFields():
            if isinstance(value, Message):
                inside = [value]
            elif isinstance(value, str | bytes | float | int):
                inside = []
            else:  # a list or a map, whose length is known before its entries are looked at
                found += len(value)
                repeated = cast("Mapping[Any, Any] | Sequence[Any]", value)
                entries = repeated.values() if isinstance(repeated, Mapping) else repeated
                inside = [each for each in entries if isinstance(each, Message)] if found <= limit else []
            found += 1
            if found > limit:
                return True
            messages += inside
    return False


def fill_struct(struct: Struct, data: Mapping[str, Any]) -> None:
    """Write `data` into the empty `struct`; `UsageError` when it is no JSON object."""
    fault = json_fault(data)
    if fault is not None:
        raise UsageError(f"the message {fault}; send plain JSON values")
    _fill(struct, data)


def _fill(struct: Struct, data: Mapping[str, Any]) -> None:
    for name, item in data.items():
        _set(struct.fields[name], item)


def _set(value: Value, item: Any) -> None:
    if item is None:
        value.null_value = 0  # type: ignore[assignment]  # NULL_VALUE; the stub wants the enum's own type
    elif isinstance(item, bool):
        value.bool_value = item
    elif isinstance(item, int | float):
        value.number_value = float(item)
    elif isinstance(item, str):
        value.string_value = item
    elif isinstance(item, Mapping):
        value.struct_value.SetInParent()
        _fill(value.struct_value, cast("Mapping[str, Any]", item))
    else:
        value.list_value.SetInParent()
        for entry in cast("Sequence[Any]", item):
            _set(value.list_value.values.add(), entry)
