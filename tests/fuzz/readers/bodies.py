"""JSON in all places where it comes from outside: bodies, contracts, arguments, the link of workers; and playlists."""

from __future__ import annotations

from typing import Any, Final

from livereactor.base.errors import InvalidCommandError, PeerError
from livereactor.base.limits import Limits
from livereactor.protocol import http, link, tokens
from livereactor.protocol.json_text import MAX_DEPTH, most_nodes, parse_json, to_json_text
from livereactor.protocol.openapi import from_openapi, to_openapi
from livereactor.protocol.playlists import read_playlist, write_playlist
from livereactor.protocol.schema import validate_arguments
from tests.fuzz.promises import Target
from tests.unit.protocol.test_schema import POND

NODES: Final = 100
BASE: Final = "https://a.example/clips/1/playlist.m3u8"
KINDS: Final[tuple[type[http.Body], ...]] = (
    http.StartSession,
    http.CreateSession,
    http.Offer,
    http.Candidates,
    http.UploadRequest,
    http.AnnouncedUpload,
    http.StopSession,
    tokens.TokenRequest,
    tokens.ShareRequest,
    tokens.KeyRequest,
)


def _json(data: bytes) -> object:
    found = parse_json(data, "the text", limit=Limits().body_bytes, nodes=NODES)
    nodes, depth = _measured(found)
    assert nodes <= min(NODES, most_nodes(data, NODES)) or len(data) <= NODES
    assert depth <= MAX_DEPTH
    assert repr(parse_json(to_json_text(found), "our text", limit=1 << 24)) == repr(found)
    return found


def _measured(value: Any) -> tuple[int, int]:
    """Return the number of values, and how deep they nest."""
    held = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    found = [_measured(each) for each in held]
    inside = 1 if isinstance(value, dict | list) else 0
    return 1 + sum(nodes for nodes, _ in found), inside + max((depth for _, depth in found), default=0)


def _body(data: bytes) -> object:
    kind = KINDS[data[0] % len(KINDS)] if data else http.Offer
    found = http.read_body(kind, data[1:])
    assert kind.model_validate(found.to_body()).to_body() == found.to_body()
    return found


def _schema(data: bytes) -> object:
    found = from_openapi(parse_json(data, "the schema", limit=1 << 20))
    assert to_openapi(from_openapi(to_openapi(found))) == to_openapi(found)
    return found


def _arguments(data: bytes) -> object:
    command = POND.commands[data[0] % len(POND.commands)] if data else POND.commands[0]
    arguments = parse_json(data[1:], "the arguments", limit=1 << 20)
    return validate_arguments(command, arguments) if isinstance(arguments, dict) else None


def _link(data: bytes) -> object:
    """Frames of a worker, and behind an exclamation mark those of a coordinator."""
    read = link.read_from_coordinator if data[:1] == b"!" else link.read_from_worker
    found = read(data.removeprefix(b"!"))
    assert read(link.write(found)) == found
    return found


def _playlist(data: bytes) -> object:
    found = read_playlist(data, BASE)
    if all('"' not in each for each in (found.init, *(part.url for part in found.parts))):
        again = read_playlist(write_playlist(found.init, found.parts).encode(), BASE)
        assert [part.url for part in again.parts] == [part.url for part in found.parts]
    return found


TARGETS: Final = {
    "json": Target("json", _json),
    "body": Target("body", _body),
    "schema": Target("schema", _schema),
    "arguments": Target("arguments", _arguments, (PeerError, InvalidCommandError)),
    "link": Target("link", _link),
    "playlist": Target("playlist", _playlist),
}
