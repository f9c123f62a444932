"""Taking typed members out of JSON objects of the other side; what does not fit is a `PeerError` naming it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from livereactor.base.errors import PeerError
from livereactor.protocol.json_text import shown
from livereactor.protocol.messages import UploadReference


def json_object(value: Any, name: str) -> Mapping[str, Any]:
    """`value` as an object."""
    if not isinstance(value, dict):
        raise PeerError(f"{name}: expected an object, got {shown(value)}")
    return cast("dict[str, Any]", value)


def member(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object `name`; missing or null counts as empty."""
    value = data.get(name)
    return {} if value is None else json_object(value, name)


def text(data: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    """The text `name`; `default`, where given, stands for a missing or null one."""
    value = data.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise PeerError(f"{name}: expected a string, got {shown(value)}")
    return value


def number(data: Mapping[str, Any], name: str) -> float:
    """The finite number `name`."""
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PeerError(f"{name}: expected a number, got {shown(value)}")
    return float(value)


def upload_reference(value: Any) -> UploadReference:
    """An upload reference; only `upload_id` must be there."""
    data = json_object(value, "an upload reference")
    size = data.get("size")
    return UploadReference(
        upload_id=text(data, "upload_id"),
        name=text(data, "name", default=""),
        mime_type=text(data, "mime_type", default=""),
        size=0 if size is None else int(number(data, "size")),
    )


def upload_references(value: Any) -> Mapping[str, UploadReference]:
    """References by argument name; missing or null counts as none."""
    if value is None:
        return {}
    return {name: upload_reference(file) for name, file in json_object(value, "uploads").items()}
