"""JSON from and to the network, bounded. Pure.

JSON values here are what `json` makes: dict, list, str, int, float, bool, None; every number finite and within a
double, every text encodable as UTF-8, nesting at most `MAX_DEPTH`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NoReturn, cast

from livereactor.base.errors import PeerError, UsageError

MAX_DEPTH: Final = 32  # real arguments nest three or four deep; the binary form ends at some 33 by itself
_DOUBLE_BITS: Final = 1024  # a larger integer has no place in a double, which is what the binary form carries


# A text, closed or not, without a way back for the matcher: linear in any input.
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


def parse_json(data: bytes, what: str, *, limit: int, nodes: int | None = None) -> Any:
    """The JSON value in `data`, at most `limit` bytes; `what` names it in the `PeerError` anything else raises.

    Args:
        nodes: values that it may hold, counted before anything is made of them; None = any number.
    """
    if len(data) > limit:
        raise PeerError(f"{what} has {len(data)} bytes, over the limit of {limit}; upload large content instead")
    # A value has a byte at least, so a short text needs no count.
    if nodes is not None and len(data) > nodes and (found := most_nodes(data, nodes)) > nodes:
        raise PeerError(f"{what} holds {found} values, over the limit of {nodes} (json_nodes); upload large content")
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except RecursionError as error:
        raise PeerError(f"{what} nests deeper than {MAX_DEPTH} levels; flatten it") from error
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, an integer of thousands of digits
        raise PeerError(f"{what} is not JSON ({_reason(error)}); send UTF-8 JSON text") from error
    fault = json_fault(value)
    if fault is not None:
        raise PeerError(f"{what} {fault}; send plain JSON values")
    return value


def most_nodes(text: bytes, limit: int) -> int:
    """Count the values in a JSON text: never fewer than it holds. An empty list or object counts twice.

    Args:
        limit: texts inside of it are looked at only where the count would be above.
    """
    found = _structure(text)
    return found if found <= limit else _structure(_STRING.sub(b"", text))


def _structure(text: bytes) -> int:
    # Each value but the outermost is the first of its list or object, or follows a comma.
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")


def to_json_text(value: Any) -> bytes:
    """Compact UTF-8 JSON of a value of ours; `UsageError` when it is not a JSON value."""
    try:
        fault = json_fault(value)
        if fault is None:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        fault = f"cannot be written ({error})"
    raise UsageError(f"the message {fault}; send plain JSON values")


class WrongTypeFault(str):
    """A fault of a value or key whose type JSON does not have."""

    __slots__ = ()


def json_fault(value: object, depth: int = 0) -> str | None:
    """Say what keeps `value` from being a JSON value of ours, as the rest of a sentence; None when it is one."""
    if isinstance(value, str):
        return _text_fault(value)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return None if isfinite(value) else "holds a number that is not finite"
    if isinstance(value, int):
        return None if value.bit_length() <= _DOUBLE_BITS - 1 else "holds an integer too large for a double"
    if depth >= MAX_DEPTH:
        return f"nests deeper than {MAX_DEPTH} levels"
    if isinstance(value, Mapping):
        return _mapping_fault(cast("Mapping[Any, Any]", value), depth)
    if isinstance(value, list | tuple):
        return next((f for item in cast("list[Any]", value) if (f := json_fault(item, depth + 1)) is not None), None)
    return WrongTypeFault(f"holds a {type(value).__name__}, which is not a JSON value")


def _mapping_fault(value: Mapping[Any, Any], depth: int) -> str | None:
    for key, item in value.items():
        if not isinstance(key, str):
            return WrongTypeFault(f"has a key that is a {type(key).__name__}, not a string")
        fault = _text_fault(key) or json_fault(item, depth + 1)
        if fault is not None:
            return fault
    return None


def _text_fault(text: str) -> str | None:
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "holds half of a surrogate pair"
    return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return value


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique)


def _reason(error: ValueError) -> str:
    # UnicodeDecodeError's own text repeats the bytes, and the integer limit's text is a paragraph.
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at character {error.pos}"
    return str(error).split(";", 1)[0]


def shown(value: Any, length: int = 60) -> str:
    """A value as it may stand in an error sentence: JSON-like, at most `length` characters."""
    text = repr(value) if not isinstance(value, str) or len(value) <= length else repr(value[:length]) + "…"
    return text if len(text) <= length + 3 else text[:length] + "…"
