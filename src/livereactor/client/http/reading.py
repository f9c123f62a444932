"""Answers of any server as data: required parts are checked, parts that official servers omit or null may be absent.

Pure. Whatever a server sends, the only error is `DECODE_FAILED`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from pydantic import ConfigDict, ValidationError

from livereactor.base.errors import PeerError
from livereactor.client.http.api_errors import unreadable
from livereactor.client.http.client import ANSWER_BYTES, HttpAnswer
from livereactor.engine.port import IceServer
from livereactor.protocol.http import Body, SessionDescriptor
from livereactor.protocol.json_text import parse_json

_Model = TypeVar("_Model", bound=Body)

# RFC 7064 and 7065. The engine refuses the whole connection for one that is not.
_STUN: Final = re.compile(r"stuns?:(\[[0-9a-fA-F:.]+\]|[\w.\-]+)(:\d{1,5})?", re.ASCII)
_TURN: Final = re.compile(r"turns?:(\[[0-9a-fA-F:.]+\]|[\w.\-]+)(:\d{1,5})?(\?transport=(udp|tcp))?", re.ASCII)
_MAX_ICE_SERVERS: Final = 16
# Parts that only some servers send; one in an unknown form counts as absent.
_OPTIONAL: Final = frozenset(
    {"generation", "recording", "queue", "created_at", "expires_at", "reconnection_window", "end_reason", "version"}
)


class ReceivedDescriptor(SessionDescriptor):
    """A Session as its server describes it; parts without a name here are in `model_extra`."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True, slots=True)
class UploadPlace:
    """A reserved place for the bytes of a file.

    Attributes:
        url: takes the bytes by PUT.
        takes_pieces: takes them by PATCH, too, so that a broken transfer goes on; True for our servers.
    """

    upload_id: str
    url: str
    takes_pieces: bool


def read_object(answer: HttpAnswer, what: str) -> dict[str, Any]:
    """Return the JSON object of an answer; `what` names the request in the error."""
    try:
        value = parse_json(answer.body, "it", limit=ANSWER_BYTES)
    except PeerError as error:
        raise unreadable(what, error.message.split(";", 1)[0], status=answer.status) from error
    if not isinstance(value, dict):
        raise unreadable(what, f"it is not a JSON object but a {type(value).__name__}", status=answer.status)
    return cast("dict[str, Any]", value)


def read_body(answer: HttpAnswer, model: type[_Model], what: str) -> _Model:
    """Return an answer as one of the protocol's bodies; null counts as absent."""
    return _validated(model, _without_nulls(read_object(answer, what)), what, answer.status)


def read_descriptor(answer: HttpAnswer, what: str) -> ReceivedDescriptor:
    """Return a Session's description, from a coordinator or a runtime, complete or slim."""
    value = _without_nulls(read_object(answer, what))
    value["cluster"] = _text(value.get("cluster"))
    value["model"] = {**_mapping(value.get("model")), "name": _text(_mapping(value.get("model")).get("name"))}
    server = _mapping(value.get("server_info"))
    value["server_info"] = {**server, "server_version": _text(server.get("server_version"))}
    if "capabilities" in value:
        value["capabilities"] = _capabilities(_mapping(value["capabilities"]))
    try:
        found = ReceivedDescriptor.model_validate(value)
    except ValidationError as error:
        refused = {str(each["loc"][0]) for each in error.errors(include_url=False) if each["loc"]} & _OPTIONAL
        kept = {name: each for name, each in value.items() if name not in refused}
        found = _validated(ReceivedDescriptor, kept, what, answer.status)
    if not found.session_id:
        raise unreadable(what, "it names no session", status=answer.status)
    return found


def read_ice_servers(answer: HttpAnswer, what: str) -> tuple[IceServer, ...]:
    """Return the usable servers: one that is malformed must not cost the connection."""
    listed: object = read_object(answer, what).get("ice_servers")
    if not isinstance(listed, list):
        raise unreadable(what, "it has no list of ice_servers", status=answer.status)
    servers = (_ice_server(_mapping(each)) for each in cast("list[object]", listed)[:_MAX_ICE_SERVERS])
    return tuple(server for server in servers if server is not None)


def _ice_server(value: Mapping[str, Any]) -> IceServer | None:
    credentials = _mapping(value.get("credentials"))
    username, password = _text(credentials.get("username")), _text(credentials.get("password"))
    uris: object = value.get("uris")
    listed = [each for each in cast("list[object]", uris) if isinstance(each, str)] if isinstance(uris, list) else []
    has_relay_credentials = bool(username and password)
    usable = [uri for uri in listed if _STUN.fullmatch(uri) or (has_relay_credentials and _TURN.fullmatch(uri))]
    usable = [uri for uri in usable if _port(uri) <= 65_535]
    return IceServer(tuple(usable), username, password) if usable else None


def _port(uri: str) -> int:
    found = re.search(r":(\d{1,5})(\?|$)", uri.partition(":")[2])
    return int(found[1]) if found else 0


def _capabilities(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the capabilities without tracks of an unknown kind or direction, which cannot be offered."""
    bare = _without_nulls(value)
    listed = {name: cast("list[object]", each) for name, each in bare.items() if isinstance(each, list)}
    entries = {
        name: [_without_nulls(_mapping(each)) for each in listed.get(name, ())] for name in ("tracks", "commands")
    }
    if "tracks" in listed:
        bare["tracks"] = [each for each in entries["tracks"] if _can_be_offered(each)]
    if "commands" in listed:
        bare["commands"] = entries["commands"]
    return bare


def _can_be_offered(track: Mapping[str, Any]) -> bool:
    return track.get("kind") in ("video", "audio") and track.get("direction") in ("recvonly", "sendonly")


def _validated(model: type[_Model], value: Mapping[str, Any], what: str, status: int) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part)[:60] for part in first["loc"]) or "it"
        raise unreadable(what, f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}", status=status) from error


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object without nulls of its first level; deeper down a null may mean something, such as a default."""
    return {key: each for key, each in value.items() if each is not None}


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
