"""What servers say of themselves, read as far as it is as we know it. Pure."""

from __future__ import annotations

from typing import Any, cast

from livereactor.base.errors import PeerError
from livereactor.client.http.client import ANSWER_BYTES, HttpAnswer
from livereactor.protocol.json_text import parse_json


def object_of(answer: HttpAnswer) -> dict[str, Any]:
    """The JSON object of an answer; empty where it is none."""
    try:
        value: object = parse_json(answer.body, "an answer", limit=ANSWER_BYTES)
    except PeerError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def bare_name(model: str) -> str:
    """A model's name without its owner and version."""
    return model.partition("@")[0].rpartition("/")[2]


def names_of(listed: object) -> list[str]:
    """Of models, as far as they are described as we know it."""
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    names = [cast("dict[str, object]", each).get("name") for each in entries if isinstance(each, dict)]
    return [name for name in names if isinstance(name, str)]
