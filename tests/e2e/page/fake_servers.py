"""Fake servers: HTTP answers that are intercepted in the browser, without process, port or network.

Requests without an answer of the test get that of a healthy server with a loaded model. Signalling never completes.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, Route

from livereactor.playground import page_directory

ADDRESS = "http://localhost:8099/"

UNIT = {"type": "number", "minimum": 0.0, "maximum": 1.0}


MOODS = {"type": "string", "enum": ["calm", "stormy", "frozen"], "default": "calm"}
PROMPT = {"type": "string", "default": "a sunny meadow", "description": "What to draw.", "maxLength": 200}


def command(name: str, summary: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    content = {"application/json": {"schema": schema}}
    return {"post": {"operationId": name, "summary": summary, "requestBody": {"content": content}}}


SCHEMA: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "pond",
        "version": "0.0.0",
        "description": "Rain on a pond. Touch the water to make waves.\n\nEverything here is drawn by hand.",
    },
    "x-reactor": {"tracks": [{"name": "main_video", "kind": "video", "direction": "out"}]},
    "paths": {
        "/events/set_rain": command(
            "set_rain", "Set rain.", {"rain": {**UNIT, "default": 0.2, "description": "Drops per frame."}}
        ),
        "/events/set_speed": command(
            "set_speed", "Set speed.", {"speed": {"type": "number", "minimum": 0, "maximum": 5, "default": 1.0}}
        ),
        "/events/set_night": command("set_night", "Set night.", {"night": {"type": "boolean", "default": False}}),
        "/events/set_mood": command(
            "set_mood",
            "Set mood.",
            {"mood": MOODS},
        ),
        "/events/set_place": command(
            "set_place",
            "Set place.",
            {"place": {"enum": ["north", "south", "east", "west", "here", "there"], "default": "here"}},
        ),
        "/events/set_prompt": command(
            "set_prompt",
            "Set prompt.",
            {
                "prompt": {
                    "type": "string",
                    "default": "a sunny meadow",
                    "description": "What to draw.",
                    "maxLength": 200,
                }
            },
        ),
        "/events/set_tint": command("set_tint", "Set tint.", {"tint": {"type": "string", "default": "#2ec4b0"}}),
        "/events/calm": command("calm", "Calm the water.", {}),
        "/events/freeze": command("freeze", "Freeze it.", {}),
        "/events/drop": command(
            "drop",
            "Let a drop fall.",
            {"x": UNIT, "y": UNIT, "strength": {"type": "number", "default": 1.0, "description": "How hard it falls."}},
        ),
        "/events/set_ground": command(
            "set_ground",
            "Take a picture as the ground.",
            {"ground": {"$ref": "#/components/schemas/ReactorUploadReference"}},
        ),
    },
    "components": {"schemas": {"ReactorUploadReference": {"type": "object", "format": "reactor-upload-reference"}}},
}

DESCRIPTOR: dict[str, Any] = {
    "session_id": "0d0c",
    "state": "waiting",
    "model": {"name": "pond"},
    "capabilities": {
        "protocol_version": "v0",
        "tracks": [
            {"name": "main_video", "kind": "video", "direction": "recvonly"},
            {"name": "webcam", "kind": "video", "direction": "sendonly"},
            {"name": "mic", "kind": "audio", "direction": "sendonly"},
        ],
    },
}

Answer = tuple[int, Any]  # status and JSON body, or the bytes of a film; status 0: nobody answers


@dataclass
class FakeRuntime:
    """`answers`: "METHOD path" → what it says; change it at any time. `foreign`: requests to anywhere else."""

    answers: dict[str, Answer] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers = {
            "GET health": (200, {"status": "healthy", "state": "available", "detail": None}),
            "GET schema": (200, SCHEMA),
            "POST start_session": (200, DESCRIPTOR),
            "POST stop_session": (200, None),
            **self.answers,
        }

    async def attach(self, context: BrowserContext) -> None:
        await context.route("**/*", self._answer)

    async def _answer(self, route: Route) -> None:
        url = route.request.url
        if not url.startswith(ADDRESS):
            if not url.startswith(("blob:", "data:")):
                self.foreign.append(url)
            return await route.abort()
        path = urlsplit(url).path.lstrip("/")
        if "/transport/" in path:
            return None  # held for ever: the page stays where it is
        if (answer := self.answers.get(f"{route.request.method} {path}")) is not None:
            status, body = answer
            if status == 0:
                return await route.abort("connectionrefused")
            if isinstance(body, bytes):
                return await route.fulfill(status=status, content_type="video/webm", body=body)
            return await route.fulfill(status=status, content_type="application/json", body=json.dumps(body))
        file = page_directory() / (path or "index.html")
        if not file.is_file():
            return await route.fulfill(status=404)
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return await route.fulfill(content_type=kind, body=file.read_bytes())


MODELS: list[dict[str, Any]] = [
    {"name": "garden", "description": "Organisms that heal when cut.", "state": "starting", "progress": 0.4},
    {"name": "pond", "description": "Rain on a pond. Touch the water.\n\nDrawn by hand.", "state": "ready"},
    {"name": "world", "description": "A walk over an endless land, by day and by night.", "state": "cold"},
]
SESSION = "sessions/ses_1"
WAITING: dict[str, Any] = {
    "session_id": "ses_1",
    "state": "SUSPENDED",
    "model": {"name": "pond"},
    "version": "1",
    "queue": {"position": 2, "length": 5, "estimated_wait": 130.0, "estimate_error": 31.0},
}


@dataclass
class FakeCoordinator(FakeRuntime):
    """A coordinator with three models and a waiting session."""

    def __post_init__(self) -> None:
        self.answers = {
            "GET health": (200, {"status": "healthy", "state": "available", "service": "coordinator"}),
            "GET models": (200, {"models": [{"queue_length": 0, **each} for each in MODELS]}),
            **{f"GET models/{each['name']}/schema": (200, SCHEMA) for each in MODELS},
            "POST sessions": (201, {"session_id": "ses_1", "state": "CREATED", "model": {"name": "pond"}}),
            f"GET {SESSION}": (200, WAITING),
            f"DELETE {SESSION}": (204, None),
            **self.answers,
        }
