"""Names and types of uploads with characters that forge a line of a log, or end a text early: refused at the door."""

from __future__ import annotations

import pytest

from tests.hostile.test_wide_and_large_bodies import http_of

FORGED = ["a\r\nX-Evil: 1", "a\nb", "a\x00.png", "\x1b[2J", "a\x7f", "a\x85b"]
PLAIN = ("koi.jpg", "image/jpeg")


async def reserve(name: str, file: str, mime_type: str) -> tuple[int, str]:
    """Status and text of the answer."""
    async with http_of(name) as http:
        asked = {"name": file, "size": 4, "mime_type": mime_type}
        if name == "run":
            session = (await http.post("/start_session")).json()["session_id"]
        else:
            created = await http.post("/sessions", json={"model": {"name": "pond"}})
            session = created.json()["session_id"]
        answer = await http.post(f"/sessions/{session}/uploads", json=asked)
        return answer.status_code, answer.text


@pytest.mark.parametrize("text", FORGED, ids=repr)
@pytest.mark.parametrize("name", ["run", "serve"])
async def test_control_characters_are_refused(name: str, text: str) -> None:
    for file, mime_type, field in ((text, PLAIN[1], "name"), (PLAIN[0], f"image/{text}", "mime_type")):
        status, said = await reserve(name, file, mime_type)
        assert status == 400, said
        assert f"the body: {field}: " in said


@pytest.mark.parametrize("name", ["run", "serve"])
async def test_names_of_every_language_and_types_with_parameters_are_taken(name: str) -> None:
    for file, mime_type in (
        ("Fisch im Teich (1).png", "image/png"),
        ("鯉 🐟.jpg", "image/jpeg"),
        ("صورة.webp", "image/webp"),
        ("a" * 255, 'text/plain; charset="utf-8"'),
    ):
        status, said = await reserve(name, file, mime_type)
        assert status in (201, 409), said  # 409: a session of a coordinator without workers waits
