"""A viewer asks for the schema again and again, a small question with a large answer: it is encoded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.protocol.codecs import Codec
from tests.integration.models import Plain
from tests.integration.rig import serving


def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The formats in which the schema is encoded from now on, once for each time."""
    formats: list[str] = []

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            if "paths" in str(given[-1]):
                formats.append(name)
            return real(*given)

        return counted

    monkeypatch.setattr(v0, "to_json_text", counting("v0", v0.to_json_text))
    monkeypatch.setattr(v1, "fill_struct", counting("v1", v1.fill_struct))
    return formats


@pytest.mark.parametrize("codec", [v0, v1])
async def test_the_schema_is_encoded_once_for_all_who_ask(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        formats = encoded(monkeypatch)
        documents: list[m.SchemaDocument] = []
        for role in ("owner", "viewer"):
            client = await served.client(sid, codec, role=role, channels=("data", "control"))  # type: ignore[arg-type]
            for number in range(10):
                client.say(m.RequestSchema(f"ctrl_{number}"))
                answer = await client.hear_of(m.SchemaDocument, label="data" if codec is v0 else "control")
                assert answer.request_id == (None if codec is v0 else f"ctrl_{number}")
                documents.append(answer)
        assert all(each.openapi == documents[0].openapi for each in documents)
        assert "/events/note" in documents[0].openapi["paths"]
        assert len(formats) == 1
